"""Every example of the documentation runs as it is printed."""

import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from documents import PROJECT, blocks
from kmipkit_client import OperationFailed
from kmipkit_server.config import Config, load
from servers import RunningServer

from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.spec.enums import CredentialType, CryptographicAlgorithm
from kmipkit.spec.versions import V1_0, V1_1, V1_4


def here(server: RunningServer, text: str) -> str:
    """An example for the port of this test's server; the server itself is there already."""
    text = text.replace('Client("127.0.0.1", ', f'Client("127.0.0.1", {server.port}, ')
    # Of the two servers in examples of fail-over, the first is away.
    text = text.replace('"kms1:5696"', '"127.0.0.1:1"').replace("kms2:5696", "127.0.0.1:5696")
    return text.replace("127.0.0.1:5696", f"127.0.0.1:{server.port}")


def furnish(folder: Path, server: RunningServer) -> Path:
    """A directory with what the examples name: certificates, a captured message."""
    folder.mkdir()
    (folder / "kms").symlink_to(server.folder)
    for name, path in server.credentials("me").items():
        shutil.copy(path, folder / {"ca": "ca.crt", "cert": "me.crt", "key": "me.key"}[name])
    (folder / "captured.hex").write_text(
        "42007801000000604200770100000038420069010000002042006a0200000004000000010000000042006b02"
        "00000004000000010000000042000d0200000004000000010000000042000f010000001842005c0500000004"
        "0000001e000000004200790100000000"
    )
    return folder


@pytest.fixture
def folder(own_server: RunningServer, tmp_path: Path) -> Path:
    """The directory for examples that need a server of their own."""
    return furnish(tmp_path / "work", own_server.start())


