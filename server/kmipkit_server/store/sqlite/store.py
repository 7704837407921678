"""The embedded store: SQLite with a write-ahead log.

Reading takes microseconds, so it runs on the event loop. Writing uses the group commit, which waits
for the disk (``synchronous=FULL``) in a thread. Slow work runs in a thread, too: on a connection of
its own if it only reads, otherwise in the writer's transaction.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import perf_counter
from types import GeneratorType
from typing import Any, Self, TypeVar

import trio

from kmipkit_server.fairness.shared_loop import RESOLUTION, shared_loop
from kmipkit_server.store.base import Reader, Store, Usage
from kmipkit_server.store.counters import StoreFigures
from kmipkit_server.store.errors import ReadingTooLong, StoreError, Vanished
from kmipkit_server.store.key_rotation import Rotations
from kmipkit_server.store.leases import run_with
from kmipkit_server.store.lock import Share
from kmipkit_server.store.places import Places
from kmipkit_server.store.root_keys import KeyWrapper
from kmipkit_server.store.slices import Steps, finish, finish_in_thread
from kmipkit_server.store.sql import entries
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.store.sqlite.leases import FileLease
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
        self._writer = GroupCommit(database, turns=database.turns)
        self._places = Places(READING_THREADS)
        self._threads = trio.CapacityLimiter(READING_THREADS)
        self._idle_readers: list[SQLiteReader] = []
        self._clock = perf_counter
        """That of the event loop that serves the store."""
        self._contents: tuple[Usage, dict[str, int]] = Usage(), {}
        """What the store has, as it was last read for metrics."""

    @classmethod
    def open(
        cls,
        path: Path,
        key_wrapper: KeyWrapper,
        random: Callable[[int], bytes] = os.urandom,
        share: Share | None = None,
    ) -> Self:
        """Open the database file; arguments and errors are those of :meth:`.SQLiteDatabase.open`."""
        return cls(SQLiteDatabase.open(path, key_wrapper, random, share))

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
            submit = self._writer.submit if self._database.durability is None else self._write
            return await submit(work, slow=slow, account=account, on_commit=on_commit)
        try:
            if slow:
                result = await self._read_slowly(work, account)
            else:
                try:
                    begun = self._clock()
                    outcome: Any = work(self._reader)
                    # Most work is one step: a task switch, or even a coroutine, would cost it time.
                    if isinstance(outcome, GeneratorType):
                        result = await finish(outcome, account)
                    else:
                        result = outcome
                        used = self._clock() - begun
                        if used >= RESOLUTION:
                            shared_loop().owe(account, used)
                except (ReadingTooLong, Vanished):
                    result = await self._read_slowly(work, account)
        finally:
            # Also a refusal says something about what others have just committed.
            durability = self._database.durability
            if durability is not None and durability.is_behind:
                await durability.reached()
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
        # Those who watch the server must see what it counts also while it cannot read.
        with suppress(StoreError):
            self._contents = self._database.usage, entries.counts(self._reader)
        usage, kinds = self._contents
        return StoreFigures(
            writer=self._writer.counters,
            queued=self._writer.queued,
            readers=self._places.figures,
            objects=usage.objects,
            object_bytes=usage.size,
            entries=kinds,
            file_bytes=self._database.file_bytes(),
        )

    @property
    def rotations(self) -> Rotations:
        """How keys are rotated; see :class:`.base.Store`."""
        return self._database.rotations

    async def usages(self) -> dict[str, Usage]:
        """How much each owner has; see :class:`.base.Store`."""
        counts = self._database.usages
        return {
            name: counts[number]
            for name, number in self._reader.owner_numbers().items()
            if number in counts
        }

    def derive_key(self, purpose: str) -> bytes:
        """A key for a purpose; see :class:`.base.Store`."""
        return self._database.derive_key(purpose)

    async def run_alone(self, job: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task while no other process runs it; see :class:`.base.Store`."""
        await run_with(FileLease(self._database.lease_file(job)), task)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until :meth:`stop`, also if that was called before this task began to run."""
        self._clock = shared_loop().clock
        try:
            if not self._database.is_unchecked:
                await self._writer.run(task_status, self.journal)
                return
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._check)
                await self._writer.run(task_status, self.journal)
                nursery.cancel_scope.cancel()
        finally:
            # The store may be served again.
            counters = self._writer.counters
            self._writer = GroupCommit(self._database, counters, self._database.turns)

    async def stop(self) -> None:
        """Accept no more work that writes; :meth:`serve` ends when the queued work is written."""
        await self._writer.stop()

    def close(self) -> None:
        """Release files and locks."""
        for reader in self._idle_readers:
            reader.connection.close()
        self._idle_readers.clear()
        self._database.close()

    async def _check(self) -> None:
        """Compare the MACs of all objects with their sum, beside the work."""
        # Otherwise, and if the server ends, the next start finds the difference.
        with suppress(StoreError, trio.ClosedResourceError):
            more = await trio.to_thread.run_sync(
                finish_in_thread, self._database.check_beside(), _is_cancelled
            )
            if more:
                await self._writer.submit(lambda _: self._database.correct(more), slow=True)

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
            try:
                return finish_in_thread(work(reader), _is_cancelled)
            except Vanished:
                return finish_in_thread(work(reader), _is_cancelled)
        finally:
            self._idle_readers.append(reader)

    async def _write(
        self,
        work: Callable[[Any], _Result | Steps[_Result]],
        *,
        slow: bool,
        account: str,
        on_commit: Callable[[_Result], None] | None,
    ) -> _Result:
        try:
            return await self._writer.submit(work, slow=slow, account=account, on_commit=on_commit)
        except Exception:
            # A refusal is not committed, but may be due to what others have just committed.
            durability = self._database.durability
            if durability is not None:
                await durability.reached()
            raise
