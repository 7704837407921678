"""Fixtures of the tests with real clients."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import GO, PROGRAMS, build, fetch, locked, require
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
