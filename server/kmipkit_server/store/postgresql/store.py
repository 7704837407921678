"""A store in a PostgreSQL database, which several servers may use at the same time.

Reading takes one thread and one connection of a pool for as long as it takes. Work that usually is short
has connections of its own, so that searches that take long do not delay it.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Self, TypeVar

import psycopg
import psycopg_pool
import trio
from psycopg.conninfo import make_conninfo

from kmipkit_server.store.base import Store, Usage
from kmipkit_server.store.counters import StoreFigures
from kmipkit_server.store.errors import ReadingTooLong, StoreError, Vanished
from kmipkit_server.store.key_rotation import Rotations
from kmipkit_server.store.leases import run_with
from kmipkit_server.store.lock import take_lock
from kmipkit_server.store.places import Places
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
from kmipkit_server.store.postgresql.database import PostgreSQLDatabase
from kmipkit_server.store.postgresql.errors import ConnectionLost, as_store_error
from kmipkit_server.store.postgresql.leases import AdvisoryLease
from kmipkit_server.store.postgresql.target import Target
from kmipkit_server.store.postgresql.usages import all_usages
from kmipkit_server.store.postgresql.views import PostgreSQLReader, QuickReader
from kmipkit_server.store.postgresql.writer import PostgreSQLWriter
from kmipkit_server.store.root_keys import KeyWrapper
from kmipkit_server.store.slices import Steps, finish_in_thread
from kmipkit_server.store.sql import entries

log = logging.getLogger("kmipkit.server")

_Result = TypeVar("_Result")

SLOW_CONNECTIONS = 4
"""Connections for work that only reads and takes long; one account uses half of them at most."""
SECONDS_BETWEEN_FIGURES = 15.0
ATTEMPTS = 3
"""How often work that reads runs, if connections turn out to be lost."""
_PATIENCE = 5.0
"""Seconds that work waits for a connection of the pool."""


class _Connection(psycopg.Connection[Any]):
    """A connection of a pool, with its view."""

    reader: PostgreSQLReader
    made: float
    """When, on the monotonic clock."""


class Pool:
    """Connections for reading, each with a view."""

    def __init__(
        self, database: PostgreSQLDatabase, view: type[PostgreSQLReader], size: int, name: str
    ) -> None:
        self._database = database
        self._view = view
        self._target = database.target
        self._pool = psycopg_pool.ConnectionPool(
            make_conninfo(**self._target.parameters),
            connection_class=_Connection,
            min_size=1,
            max_size=size,
            timeout=_PATIENCE,
            max_idle=300,
            # A connection that is older than this may be to a server that is the primary no longer.
            max_lifetime=600,
            # Whoever needs a connection then makes the pool try again.
            reconnect_timeout=2,
            num_workers=1,
            configure=self._configure,
            kwargs={"autocommit": True},
            name=name,
            open=False,
        )
        self.threads = trio.CapacityLimiter(size)
        self._lost = 0.0
        """When a connection was last found to be lost."""

    def open(self) -> None:
        """Begin to connect."""
        # Whoever needs a connection is told why there is none; the pool would log each attempt.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        self._pool.open()

    def close(self) -> None:
        """End all connections."""
        self._pool.close()

    def read(self, work: Callable[[Any], Any], is_abandoned: Callable[[], bool]) -> Any:
        """The result of work, in a thread; after a lost connection, it runs again."""
        for _ in range(ATTEMPTS - 1):
            try:
                with self._reader() as reader:
                    return finish_in_thread(work(reader), is_abandoned)
            except Vanished:
                continue
            except ConnectionLost:
                # The others may be lost as well. They are not tried: if a machine is gone, each would
                # take seconds to find that out.
                self._lost = monotonic()
        with self._reader() as reader:
            return finish_in_thread(work(reader), is_abandoned)

    @contextmanager
    def _reader(self) -> Iterator[PostgreSQLReader]:
        raw = self._connection()
        threads = self._database.threads
        threads.connection = raw.reader.sql
        try:
            yield raw.reader
        finally:
            del threads.connection
            self._pool.putconn(raw)

    def _connection(self) -> _Connection:
        """A connection that is newer than the last one that was lost. StoreError if there is none."""
        while True:
            try:
                raw = self._pool.getconn()
            except psycopg.Error as error:
                raise as_store_error(error, self._target.name) from None
            if raw.made > self._lost:
                return raw
            raw.close()
            self._pool.putconn(raw)  # which makes another one

    def _configure(self, raw: _Connection) -> None:
        target, database = self._target, self._database
        target.prepare(raw)
        sql = PostgreSQLConnection(raw, target.name, target.quick_timeout, target.statement_timeout)
        raw.made = monotonic()
        raw.reader = self._view(sql, database.sealer, database.integrity, target.name)
        raw.reader.positions = database.positions


def _is_cancelled() -> bool:
    """In a thread: never, but trio.Cancelled if its task has been cancelled meanwhile."""
    trio.from_thread.check_cancelled()
    return False


class PostgreSQLStore(Store):
    """See :class:`.base.Store`."""

    is_shared = True

    def __init__(self, database: PostgreSQLDatabase, connections: int) -> None:
        """Use :meth:`open`."""
        self._database = database
        self._writer = PostgreSQLWriter(database)
        self._quick = Pool(database, QuickReader, connections, "reading")
        self._slow = Pool(database, PostgreSQLReader, SLOW_CONNECTIONS, "reading slowly")
        self._places = Places(SLOW_CONNECTIONS)
        self._cleanup = ExitStack()
        self._total = Usage()
        self._bytes: dict[str, int] = {}
        self._entries: dict[str, int] = {}
        for pool in (self._quick, self._slow):
            pool.open()

    @classmethod
    def open(
        cls,
        target: Target,
        key_wrapper: KeyWrapper,
        random: Callable[[int], bytes] = os.urandom,
        node: str = "",
        connections: int = 8,
        lock: Path | None = None,
    ) -> Self:
        """Open a database; errors and arguments are those of :meth:`.PostgreSQLDatabase.open`.

        Args:
            connections: How many pieces of work that are short can read at the same time.
            lock: The file that a server locks while it uses its data directory.
        """
        with ExitStack() as cleanup:
            if lock is not None:
                cleanup.callback(os.close, take_lock(lock))
            store = cls(PostgreSQLDatabase.open(target, key_wrapper, random, node), connections)
            store._cleanup = cleanup.pop_all()
        return store

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
            return await self._writer.submit(work, slow=slow, account=account, on_commit=on_commit)
        result: _Result
        if slow:
            result = await self._read_slowly(work, account)
        else:
            try:
                result = await self._read(self._quick, work)
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
        """The state of the store, for metrics; objects and bytes are counted now and then."""
        return StoreFigures(
            writer=self._writer.counters,
            queued=self._writer.queued,
            readers=self._places.figures,
            objects=self._total.objects,
            object_bytes=self._total.size,
            file_bytes=self._bytes,
            entries=self._entries,
        )

    async def usages(self) -> dict[str, Usage]:
        """How much each owner has; see :class:`.base.Store`."""
        usages: dict[str, Usage] = await self._read(self._slow, _usages)
        return usages

    @property
    def rotations(self) -> Rotations:
        """How keys are rotated; see :class:`.base.Store`."""
        return self._database.rotations

    def derive_key(self, purpose: str) -> bytes:
        """A key for a purpose; see :class:`.base.Store`."""
        return self._database.derive_key(purpose)

    async def run_alone(self, job: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task while no other server runs it; see :class:`.base.Store`."""
        await run_with(AdvisoryLease(self._database.target, job), task)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until :meth:`stop`, also if that was called before this task began to run."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._check)
                nursery.start_soon(self._count)
                await self._writer.run(task_status, self.journal)
                nursery.cancel_scope.cancel()
        finally:
            # The store may be served again.
            self._writer = PostgreSQLWriter(self._database, self._writer.counters)

    async def stop(self) -> None:
        """Accept no more work that writes; :meth:`serve` ends when the queued work is written."""
        await self._writer.stop()

    def close(self) -> None:
        """End all connections."""
        for pool in (self._quick, self._slow):
            pool.close()
        self._database.close()
        self._cleanup.close()

    async def _read_slowly(
        self, work: Callable[[Any], _Result | Steps[_Result]], account: str
    ) -> _Result:
        async with self._places.take(account):
            result: _Result = await self._read(self._slow, work)
        return result

    @staticmethod
    async def _read(pool: Pool, work: Callable[[Any], Any]) -> Any:
        return await trio.to_thread.run_sync(pool.read, work, _is_cancelled, limiter=pool.threads)

    async def _check(self) -> None:
        """Compare the sums of the MACs with the rows, once."""
        with suppress(StoreError):
            await trio.to_thread.run_sync(self._database.check)

    async def _count(self) -> None:
        """Count what figures need, now and then."""
        while True:
            with suppress(StoreError):
                usages, self._bytes, self._entries = await self._read(self._slow, _figures)
                self._total = Usage(
                    sum(each.objects for each in usages.values()),
                    sum(each.size for each in usages.values()),
                )
            await trio.sleep(SECONDS_BETWEEN_FIGURES)


def _usages(reader: PostgreSQLReader) -> dict[str, Usage]:
    return all_usages(reader.sql)


def _figures(
    reader: PostgreSQLReader,
) -> tuple[dict[str, Usage], dict[str, int], dict[str, int]]:
    (size,) = reader.sql.one("SELECT pg_database_size(current_database())") or (0,)
    return all_usages(reader.sql), {"database": size}, entries.counts(reader)
