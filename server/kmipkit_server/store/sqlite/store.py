"""The embedded store: SQLite with a write-ahead log.

Reading takes microseconds, so it runs on the event loop. Writing uses the group commit, which waits
for the disk (``synchronous=FULL``) in a thread. Slow work runs in a thread, too: on a connection of
its own if it only reads, otherwise in the writer's transaction.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import GeneratorType
from typing import Any, Self, TypeVar

import trio

from kmipkit_server.store.base import Reader, ReadingTooLong, Store
from kmipkit_server.store.counters import StoreFigures
from kmipkit_server.store.places import Places
from kmipkit_server.store.sealing import KeyWrapper
from kmipkit_server.store.slices import Steps, finish, finish_in_thread
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.views import SQLiteReader
from kmipkit_server.store.writer import GroupCommit

_Result = TypeVar("_Result")

READING_THREADS = 4
"""Threads for slow work that only reads, each with a connection of its own; one account uses half of
them at most."""


def _is_cancelled() -> bool:
    """In a thread: never, but trio.Cancelled if its task has been cancelled meanwhile."""
    trio.from_thread.check_cancelled()
    return False


class SQLiteStore(Store):
    """A store in one database file; see :class:`.base.Store`."""

    def __init__(self, database: SQLiteDatabase) -> None:
        """Use :meth:`open`."""
        self._database = database
        self._reader = database.reader
        self._writer = GroupCommit(database)
        self._places = Places(READING_THREADS)
        self._threads = trio.CapacityLimiter(READING_THREADS)
        self._idle_readers: list[SQLiteReader] = []

    @classmethod
    def open(
        cls, path: Path, key_wrapper: KeyWrapper, random: Callable[[int], bytes] = os.urandom
    ) -> Self:
        """Open the database file; arguments and errors are those of :meth:`.SQLiteDatabase.open`."""
        return cls(SQLiteDatabase.open(path, key_wrapper, random))

    async def run(
        self,
        work: Callable[[Any], _Result | Steps[_Result]],
        *,
        writes: bool = False,
        slow: bool = False,
        account: str = "",
        on_commit: Callable[[_Result], None] | None = None,
    ) -> _Result:
        """Run a piece of work; see :meth:`.base.Store.run`."""
        if writes:
            return await self._writer.submit(work, slow=slow, on_commit=on_commit)
        if slow:
            result = await self._read_slowly(work, account)
        else:
            try:
                outcome: Any = work(self._reader)
                # Most work is one step: a task switch, or even a coroutine, would cost it time.
                is_done = not isinstance(outcome, GeneratorType)
                result = outcome if is_done else await finish(outcome)
            except ReadingTooLong:
                result = await self._read_slowly(work, account)
        if on_commit is not None:
            on_commit(result)
        return result

    @property
    def newest_time(self) -> datetime:
        """The newest time that a transaction has noted."""
        return self._database.newest_time

    @property
    def figures(self) -> StoreFigures:
        """The state of the store, for metrics."""
        usage = self._database.usage
        return StoreFigures(
            writer=self._writer.counters,
            queued=self._writer.queued,
            readers=self._places.figures,
            objects=usage.objects,
            object_bytes=usage.size,
            file_bytes=self._database.file_bytes(),
        )

    def derive_key(self, purpose: str) -> bytes:
        """A key for a purpose; see :class:`.base.Store`."""
        return self._database.derive_key(purpose)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until :meth:`stop`, also if that was called before this task began to run."""
        try:
            await self._writer.run(task_status, self.journal)
        finally:
            # The store may be served again.
            self._writer = GroupCommit(self._database, self._writer.counters)

    async def stop(self) -> None:
        """Accept no more work that writes; :meth:`serve` ends when the queued work is written."""
        await self._writer.stop()

    def close(self) -> None:
        """Release files and locks."""
        for reader in self._idle_readers:
            reader.connection.close()
        self._idle_readers.clear()
        self._database.close()

    async def _read_slowly(
        self, work: Callable[[Any], _Result | Steps[_Result]], account: str
    ) -> _Result:
        async with self._places.take(account):
            result: _Result = await trio.to_thread.run_sync(
                self._read_in_thread, work, limiter=self._threads
            )
        return result

    def _read_in_thread(self, work: Callable[[Reader], _Result | Steps[_Result]]) -> Any:
        reader = self._idle_readers.pop() if self._idle_readers else self._database.open_reader()
        try:
            return finish_in_thread(work(reader), _is_cancelled)
        finally:
            self._idle_readers.append(reader)
