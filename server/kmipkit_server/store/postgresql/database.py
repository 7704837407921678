"""The connection of a node that writes to a PostgreSQL database.

It holds the name of its node (an advisory lock), and has one transaction at a time. Transactions are
serializable. A transaction that has met a conflict is repeated alone: others wait for it meanwhile.

If the connection is lost during a commit, only the database knows whether the commit took place. A new
connection gets the name of the node only when the session of the old one has ended; then the counter in
the row of the node tells.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Self

from kmipkit.errors import KMIPError
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.errors import OutcomeUnknown, StoreError, Vanished
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.postgresql import schema, summary
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
from kmipkit_server.store.postgresql.errors import ConnectionLost, LockedTooLong
from kmipkit_server.store.postgresql.target import Target
from kmipkit_server.store.postgresql.transaction import PostgreSQLTransaction
from kmipkit_server.store.postgresql.views import PostgreSQLReader
from kmipkit_server.store.root_keys import KeyWrapper, entry_of, new_store_key, row_of
from kmipkit_server.store.sealing import KEY_SIZE, Sealer
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.key_rotations import KeyRotations
from kmipkit_server.store.sql.positions import Positions
from kmipkit_server.store.sql.store_keys import StoreKeys

log = logging.getLogger("kmipkit.server")

SECONDS_BETWEEN_COUNTERS = 60.0
"""How often the counter is stored beside the root key while the server writes."""
SECONDS_FOR_NAME = 30.0
"""How long a start waits for the session of an earlier server with the same name to end."""
SECONDS_FOR_OUTCOME = 30.0
"""How long a writer tries to find out whether a commit took place, before its clients are told that this
is not known."""
SECONDS_IDLE = 3
"""How long a node may have a transaction open without a statement. One that hangs has locks for which
the others wait; one that only was slow runs its group again."""
_PAUSE = 0.2
MILLISECONDS_FOR_TURN = 1000
"""How long a group waits until no other node has a transaction: three times longer each repetition,
so that it does not meet conflicts for ever. Others wait behind it."""
_BEGIN = "BEGIN ISOLATION LEVEL SERIALIZABLE"
_LOCK_TURNS = f"LOCK TABLE {schema.SCHEMA}.turns"

_LOCK = "hashtextextended('kmipkit node ' || ?, 0)"

_END_SESSION = """
    SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = current_database()
    AND l.pid = :pid AND ((CAST(l.classid AS BIGINT) << 32) | CAST(l.objid AS BIGINT))
        = hashtextextended('kmipkit node ' || :node, 0)"""
"""Ends the session of this server's earlier connection, which the database may not know to be lost."""


