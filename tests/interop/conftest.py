"""Fixtures of the tests with real clients."""

import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import (
    ARSENAL,
    ARSENAL_FOLDER,
    CARGO,
    GO,
    NODE,
    PROGRAMS,
    build,
    fetch,
    locked,
    require,
)
from web_lab import WebLab, furnish, web_lab


@pytest.fixture(scope="session")
def workshop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """From the name of a program to the folder in which it is built."""
    cache = getattr(request.config, "cache", None)
    base = cache.mkdir("interop") if cache is not None else tmp_path_factory.mktemp("interop")

    def folder(name: str) -> Path:
        folder: Path = base / name
        shutil.copytree(PROGRAMS / name, folder, dirs_exist_ok=True)
        return folder

    return folder


@pytest.fixture(scope="session")
def go_client(workshop: Callable[[str], Path]) -> list[str]:
    """The program with the client of ovh/kmip-go."""
    require(GO)
    folder = workshop("go")
    with locked(folder):
        fetch(["go", "mod", "download"], folder)
        build(["go", "build", "-buildvcs=false", "-o", "client", "."], folder)
    return [str(folder / "client")]


@pytest.fixture(scope="session")
def rust_programs(workshop: Callable[[str], Path]) -> Path:
    """The folder with the programs that use the client of NLnet Labs."""
    require(CARGO)
    if shutil.which("pkg-config") is None:
        pytest.skip("there is no pkg-config, with which the client finds OpenSSL")
    folder = workshop("rust")
    with locked(folder):
        fetch(["cargo", "fetch", "--quiet"], folder)
        build(["cargo", "build", "--quiet", "--offline"], folder)
    return folder / "target/debug"


@pytest.fixture(scope="session")
def node_folder(workshop: Callable[[str], Path]) -> Path:
    """The folder with the programs that use the client of Scality, in :data:`ARSENAL_FOLDER`."""
    require(NODE)
    if shutil.which("npm") is None:
        pytest.skip("there is no npm on this machine")
    folder = workshop("node")
    package = folder / ARSENAL_FOLDER
    with locked(folder):
        if not package.exists():
            quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
            fetch(["npm", "install", "--no-package-lock", *quiet], folder)
            fetch(["npm", "pack", "--silent", ARSENAL], folder)
            _unpack(next(folder.glob("scality-arsenal-*.tgz")), package)
    return folder


def _unpack(archive: Path, package: Path) -> None:
    """The built files of a package, whose folder in the archive is ``package``."""
    with tarfile.open(archive) as tar:
        tar.extractall(package.parent / ".unpacked", filter="data")
    (package.parent / ".unpacked/package").rename(package)


@pytest.fixture(scope="session")
def govc(workshop: Callable[[str], Path]) -> Path:
    """govc, the command line of VMware's library for Go."""
    require(GO)
    folder = workshop("govc")
    with locked(folder):
        fetch(["go", "mod", "download"], folder)
        build(["go", "build", "-buildvcs=false", "-o", "govc", "."], folder)
    return folder / "govc"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebLab]:
    """A laboratory that the tests of one file share."""
    with web_lab(tmp_path_factory.mktemp("lab"), furnish) as running:
        yield running


@pytest.fixture(scope="session")
def rust_client(rust_programs: Path) -> list[str]:
    """The program with the client of NLnet Labs."""
    return [str(rust_programs / "kmip-client")]


@pytest.fixture(scope="session")
def node_client(node_folder: Path) -> list[str]:
    """The program with the client of Scality."""
    return ["node", str(node_folder / "main.js"), str(node_folder / ARSENAL_FOLDER)]
