"""What all tests share: where the reference material is, and how hypothesis draws its examples."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import lengths
import pytest
import stores
from hypothesis import HealthCheck, settings
from servers import RunningServer
from tokens import Token

# Derandomized: the same commit always tests the same examples, so that a red build is never luck.
# No deadline and no health check on speed: the machine may be busy, and no test here is timed.
for _profile, _examples in lengths.EXAMPLES.items():
    settings.register_profile(
        _profile,
        max_examples=_examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Fewer examples where what is long is left out."""
    is_short = "not long" in config.option.markexpr
    settings.load_profile(lengths.SHORT if is_short else lengths.LONG)


# Files in memory, where there is room: the tests sync some ten thousand files, and a busy disk takes
# minutes for that. What they check of durability is that files outlive their process.
MEMORY, ROOM = Path("/dev/shm"), 4 << 30
if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # found again when it is next asked for

# One worker for each server that tests start, unless `make test-workers` wants several: hardly a test is
# about their number, and each of them takes a second to start.
os.environ.setdefault("KMIPKIT_SERVER_WORKERS", "1")
if stores.is_postgresql():
    stores.switch()
    stores.server()  # before the tests, so that all processes that they start find it
    _tests = Path(__file__).parent
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [
            str(_tests / "switched"),
            str(_tests),
            str(_tests.parent),
            os.environ.get("PYTHONPATH", ""),
        ]
    ).rstrip(os.pathsep)

# A shell starts background jobs with SIGINT ignored, and so would be what the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the repository with the standard's texts and cases, not ours to ship."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"the reference material is not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A key server that all tests share; each test that stores objects uses its own names."""
    running = RunningServer(tmp_path_factory.mktemp("server") / "data").start()
    yield running
    running.end()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A key server of this test alone, not yet started; stopped at the end."""
    running = RunningServer(tmp_path / "data")
    yield running
    running.end()


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """A PKCS #11 token of SoftHSM, which processes that the test starts find as well."""
    made = Token(tmp_path / "hsm", f"token #{os.urandom(6).hex()}")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made
