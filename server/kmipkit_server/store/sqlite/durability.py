"""What is on the disk, where several processes write to one database.

If each process waited for the disk before it gave the turn to the next one, the disk would be asked once
for each process, one after the other. So a commit only writes to the log of the database, and ends the
turn. Whoever then flushes the log makes durable all that was committed before, also by others, who find
that they need not wait for the disk themselves.

Meanwhile all processes see what is committed. No answer may show what the failure of the machine could
take back: a key that another client has got by then, and has encrypted with, would be lost. Therefore
also those that only read wait until all that they may have seen is on the disk.

Numbers in a file that all processes have in memory say which commits are begun, written and flushed.
"""

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import trio

from kmipkit_server.store.errors import NotDurable
from kmipkit_server.store.sqlite.turns import open_beside

_BEGUN, _WRITTEN, _FLUSHED, _IN_DOUBT, _CHANGES = range(5)
"""The numbers in the file: of the last commit that was begun, of the last one that has ended, and of the
last one that is on the disk; whether the log may lack what it seems to have; and how many rows have
changed since the last checkpoint was begun."""
_SIZE = 5 * 8

SECONDS_BETWEEN_LOOKS = 0.001
"""How often to look whether a commit has ended: without a checkpoint, it takes less than that."""


class Durability:
    """Which commits are on the disk, as one process sees it."""

    def __init__(self, database: Path, *, is_first: bool) -> None:
        """The first process begins with nothing: what a killed server has left may not be on the disk.

        OSError if the files beside the database cannot be opened.
        """
        self._database = database
        self._log: int | None = None
        """The log, when there is one. It stays open: so the system reports each failure to it that there
        was since the last flush, also those of writing in the background."""
        self._name = str(database)
        self._thread = threading.Lock()
        """Held with the lock of the file, which does not tell the threads of a process apart."""
        self._flushing: trio.Event | None = None
        with ExitStack() as cleanup:
            self._file = open_beside(database, ".flushed", cleanup)
            self._turn = open_beside(database, ".turn", cleanup)
            if is_first:
                os.ftruncate(self._file, 0)
            os.ftruncate(self._file, _SIZE)
            memory = cleanup.enter_context(mmap.mmap(self._file, _SIZE))
            self._numbers = cleanup.enter_context(memoryview(memory).cast("Q"))
            self._cleanup = cleanup.pop_all()
        if is_first:
            self._numbers[_BEGUN] = self._numbers[_WRITTEN] = 1

    @property
    def is_behind(self) -> bool:
        """Whether something that others may see is perhaps not on the disk."""
        return self._numbers[_FLUSHED] != self._numbers[_BEGUN]

    @property
    def is_in_doubt(self) -> bool:
        """Whether the system could not flush the log: then it may take later attempts for successes,
        although it has dropped what it could not write."""
        return bool(self._numbers[_IN_DOUBT])

    # --- in the turn of this process -------------------------------------------------------------

    @contextmanager
    def commit(self) -> Iterator[None]:
        """A commit: others may see it before it has ended."""
        self._numbers[_BEGUN] += 1
        try:
            yield
        finally:
            self._numbers[_WRITTEN] = self._numbers[_BEGUN]

    def note_changes(self, rows: int) -> None:
        """Note how many rows a commit has changed."""
        self._numbers[_CHANGES] += rows

    def settled(self) -> None:
        """All that is committed is in the database itself, and on the disk."""
        self._numbers[_FLUSHED] = self._numbers[_WRITTEN]
        self._numbers[_IN_DOUBT] = False

    # --- at any time -----------------------------------------------------------------------------

    def flush(self) -> None:
        """In a thread: wait until all that is written is on the disk. NotDurable if that fails."""
        written = self._numbers[_WRITTEN]
        with self._exclusively():
            if self._numbers[_FLUSHED] >= written:
                return  # another one has waited for the disk
            written = self._numbers[_WRITTEN]
            if self.is_in_doubt:
                raise NotDurable(f"{self._name}: the disk has failed")
            try:
                self._flush_log()
            except OSError as error:
                self._numbers[_IN_DOUBT] = True
                raise NotDurable(f"{self._name}: {error.strerror}") from error
            self._numbers[_FLUSHED] = written

    def _flush_log(self) -> None:
        if self._log is None:
            # SQLite locks the database, but not its log, so that to close the log releases no lock.
            self._log = open_beside(self._database, "-wal", self._cleanup, may_create=False)
        os.fdatasync(self._log)

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        with self._thread:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def take_checkpoint(self, rows: int) -> bool:
        """Whether so many rows have changed that this process is to begin a checkpoint."""
        if self._numbers[_CHANGES] < rows:
            return False
        self._numbers[_CHANGES] = 0  # what others note at this moment is lost, which does no harm
        return True

    async def reached(self) -> None:
        """Wait until all that others may see by now is on the disk, or cannot get there.

        Those that only read go on if the disk fails; those that write learn it.
        """
        begun = self._numbers[_BEGUN]
        while self._numbers[_FLUSHED] < begun and not self.is_in_doubt:
            if self._flushing is not None:
                await self._flushing.wait()
                continue
            done = self._flushing = trio.Event()
            try:
                await self._flush_for_all()
            finally:
                self._flushing = None
                done.set()

    async def _flush_for_all(self) -> None:
        """Flush the log for all tasks of this process: one of them looks and waits."""
        begun = self._numbers[_BEGUN]
        while (  # noqa: ASYNC110 - another process ends it
            self._numbers[_WRITTEN] < begun and not self._has_nobody_the_turn()
        ):
            await trio.sleep(SECONDS_BETWEEN_LOOKS)
        with suppress(NotDurable):
            await trio.to_thread.run_sync(self.flush)

    def _has_nobody_the_turn(self) -> bool:
        """Whether no process is about to commit: then the last one that was has ended, or was killed."""
        try:
            fcntl.flock(self._turn, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._numbers[_WRITTEN] = self._numbers[_BEGUN]
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Close the files."""
        self._cleanup.close()
