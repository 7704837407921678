"""What the tests of attacks share: a server in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory import Laboratory


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    """A server with an empty store."""
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()
