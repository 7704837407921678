"""What all tests share: where the reference material is, and how hypothesis draws its examples."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Derandomized: the same commit always tests the same examples, so that a red build is never luck.
# No deadline and no health check on speed: the machine may be busy, and no test here is timed.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the repository with the standard's texts and cases, not ours to ship."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"the reference material is not here: {folder}")
    return folder
