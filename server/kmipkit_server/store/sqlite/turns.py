"""Whose turn it is to write, where several processes use one database.

SQLite has one writer at a time, but no queue: whoever finds the database busy tries again after a while,
and may come last for ever. So the processes of a server take turns by locks of files, which the system
gives to those that wait in the order in which they came, and takes back from a process that dies. The
first lock is the head of the queue, the second one the turn itself: who has just written cannot have
the next turn before the one that waits at the head.
"""

import fcntl
import os
from contextlib import ExitStack, suppress
from pathlib import Path

import trio


class Turns:
    """The turns of one process."""

    def __init__(self, database: Path) -> None:
        """OSError if the files beside the database cannot be opened."""
        with ExitStack() as cleanup:
            self._queue, self._turn = (
                open_beside(database, name, cleanup) for name in (".queue", ".turn")
            )
            self._cleanup = cleanup.pop_all()

    async def take(self) -> None:
        """Wait for the turn; not cancellable while it waits in a thread."""
        if not self._take_at_once():
            await trio.to_thread.run_sync(self._wait)

    def _take_at_once(self) -> bool:
        """Take the turn if nobody waits for it."""
        with suppress(BlockingIOError):
            fcntl.flock(self._queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            finally:
                fcntl.flock(self._queue, fcntl.LOCK_UN)
        return False

    def _wait(self) -> None:
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    @property
    def is_awaited(self) -> bool:
        """Whether another process waits at the head of the queue."""
        try:
            fcntl.flock(self._queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._queue, fcntl.LOCK_UN)
        return False

    def release(self) -> None:
        """Give the turn to the next process."""
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files."""
        self._cleanup.close()


def open_beside(database: Path, suffix: str, cleanup: ExitStack, *, may_create: bool = True) -> int:
    """Open a file beside the database that its processes share."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if may_create else 0)
    descriptor = os.open(database.with_name(database.name + suffix), flags, 0o600)
    cleanup.callback(os.close, descriptor)
    return descriptor
