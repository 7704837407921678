"""What the tests of the server share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from group_commit import ControlledStore, open_store
from processes import Processes, processes
from stored_objects import DataDirectory, PostgreSQLDirectory
from stores import needs_postgresql


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """A data directory without a database."""
    return DataDirectory(tmp_path)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgresql)])
def any_directory(request: pytest.FixtureRequest, tmp_path: Path) -> DataDirectory:
    """A data directory for each kind of store."""
    kind = {"sqlite": DataDirectory, "postgresql": PostgreSQLDirectory}[request.param]
    return kind(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> ControlledStore:
    """An empty store; the test closes it."""
    return open_store(tmp_path)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Processes]:
    """Two processes on one store."""
    with processes(tmp_path / "data") as opened:
        yield opened
