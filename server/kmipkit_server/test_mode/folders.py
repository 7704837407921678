"""Temporary folders in memory, and what a killed process has left behind."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - only the parent of folders with names of their own
"""Where Linux has files in memory."""

PREFIX = "kmipkit-testing-"
_LOCK = "lock"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that only this user can read, in memory if the system offers it; it ends with the block.

    ``TMPDIR`` takes precedence. Folders of processes that were killed are removed, too.
    """
    parent = _parent()
    _remove_abandoned(parent)
    # The lock ends with the process, however it ends: a folder without one belongs to nobody. So it is
    # taken before the folder has it.
    lock, name = tempfile.mkstemp(prefix=PREFIX, dir=parent)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    Path(name).rename(folder / _LOCK)
    owner = os.getpid()
    try:
        yield folder
    finally:
        if os.getpid() == owner:  # not a child process that ends
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _parent() -> Path:
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK):
        return MEMORY
    return Path(tempfile.gettempdir())


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # of another user, or removed meanwhile
            # A folder without the file of its lock is one that somebody makes at this moment.
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
