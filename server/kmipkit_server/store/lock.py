"""The lock of a data directory, which one server uses at a time."""

import fcntl
import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

ENDING_SECONDS = 20.0
"""How long the workers of a server that was killed have to end."""
_PAUSE = 0.01


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
        holder = holder_of(lock, fcntl.LOCK_EX)
        if holder is not None:
            raise StoreError(
                f"{path.parent} is in use by another server (process {holder or 'unknown'}); "
                "stop it, or choose another data directory"
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        cleanup.pop_all()
        return lock


def holder_of(lock: int, operation: int, seconds: float = ENDING_SECONDS) -> int | None:
    """Lock an open lock file, if no server has locked it; the process of that server, or 0.

    A server with several workers that was killed is not there any more, but its workers still are, and
    have the lock: they notice it and end. To whoever comes next, this is one server that was killed. So
    this waits for them, for so many seconds at most.
    """
    end = None
    while True:
        try:
            fcntl.flock(lock, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            process = _process_in(lock)
        else:
            return None
        now = time.monotonic()
        if process and _is_running(process):
            return process
        if end is None:
            end = now + seconds
            log.debug("waiting until the workers of process %d have ended", process)
        elif now > end:
            return process
        time.sleep(_PAUSE)


def _process_in(lock: int) -> int:
    """The process that a lock file names; 0 if it names none yet."""
    text = os.pread(lock, 20, 0).strip()
    return int(text) if text.isdigit() else 0


def _is_running(process: int) -> bool:
    """Whether there is such a process, and it has not only been left behind by its parent."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # that of another user
        return True
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:  # other systems than Linux
        return True
    return stat.rpartition(")")[2].split()[0] != "Z"
