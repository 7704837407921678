"""What operators take from ``server/deploy``: unit, container, chart, man pages, completions."""

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import system_calls
import yaml
from kmipkit_client import Client

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "server" / "deploy"
UNIT = DEPLOY / "systemd" / "kmipkit.service"
CONTAINERFILE = DEPLOY / "container" / "Containerfile"
CHART = DEPLOY / "helm" / "kmipkit"
COMMAND = (sys.executable, "-m", "kmipkit")


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)


def need(tool: str) -> str:
    path = shutil.which(tool, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


# --- systemd -------------------------------------------------------------------------------------


def test_the_unit_is_as_closed_as_the_page_says() -> None:
    done = run(need("systemd-analyze"), "security", "--offline=true", "--no-pager", UNIT)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze does not judge files")
    found = re.search(r"exposure level for kmipkit.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    page = (PROJECT / "docs" / "installation.md").read_text(encoding="utf-8")
    stated = re.search(r"exposure level of (\d\.\d)", page)
    assert stated is not None
    assert float(found[1]) <= float(stated[1])


def test_the_unit_is_valid(tmp_path: Path) -> None:
    program = tmp_path / "kmipkit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/kmipkit", str(program))
    (tmp_path / UNIT.name).write_text(re.sub("^Documentation=.*$", "", text, flags=re.MULTILINE))
    done = run(need("systemd-analyze"), "verify", "--man=no", tmp_path / UNIT.name)
    assert "kmipkit.service" not in done.stderr


def test_the_configuration_of_the_package_is_valid(tmp_path: Path) -> None:
    text = (UNIT.parent / "kmipkit.toml").read_text(encoding="utf-8")
    (tmp_path / "kmipkit.toml").write_text(text.replace("/var/lib/kmipkit", str(tmp_path / "data")))
    done = run(*COMMAND, "serve", "--config", tmp_path / "kmipkit.toml", "--check-config")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("workers", "is_abstract"), [(1, False), (2, True)])
def test_the_service_manager_learns_that_the_server_is_ready(
    tmp_path: Path, workers: int, is_abstract: bool
) -> None:
    """Otherwise systemd would end a server that works, after its time-out; and only once is it told."""
    place = f"@kmipkit-{os.getpid()}-{workers}" if is_abstract else str(tmp_path / "notify")
    arguments = ["--data-dir", str(tmp_path / "data"), "--port", "0", "--workers", str(workers)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + place[1:] if is_abstract else place)
        manager.settimeout(120)
        with subprocess.Popen(
            [*COMMAND, "serve", *arguments],
            env={**os.environ, "NOTIFY_SOCKET": place},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server:
            try:
                told = manager.recv(4096).decode().split("\n")
            finally:
                server.terminate()
                printed, _ = server.communicate()
        assert told == ["READY=1", f"STATUS={printed.rstrip()}"]
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


def test_the_system_calls_that_the_unit_permits_are_enough(tmp_path: Path) -> None:
    """Also for workers, and for computations in processes of their own."""
    need("systemd-analyze")
    if not system_calls.NUMBERS.exists() or platform.machine() != "x86_64":
        pytest.skip("the numbers of the system calls are not known")
    data = tmp_path / "data"
    serve = [*COMMAND, "serve", "--data-dir", data, "--port", "0", "--workers", "2"]
    filtered = [sys.executable, system_calls.__file__, UNIT]
    started = run(*filtered, *serve, "--detach")
    assert started.returncode == 0, started.stderr
    port = int(started.stdout.split("listening on 127.0.0.1:")[1].split(",")[0])
    certs = data / "certs"
    try:
        with Client(
            port=port, ca=certs / "ca.crt", cert=certs / "admin.crt", key=certs / "admin.key"
        ) as client:
            assert client.create_key_pair(length=2048)
    finally:
        stopped = run(*filtered, *serve, "--stop")
    assert stopped.returncode == 0, stopped.stderr


def test_a_service_manager_that_is_gone_does_not_stop_the_server(tmp_path: Path) -> None:
    gone = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "nobody")}
    arguments = ["--data-dir", str(tmp_path / "data"), "--port", "0"]
    started = run(*COMMAND, "serve", *arguments, "--detach", env=gone)
    assert started.returncode == 0, started.stderr
    stopped = run(*COMMAND, "serve", *arguments, "--stop")
    assert stopped.returncode == 0, stopped.stderr


# --- container -----------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """The instructions of the container file, in order."""
    text = re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.partition(" ") for line in text.replace("\\\n", " ").split("\n") if line.strip()]
    return [(name, rest.strip()) for name, _, rest in lines]


def test_the_container_file_follows_the_rules_of_its_trade() -> None:
    done = run(need("hadolint"), CONTAINERFILE)
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr


def test_the_server_in_the_container_is_not_root_and_is_asked_whether_it_is_ready() -> None:
    found = dict(instructions())
    assert found["USER"] == "10001:10001"
    assert "/readyz" in found["HEALTHCHECK"]
    assert found["ENTRYPOINT"] == '["kmipkit"]'
    assert found["CMD"] == '["serve"]'


