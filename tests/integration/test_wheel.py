"""``pip install .`` gives all packages and a working command, in an environment of its own."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


def declared() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    return set(setup["options"]["packages"].split())


def test_every_package_of_the_tree_is_declared() -> None:
    homes = {
        "kmipkit": PROJECT,
        "kmipkit_server": PROJECT / "server",
        "kmipkit_client": PROJECT / "client",
        "kmipkit_vsphere": PROJECT / "client",
        "kmipkit_conformance": PROJECT / "conformance",
        "kmipkit_certs": PROJECT / "certs",
    }
    found = {
        ".".join(path.parent.relative_to(home).parts)
        for name, home in homes.items()
        for path in (home / name).rglob("__init__.py")
    }
    assert declared() == found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(PROJECT)], capture_output=True, text=True
    )
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip("setuptools cannot be had here, to build with")
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_module_and_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in declared():
        assert f"{package.replace('.', '/')}/__init__.py" in names
    for package in {name for name in declared() if "." not in name}:
        assert f"{package}/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def test_the_installed_command_works(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True)
    if "Could not find a version" in done.stderr:
        pytest.skip("the dependencies cannot be had here")
    assert done.returncode == 0, done.stderr
    command = environment / "bin" / "kmipkit"
    for arguments in (["--version"], ["serve", "--help"], ["certs", "init", str(tmp_path / "pki")]):
        ran = subprocess.run([command, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    checked = subprocess.run(
        [command, "serve", "--check-config"], capture_output=True, text=True, cwd=tmp_path
    )
    assert checked.stdout == "the configuration is valid\n"