class PostgreSQLDatabase:
    """A database, as the node that writes to it sees it."""

    def __init__(
        self, target: Target, key_wrapper: KeyWrapper, random: Callable[[int], bytes], node: str
    ) -> None:
        """Use :meth:`open`."""
        self.target = target.of_node(node)
        self._node = node
        self._key_wrapper = key_wrapper
        self._saved = 0.0
        """When the counter was last stored, on the monotonic clock."""
        self._uncertain: int | None = None
        """The number of the transaction of which it is not known whether it was committed."""
        self._acknowledged = 0
        """The number of the last transaction that clients may know to be committed."""
        self.positions = Positions()
        """Where pages of searches have ended, for all views."""
        self.threads = threading.local()
        """``connection`` is the one with which this thread works."""
        self._sql = self._connected()
        try:
            schema.require_current(self._sql)
            self._take_name(SECONDS_FOR_NAME)
            self._add_root_key(random)
            self.keys = StoreKeys(self._connection, key_wrapper, target.name)
            self._integrity = self.keys.integrity
            self.rotations = KeyRotations(self.keys, random)
            self.sealer = Sealer(random, self._load_key, self._save_key)
            self._transaction = PostgreSQLTransaction(
                self._sql, self.sealer, self._integrity, target.name, node
            )
            self._transaction.summary.read()
            self._check_counter()
            self._warn_of_role()
        except BaseException:  # of any kind: it is raised again
            self._sql.raw.close()
            raise

    @classmethod
    def open(
        cls,
        target: Target,
        key_wrapper: KeyWrapper,
        random: Callable[[int], bytes] = os.urandom,
        node: str = "",
    ) -> Self:
        """Open a database that ``kmipkit admin store init`` has made.

        ``node`` is the name of this server among those that use the database at the same time.
        StoreError if there is no database, it is not one of this program, another server has the
        name, or it was written with another root key.
        """
        return cls(target, key_wrapper, random, node)

    def _connected(self) -> PostgreSQLConnection:
        """The connection that writes."""
        sql = self.target.connect()
        sql.run(f"SET idle_in_transaction_session_timeout = '{SECONDS_IDLE}s'")
        return sql

    def _warn_of_role(self) -> None:
        """Warn if the role of this server could change the tables."""
        if "/" in self._node:  # another worker's, which the first one has told
            return
        for text in schema.warnings(self._sql):
            log.warning("%s", text)

    def _take_name(self, seconds: float) -> None:
        """StoreError if a server with the name of this node goes on using the database."""
        end = time.monotonic() + seconds
        while self._sql.one(f"SELECT 1 WHERE pg_try_advisory_lock({_LOCK})", (self._node,)) is None:
            if time.monotonic() > end:
                raise StoreError(
                    f"{self.target.name} is in use by another server with the name"
                    f" {self._node!r}; give each server a name of its own with store.node"
                )
            time.sleep(_PAUSE)
        self._session = self._sql.raw.info.backend_pid

    def _add_root_key(self, random: Callable[[int], bytes]) -> None:
        """Make the keys of the database, if this is its first server."""
        if key_tables.root_key_numbers(self._sql):
            return
        self._require_new_root_key()
        integrity_key = random(KEY_SIZE)
        try:
            entry = entry_of(self._key_wrapper, integrity_key, {1: new_store_key(random)})
        except KMIPError as error:
            raise StoreError(str(error)) from error
        # Another server may be the first one, too: one of them is.
        self._sql.run(
            "INSERT INTO root_keys (number, entry, mac) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            row_of(1, entry, Integrity(integrity_key)),
        )

    def _connection(self) -> PostgreSQLConnection:
        """The connection with which this thread works."""
        connection: PostgreSQLConnection = getattr(self.threads, "connection", self._sql)
        return connection

    def _require_new_root_key(self) -> None:
        """StoreError for an empty database whose root key is not new: then a database was lost."""
        wrapper = self._key_wrapper
        if not wrapper.is_new:
            raise StoreError(
                f"{self.target.name} is empty, but there is a root key for it, {wrapper.name}; restore"
                " the database from a backup, or, to start with an empty one, remove"
                f" {wrapper.name} and {wrapper.counter_name}"
            )

    def _check_counter(self) -> None:
        """Warn if the database is a copy from an earlier time; from now on, it is the right one."""
        try:
            last = self._key_wrapper.counter()
        except KMIPError as error:
            raise StoreError(str(error)) from error
        counter = summary.counter_of(self._sql, self._integrity, self._node)
        if last is None and counter:
            # As with a file: the way out if the clock of a server was ahead by mistake.
            log.warning(
                "%s is missing: the database and the clock are taken as they are",
                self._key_wrapper.counter_name,
            )
            self._transaction.summary.forget_newest()
        elif last is not None and counter < last:
            log.warning(
                "%s is older than the database that was last used with this root key, by %d"
                " transactions of this server; what has changed since then, such as revocations, is"
                " lost",
                self.target.name,
                last - counter,
            )
        self._transaction.summary.read_newest()
        self._save_counter()

    def _save_counter(self) -> None:
        self._saved = time.monotonic()
        try:
            counter = summary.counter_of(self._sql, self._integrity, self._node)
            self.keys.save_counter(counter)
        except KMIPError as error:  # clients are served all the same
            log.warning("the counter of transactions is not stored: %s", error)

    @property
    def newest_time(self) -> datetime:
        """The newest time that a transaction has noted."""
        return self._transaction.summary.newest_time

    def check(self) -> None:
        """Compare the sums of the MACs with the rows, and log what does not agree.

        The servers go on with what there is: each single object is checked when it is read.
        """
        sql = self.target.connect()
        try:
            sql.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
            is_right = summary.check(sql, self._integrity)
            sql.run("COMMIT")
        finally:
            sql.raw.close()
        if not is_right:
            log.error(
                "%s was changed by another program: objects were removed, or replaced by older or"
                " altered ones; compare it with a backup",
                self.target.name,
            )

    @property
    def integrity(self) -> Integrity:
        """The MACs of this database."""
        return self._integrity

    def derive_key(self, purpose: str) -> bytes:
        """See :class:`.base.Store`."""
        return self._integrity.derive_key(purpose)

    def open_reader(self) -> PostgreSQLReader:
        """A view of the committed state, with its own connection; close it after use."""
        return PostgreSQLReader(
            self.target.connect(), self.sealer, self._integrity, self.target.name
        )

    def begin(self, *, repetition: int = 0) -> Transaction:
        """Open the transaction; a repetition waits until no other node has one, the first not for long.

        A node that is gone without a word has its transaction until the database notices.
        """
        self._require_connection()
        if not (repetition and self._begin_alone(MILLISECONDS_FOR_TURN * 3 ** (repetition - 1))):
            self._sql.broken, self._sql.is_alone = None, False
            self._sql.script(f"{_BEGIN}; {_LOCK_TURNS} IN ROW SHARE MODE")
        self._transaction.begun()
        return self._transaction

    def _begin_alone(self, milliseconds: int) -> bool:
        """Open the transaction while no other node has one; False if that takes too long."""
        self._sql.broken, self._sql.is_alone = None, True
        try:
            self._sql.script(
                f"{_BEGIN}; SET LOCAL lock_timeout = {milliseconds};"
                f" {_LOCK_TURNS} IN EXCLUSIVE MODE;"
                f" SET LOCAL lock_timeout = {self.target.lock_timeout}"
            )
        except LockedTooLong:
            self._sql.script("ROLLBACK")
            return False
        return True

    @property
    def transaction(self) -> PostgreSQLTransaction:
        """The transaction of :meth:`begin`."""
        return self._transaction

    @property
    def commits_at_once(self) -> bool:
        """A commit waits for the server."""
        return False

    def flush(self) -> None:
        """Nothing is left to do: a commit waits for the disk."""

    def commit(self) -> None:
        """Make the transaction durable.

        Conflict or ConnectionLost if it was not committed, so that it may run again; OutcomeUnknown
        if nobody knows.
        """
        self._transaction.require_whole()
        self._transaction.flush()
        try:
            self._sql.run("COMMIT")
        except ConnectionLost as error:
            self._uncertain = self._transaction.summary.counter
            if not self.settle(SECONDS_FOR_OUTCOME):
                raise ConnectionLost(f"{error}; the changes did not take place") from error
            return
        self._transaction.committed()
        self._acknowledged = self._transaction.summary.counter
        if time.monotonic() - self._saved > SECONDS_BETWEEN_COUNTERS:
            self._save_counter()

    @property
    def is_uncertain(self) -> bool:
        """Whether it is not known what became of the last transaction."""
        return self._uncertain is not None

    def settle(self, seconds: float = 0.0) -> bool:
        """Find out whether the last transaction was committed. OutcomeUnknown if that is impossible."""
        end = time.monotonic() + seconds
        while True:
            try:
                self._reconnect(max(0.0, end - time.monotonic()))
                was_committed = self._transaction.summary.counter >= (self._uncertain or 0)
                if was_committed:
                    self._confirm()
                break
            except StoreError as error:
                if time.monotonic() >= end:
                    raise OutcomeUnknown(
                        f"{error}; the connection was lost during a commit, so that it is not known"
                        " whether the changes took place"
                    ) from error
                time.sleep(_PAUSE)
        self._uncertain = None
        return was_committed

    def _confirm(self) -> None:
        """Commit a further transaction: then also a replica has what was committed before it.

        A session that ends while it waits for a synchronous replica leaves a commit that only the
        primary has.
        """
        self._transaction.summary.write()
        self._transaction.summary.committed()
        self._acknowledged = self._transaction.summary.counter

    def rollback(self) -> None:
        """Discard the transaction."""
        if self._sql.raw.closed or self.is_uncertain:
            return  # a new connection begins with the state of the database
        self._transaction.rolled_back()
        if self._sql.is_in_transaction:
            self._sql.broken = None
            self._sql.run("ROLLBACK")

    needs_cleaning = False
    """PostgreSQL itself removes the bytes of what was destroyed: see docs/postgresql.md."""

    def clean(self) -> None:
        """There is nothing to do."""

    def close(self) -> None:
        """End the connection."""
        if not self.is_uncertain:
            self._save_counter()
        with suppress(StoreError):
            # The name is free at once, and not when the session has ended.
            self._sql.run("SELECT pg_advisory_unlock_all()")
        self._sql.raw.close()

    def _require_connection(self) -> None:
        if self._sql.raw.closed:
            self._reconnect(SECONDS_FOR_NAME)

    def _reconnect(self, seconds: float) -> None:
        """Connect again, when the old session has ended. StoreError if that is impossible."""
        self._sql.raw.close()
        self._sql = self._connected()
        try:
            schema.require_current(self._sql)
            self._sql.run(_END_SESSION, {"node": self._node, "pid": self._session})
            self._take_name(seconds)
            self._transaction.connect(self._sql)
            self._note_lost()
        except BaseException:  # of any kind: it is raised again
            self._sql.raw.close()
            raise
        log.info("%s: connected again", self.target.name)

    def _note_lost(self) -> None:
        """An error in the log if the database is older than what was acknowledged."""
        lost = self._acknowledged - self._transaction.summary.counter
        if lost > 0:
            self._acknowledged -= lost
            log.error(
                "%s has lost %d transactions of this server that were acknowledged: the replica was"
                " behind when it became the primary; what has changed in them, such as revocations, is"
                " lost, and the audit log says what it was",
                self.target.name,
                lost,
            )

    def _load_key(self, number: int) -> bytes:
        key = key_tables.data_key(self._connection(), number)
        if key is None:
            raise Vanished(f"{self.target.name}: data key {number} is missing")
        return self.keys.ring.unwrap(key.root_key, key.wrapped)

    def _save_key(self, key: bytes) -> int:
        self.keys.require_current()  # in this transaction, so that no rotation can end before its end
        ring = self.keys.ring
        return self._sql.insert(
            "INSERT INTO data_keys (root_key, wrapped) VALUES (?, ?)",
            "number",
            (ring.current, ring.wrap(key)),
        )
