"""Wheel and source distribution: complete, and installed into environments of their own.

uv makes the environments, each in about a second. Its cache has what was installed before.
"""

import configparser
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


def setup() -> configparser.ConfigParser:
    declared = configparser.ConfigParser()
    declared.read(PROJECT / "setup.cfg", encoding="utf-8")
    return declared


def declared() -> set[str]:
    return set(setup()["options"]["packages"].split())


def run(*command: str | Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd)


def test_every_package_of_the_tree_is_declared() -> None:
    places = (line.split(" = ") for line in setup()["options"]["package_dir"].split("\n") if line)
    homes = {name: (PROJECT / place).parent for name, place in places}
    found = {
        ".".join(path.parent.relative_to(home).parts)
        for name, home in homes.items()
        for path in (home / name).rglob("__init__.py")
    }
    assert declared() == found


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The source distribution, and the wheel that is built from it."""
    if not UV.exists():
        pytest.skip("uv is not installed, which builds and installs")
    folder = tmp_path_factory.mktemp("dist")
    done = run(UV, "build", "--quiet", "--out-dir", folder, PROJECT)
    if "Failed to fetch" in done.stderr or "no versions of setuptools" in done.stderr:
        pytest.skip("setuptools cannot be had here, to build with")
    assert done.returncode == 0, done.stderr
    [source], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return {"source": source, "wheel": wheel}


@pytest.fixture(scope="module")
def wheel(distributions: dict[str, Path]) -> Path:
    return distributions["wheel"]


def test_the_wheel_has_every_module_and_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in declared():
        assert f"{package.replace('.', '/')}/__init__.py" in names
    for package in {name for name in declared() if "." not in name}:
        assert f"{package}/py.typed" in names
    for file in ("page.html", "page.css", "page.js"):
        assert f"kmipkit/reports/{file}" in names, "without it no HTML report can be written"
    assert not [name for name in names if name.startswith(("tests/", "bench/", "drill/"))]


def test_the_description_for_an_index_has_links_that_work_there(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = archive.read(name).decode()
    assert "](docs/" not in metadata
    assert "/blob/main/docs/server.md)" in metadata
    for line in ("Author: ", "Project-URL: Documentation, https://", "Keywords: KMIP", "License"):
        assert f"\n{line}" in metadata


def test_a_distributor_can_test_and_document_from_the_source(
    distributions: dict[str, Path],
) -> None:
    with tarfile.open(distributions["source"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = run("git", "ls-files").stdout.split("\n")
    if tracked == [""]:
        pytest.skip("this tree is not a checkout")
    missing = {name for name in tracked if name} - names
    assert {name for name in missing if name != ".gitignore"} == set()


IMPORTS = """
import importlib, pkgutil, sys, warnings

warnings.simplefilter("ignore")
for package in sys.argv[1:]:
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, package + "."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(error.name.partition(".")[0])
"""
"""Imports every module of packages, and prints the names of those that are missing."""

PACKAGES: dict[str, tuple[set[str], set[str]]] = {
    "": ({"kmipkit_client"}, {"anyio", "click", "h11", "opentelemetry"}),
    "client": ({"kmipkit_certs", "kmipkit_client"}, {"opentelemetry"}),
    "server": (
        {"kmipkit_certs", "kmipkit_migrate", "kmipkit_server"},
        {"opentelemetry", "pkcs11", "psycopg", "psycopg_pool"},
    ),
    "conformance": ({"kmipkit_conformance", "kmipkit_load", "kmipkit_proxy"}, set()),
    "vsphere": ({"kmipkit_vsphere"}, {"tpm2_pytss"}),
    "testing": ({"kmipkit_testing"}, {"pytest"}),
    "all": ({"kmipkit"}, set()),
    "server,hsm": ({"kmipkit_server.vault"}, set()),
    "server,postgres": ({"kmipkit_server.store"}, set()),
    "server,otel": ({"kmipkit_server.metrics"}, set()),
}
"""For each extra, packages with all of their modules, and what these may miss: other extras."""

PROGRAMS = {
    "": ("import kmipkit_client as c; c.Client('127.0.0.1:9')",),
    "client": (
        "import kmipkit_client as c; c.AsyncClient, c.Client('https://127.0.0.1:9/kmip')",
        "kmipkit certs init pki",
    ),
    "server": ("kmipkit serve --check-config --data-dir new",),
    "conformance": ("kmipkit conformance list",),
    "testing": (
        "from kmipkit.testing import key_server\n"
        "with key_server(['backup'], personality='vault') as kms:\n"
        "    kms.clock.advance(days=1)\n"
        "    assert kms.direct().locate(name='backup').ids == (kms.ids['backup'],)",
    ),
    "vsphere": ("kmipkit demo native",),
    "all": ("kmipkit client --help",),
    "server,hsm": ("import pkcs11",),
    "server,postgres": ("import psycopg, psycopg_pool",),
    "server,otel": ("import opentelemetry.sdk.trace",),
}
"""For each extra, what runs with it and nothing else: commands, and programs in Python."""

WITHOUT = {
    "": ("kmipkit --help", "run: pip install 'kmipkit[client]'"),
    "client": ("kmipkit serve --ephemeral", "run: pip install 'kmipkit[server]'"),
    "server": ("kmipkit demo", "run: pip install 'kmipkit[vsphere]'"),
    "conformance": ("kmipkit serve --ephemeral", "run: pip install 'kmipkit[server]'"),
    "server,postgres": (
        "kmipkit admin keys create pkcs11:object=root?module-path=/usr/lib/softhsm/libsofthsm2.so",
        "run: pip install 'kmipkit[hsm]'",
    ),
    "server,hsm": (
        "kmipkit admin store init postgresql://db.example.org/kms",
        "run: pip install 'kmipkit[postgres]'",
    ),
}
"""For some, a command that needs another one, and what it says."""


@pytest.mark.parametrize("extra", PROGRAMS)
def test_each_extra_has_what_it_needs(extra: str, wheel: Path, tmp_path: Path) -> None:
    """A dependency that only another extra declares would be missing for those who need one."""
    environment = tmp_path / "venv"
    assert run(UV, "venv", "--quiet", "--python", sys.executable, environment).returncode == 0
    wanted = f"{wheel}[{extra}]" if extra else wheel
    python = environment / "bin" / "python"
    done = run(UV, "pip", "install", "--quiet", "--python", python, wanted)
    if "Failed to fetch" in done.stderr:
        pytest.skip("the dependencies cannot be had here")
    assert done.returncode == 0, done.stderr
    packages, others = PACKAGES[extra]
    imported = run(python, "-c", IMPORTS, *sorted(packages), cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    assert set(imported.stdout.split()) <= others
    for program in PROGRAMS[extra]:
        if program.startswith("kmipkit "):
            ran = run(environment / "bin" / "kmipkit", *program.split()[1:], cwd=tmp_path)
        else:
            ran = run(python, "-c", program, cwd=tmp_path)
        assert ran.returncode == 0, f"{program}: {ran.stdout}{ran.stderr}"
    if extra in WITHOUT:
        command, remedy = WITHOUT[extra]
        ran = run(environment / "bin" / "kmipkit", *command.split()[1:], cwd=tmp_path)
        assert ran.returncode == 1
        assert remedy in ran.stderr
        assert "Traceback" not in ran.stderr


def test_every_extra_is_tried() -> None:
    """Left out are those of contributors, and the one that is built with a library of the system."""
    extras = set(setup()["options.extras_require"])
    tried = {name for each in PROGRAMS for name in each.split(",")}
    assert extras - tried == {"check", "test", "tpm"}