@pytest.fixture(scope="module")
def shared_folder(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for examples that any server serves."""
    return furnish(tmp_path_factory.mktemp("examples") / "work", server)


def run(command: list[str], folder: Path, server: RunningServer) -> str:
    binaries = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "KMIPKIT_SERVER": f"127.0.0.1:{server.port}",
    }
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr + process.stdout
    return process.stdout


def test_the_first_block_of_the_readme_works_as_it_is_pasted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = tmp_path / "bin" / "kmipkit"
    command.parent.mkdir()
    kmipkit = f'"{sys.executable}" -m kmipkit "$@"'
    # All but the port, which is another one for each run of the tests.
    command.write_text(
        f'#!/bin/sh\n[ "$1" != serve ] || set -- "$@" --port {port}\nexec {kmipkit}\n'
    )
    command.chmod(0o755)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = os.environ | {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "KMIPKIT_SERVER": f"127.0.0.1:{port}",
    }

    def pasted(text: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", "-e"], input=text, cwd=empty, env=environment, capture_output=True, text=True
        )

    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    try:
        process = pasted(blocks("README.md", "sh")[0])
        assert (process.returncode, process.stderr) == (0, "")
        assert "backup 2026" in process.stdout
        assert (empty / "backup.key").stat().st_size == 32
        assert "valid as a client certificate" in process.stdout
        # The second machine, which has three files of the first one.
        [copied] = re.findall(r"^    scp (.*) other-machine:$", readme, re.MULTILINE)
        for path in copied.split():
            shutil.copy(empty / path, empty)
        [there] = re.findall(r"^    (kmipkit client --server .*)$", readme, re.MULTILINE)
        process = pasted(there.replace("kms.example.org:5696", f"localhost:{port}"))
        assert (process.returncode, process.stderr) == (0, "")
    finally:
        stopped = pasted("kmipkit serve --data-dir kms --stop")
    assert stopped.stdout.startswith("stopped: process ")


def test_the_second_block_of_the_readme_works(own_server: RunningServer, folder: Path) -> None:
    # One of its two versions: the cases of all are played by tests/unit/conformance.
    script = blocks("README.md", "sh")[1].replace("--kmip 1.4 --kmip 2.1", "--kmip 1.4")
    script = here(own_server, script)
    output = run(["sh", "-euc", script], folder, own_server)
    assert "0 failed" in output
    assert {"report.xml", "report.json", "report.html"} <= {p.name for p in folder.iterdir()}
    assert "DiscoverVersions" in output


def whole_examples() -> list[str]:
    """The examples of the page of the client that are programs; those side by side are lines."""
    return [text for text in blocks("docs/client.md", "python") if "import" in text]


@pytest.mark.parametrize(
    ("document", "number"),
    [
        ("README.md", 0),
        ("docs/high-availability.md", 0),
        *(("docs/client.md", n) for n in range(len(whole_examples()))),
    ],
)
def test_the_python_examples_work(
    server: RunningServer, shared_folder: Path, document: str, number: int
) -> None:
    script = here(server, blocks(document, "python")[number])
    assert run([sys.executable, "-c", script], shared_folder, server)


def test_the_examples_that_are_programs_come_first() -> None:
    """So that their numbers are those of the page."""
    assert blocks("docs/client.md", "python")[: len(whole_examples())] == whole_examples()


def test_the_tasks_side_by_side(own_server: RunningServer, folder: Path) -> None:
    """The Python lines run one after the other, and are not more than those in Go."""
    tasks = blocks("docs/client.md", "python")[len(whole_examples()) :]
    in_go = blocks("docs/client.md", "go")
    page = (PROJECT / "docs/client.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| [^|]+ \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    lines = [
        (len(go.splitlines()), len(py.splitlines())) for go, py in zip(in_go, tasks, strict=True)
    ]
    assert [(int(go), int(py)) for go, py in listed] == lines
    assert all(python <= go for go, python in lines)
    built = (PROJECT / "tests/interop/clients/go/tasks.go").read_text(encoding="utf-8")
    parts = [
        textwrap.dedent(part) for part in re.findall(r"// task\n(.*?)\t// end", built, re.DOTALL)
    ]
    assert parts == in_go[: len(parts)]
    assert len(parts) == len(in_go) - 1, "all but fail-over"
    begin = (
        "from kmipkit_client import *\n"
        'kms = Client("127.0.0.1", ca="ca.crt", cert="me.crt", key="me.key")\n'
    )
    first, second, third, *others = tasks
    script = [begin, first, second, "kms.activate(key)\n", third, *others]
    end = "print(len(data), key in ids, opened, identifier, kms.version())\n"
    output = run(
        [sys.executable, "-c", here(own_server, "".join([*script, end]))], folder, own_server
    )
    assert output.startswith("32 True b'secret' ")


def test_the_user_of_the_example_logs_in_with_1_x(own_server: RunningServer, folder: Path) -> None:
    script = here(own_server, blocks("docs/server.md", "python")[0])
    assert run([sys.executable, "-c", script], folder, own_server)
    login = UsernameAndPassword(username="array", password="the password of the array")
    credential = Credential(
        credential_type=CredentialType.USERNAME_AND_PASSWORD, credential_value=login
    )
    for version in (V1_0, V1_1, V1_4):
        with own_server.client("me", version=version, credential=credential) as kms:
            kms.create(CryptographicAlgorithm.AES, 256)
            kms.create(CryptographicAlgorithm.AES, 256)
    with own_server.client("me") as kms:
        assert not kms.locate().ids, "they belong to the user"
    wrong = Credential(
        credential_type=CredentialType.USERNAME_AND_PASSWORD,
        credential_value=login.replace(password="another"),
    )
    with (
        own_server.client("me", version=V1_1, credential=wrong) as kms,
        pytest.raises(OperationFailed),
    ):
        kms.locate()


def test_every_documented_configuration_key_exists_and_every_key_is_documented(
    tmp_path: Path,
) -> None:
    [text, *_] = blocks("docs/server.md", "toml")
    path = tmp_path / "server.toml"
    path.write_text(text)
    config = load(path)
    assert config.listen == Config().listen
    documented = set(re.findall(r"^(\w+) = ", text, re.MULTILINE))
    sections = [getattr(Config(), section.name) for section in fields(Config)]
    keys = {key.name for section in sections if is_dataclass(section) for key in fields(section)}
    assert documented == keys


def test_every_command_has_an_example_in_its_help() -> None:
    import click

    from kmipkit.cli import main

    def commands(group: click.Group, path: str) -> list[tuple[str, click.Command]]:
        context = click.Context(group)
        entries = []
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            entries.append((f"{path} {name}", command))
            if isinstance(command, click.Group):
                entries += commands(command, f"{path} {name}")
        return entries

    every = commands(main, "kmipkit")
    assert len(every) > 35
    for path, command in every:
        assert "Example" in (command.help or ""), path


def test_help_imports_nothing_that_takes_time() -> None:
    """Tab completion and --help must stay quick: no codec, no cryptography, no event loop."""
    script = (
        "import sys\nfrom kmipkit.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'cryptography', 'trio', 'anyio', 'kmipkit.model', 'sqlite3'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
