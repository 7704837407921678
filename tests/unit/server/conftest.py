"""What the tests of the server share."""

from pathlib import Path

import pytest
from group_commit import ControlledStore, open_store
from stored_objects import DataDirectory


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """A data directory without a database."""
    return DataDirectory(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> ControlledStore:
    """An empty store; the test closes it."""
    return open_store(tmp_path)
