"""The lock of a data directory, which one server uses at a time."""

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from kmipkit_server.store.base import StoreError


class Share(NamedTuple):
    """The part of a process in the store of a server that consists of several."""

    lock: int
    """The file descriptor of the lock file, which is locked for all of them."""
    is_first: bool
    """Whether the process is the first one, which does what a start has to do once."""


def take_lock(path: Path) -> int:
    """Lock a file; its descriptor. StoreError if another server has locked it."""
    with ExitStack() as cleanup:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        cleanup.callback(os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            raise StoreError(
                f"{path.parent} is in use by another server (process {holder or 'unknown'}); "
                "stop it, or choose another data directory"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        cleanup.pop_all()
        return lock