def test_the_steps_of_the_container_file_give_a_server(tmp_path: Path) -> None:
    """The same commands, in a directory instead of a file system of its own."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("requirements/runtime.txt is for the Python of the container")
    source, target = tmp_path / "src", tmp_path / "kmipkit"
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "__pycache__", "tests", "build", "*.egg-info"
    )
    shutil.copytree(PROJECT, source, ignore=ignored)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    steps = [text for name, text in instructions() if name == "RUN" and "useradd" not in text]
    assert len(steps) == 2
    for step in steps:
        command = step.replace("/opt/kmipkit", str(target))
        done = run("bash", "-ec", command, cwd=source, env={**environment, "PATH": path})
        if "Could not find a version" in done.stderr or "No matching distribution" in done.stderr:
            pytest.skip("the packages cannot be had here")
        assert done.returncode == 0, done.stderr
    checked = run(
        target / "bin" / "kmipkit", "serve", "--check-config", cwd=tmp_path, env=environment
    )
    assert checked.stdout == "the configuration is valid\n", checked.stderr


@pytest.mark.long
def test_the_container_is_built_and_serves() -> None:
    need("buildah")
    need("mmdebstrap")
    if os.geteuid():
        pytest.skip("a container is built by root")
    done = run(PROJECT / "tools" / "build-container")
    assert done.returncode == 0, done.stderr
    assert "ready, and stops" in done.stdout


def test_the_compose_file_has_the_ports_and_directories_of_the_container() -> None:
    compose = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["kmipkit"]
    found = dict(instructions())
    assert service["ports"] == [f"{found['EXPOSE']}:{found['EXPOSE']}"]
    assert found["VOLUME"] == '["/var/lib/kmipkit"]'
    assert service["volumes"] == ["objects:/var/lib/kmipkit"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    folder = DEPLOY / "container" / service["build"]["context"]
    assert (folder / service["build"]["dockerfile"]).resolve() == CONTAINERFILE


# --- chart ---------------------------------------------------------------------------------------

VALUES = {
    "as it is": {},
    "with secrets": {
        "tls.serverSecret": "server", "tls.clientsSecret": "clients", "rootKeySecret": "root",
    },
    "on PostgreSQL": {
        "replicas": "3", "store.url": "postgresql://kmipkit@db/kms", "store.passwordSecret": "db",
    },
}  # fmt: skip


def template(values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    options = [f"--set={name}={value}" for name, value in values.items()]
    return run(need("helm"), "template", "kms", CHART, *options)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_chart_gives_a_server_with_a_valid_configuration(values: dict[str, str]) -> None:
    linted = run(need("helm"), "lint", "--strict", CHART)
    assert linted.returncode == 0, linted.stdout
    done = template(values)
    assert done.returncode == 0, done.stderr
    objects = {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}
    assert set(objects) == {"ConfigMap", "Service", "StatefulSet"}
    pod = objects["StatefulSet"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    named = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in objects["Service"]["spec"]["ports"]} <= named
    known = {each["name"] for each in pod["volumes"]} | {"objects"}
    assert {mount["name"] for mount in container["volumeMounts"]} <= known
    text = objects["ConfigMap"]["data"]["kmipkit.toml"]
    assert settings_that_are_wrong(text) == []


def settings_that_are_wrong(text: str) -> list[str]:
    """Of a configuration whose files exist only in the cluster."""
    import tempfile

    from kmipkit_server.config.sources import examine_settings

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kmipkit.toml"
        file.write_text(text, encoding="utf-8")
        _, faults, _ = examine_settings(file, {}, {})
    return list(map(str, faults))


def test_several_servers_without_a_common_database_are_refused() -> None:
    done = template({"replicas": "2"})
    assert done.returncode != 0
    assert "several servers need one database" in done.stderr


# --- man pages and completions -------------------------------------------------------------------


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    done = run(sys.executable, PROJECT / "tools" / "gen_man.py", folder, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_command_has_a_man_page_with_its_examples(share: Path) -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (share / "man/man1").iterdir()}
    for name in ("kmipkit", "kmipkit-serve", "kmipkit-client-get", "kmipkit-admin-users-add"):
        assert name in pages
    assert "\n  kmipkit serve --data-dir kms" in pages["kmipkit-serve"].replace("\\-", "-")
    assert [name for name, page in pages.items() if "\b" in page] == []


def test_the_man_pages_are_well_formed(share: Path) -> None:
    pages = sorted((share / "man/man1").iterdir())
    assert run(need("mandoc"), "-Tlint", "-Werror", *pages).stdout == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completions_are_programs_of_their_shells(share: Path, shell: str) -> None:
    [file] = [path for path in share.glob(f"{shell}*/*/*") if path.is_file()]
    assert run(need(shell), "-n", file).returncode == 0


def test_a_shell_completes_commands() -> None:
    environment = {**os.environ, "_KMIPKIT_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    program = "from kmipkit.cli import main; main(prog_name='kmipkit')"
    done = run(sys.executable, "-c", program, env={**environment, "COMP_WORDS": "kmipkit ser"})
    assert done.stdout == "plain,serve\n"
