"""The lock of a data directory: of a server that runs, and of one that was killed and had workers."""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.lock import holder_of, take_lock
from kmipkit_server.store.sqlite.inspection import holder


@contextmanager
def locked(path: Path, process: int) -> Iterator[None]:
    """A lock that a process has taken; whoever holds it now is one of its workers, or itself."""
    lock = take_lock(path)
    try:
        os.pwrite(lock, f"{process}\n".encode().ljust(20), 0)
        yield
    finally:
        os.close(lock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.sqlite3.lock"


@pytest.fixture
def ended() -> int:
    """The number of a process that there is no longer."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_server_that_runs_is_named_at_once(path: Path) -> None:
    with locked(path, os.getpid()):
        with pytest.raises(StoreError, match=f"in use by another server .process {os.getpid()}"):
            take_lock(path)
        assert holder(path) == os.getpid()
    assert holder(path) is None


def test_who_comes_after_a_killed_server_waits_for_its_workers(path: Path, ended: int) -> None:
    with locked(path, ended):
        taken: list[int] = []
        waiting = threading.Thread(target=lambda: taken.append(take_lock(path)))
        waiting.start()
        assert not taken
    waiting.join()
    [lock] = taken
    assert int(path.read_text()) == os.getpid()
    os.close(lock)


def test_a_killed_server_that_nobody_has_waited_for_has_ended(path: Path) -> None:
    """Its parent, such as the first process of a container, may never do that."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # closed by its end
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with locked(path, process.pid):
        waiting = threading.Thread(target=lambda: os.close(take_lock(path)))
        waiting.start()
    waiting.join()
    process.communicate()


def test_a_worker_that_does_not_end_keeps_nobody_waiting_for_ever(path: Path, ended: int) -> None:
    with locked(path, ended):
        other = os.open(path, os.O_RDWR)
        assert holder_of(other, fcntl.LOCK_EX, seconds=0.05) == ended
        os.close(other)
