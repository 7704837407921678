"""The database file: its lock, its connections and its data keys.

One connection writes; others read what is committed. A lock file prevents a second server from using
the same directory.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from kmipkit.errors import KMIPError
from kmipkit_server.store.base import Transaction, Usage
from kmipkit_server.store.errors import StoreError, Vanished
from kmipkit_server.store.lock import Share, take_lock
from kmipkit_server.store.root_keys import KeyRing, KeyWrapper
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.slices import Steps
from kmipkit_server.store.sql.key_rotations import KeyRotations
from kmipkit_server.store.sql.key_tables import (
    WrappedKey,
    data_key,
    insert_data_key,
)
from kmipkit_server.store.sql.positions import Positions
from kmipkit_server.store.sql.store_keys import StoreKeys
from kmipkit_server.store.sqlite import schema, usages
from kmipkit_server.store.sqlite.connection import SQLiteConnection
from kmipkit_server.store.sqlite.durability import Durability
from kmipkit_server.store.sqlite.errors import sqlite_errors
from kmipkit_server.store.sqlite.event_loop import EventLoopReader
from kmipkit_server.store.sqlite.older_keys import add_root_key, check_older_root_key
from kmipkit_server.store.sqlite.protection import protect_rows
from kmipkit_server.store.sqlite.summary import add_summary, difference, report_change
from kmipkit_server.store.sqlite.transaction import SQLiteTransaction
from kmipkit_server.store.sqlite.turns import Turns
from kmipkit_server.store.sqlite.views import SQLiteReader

log = logging.getLogger("kmipkit.server")

SECONDS_BETWEEN_COUNTERS = 60.0
"""How often the counter is stored beside the root key while the server writes."""

CHANGES_BETWEEN_CHECKPOINTS = 4096
"""Rows that several processes change until what is in the log is copied to the database: a row is about
a page in the log, of which a single process has as many (``wal_autocheckpoint``)."""

CHECKED_BEFORE_START = 20_000
"""Objects, about, up to which a start compares all MACs with their sum. With more, it does not wait:
the server compares them beside its work."""


_Reader = TypeVar("_Reader", bound=SQLiteReader)


class SQLiteDatabase:
    """A database file and its lock."""

    def __init__(
        self,
        lock: int,
        writing: sqlite3.Connection,
        key_wrapper: KeyWrapper,
        random: Callable[[int], bytes],
        path: Path,
        share: Share | None = None,
    ) -> None:
        """Use :meth:`open`."""
        self._lock = lock
        self.turns = None if share is None else Turns(path)
        """Whose turn it is to write; None for the only process."""
        self.durability: Durability | None = None
        """Which commits are on the disk; None for the only process, whose commits wait for it."""
        self._path = path
        self._name = str(path)
        self._writing = writing
        self._key_wrapper = key_wrapper
        self._changes = 0
        """Rows that this process has changed."""
        self._saved = 0.0
        """When the counter was last stored, on the monotonic clock."""
        self._last_key = 0
        """The highest number that this process has given to a data key."""
        self._version = 0
        """A number that another one replaces when another process has written."""
        is_first = share is None or share.is_first
        self._ring: KeyRing
        """For the migration; afterwards it is that of the keys."""
        self._has_reader = False
        self.is_unchecked = False
        """Whether the MACs are still to be compared with their sum, by :meth:`check_beside`."""
        self._positions = Positions()
        self._sealer = Sealer(random, self._load_key, self._save_key)
        self._sql = SQLiteConnection(writing, self._name)
        if is_first:
            self._migrate(random)
        self.keys = StoreKeys(lambda: self._sql, key_wrapper, self._name)
        self._integrity, self._ring = self.keys.integrity, self.keys.ring
        self.rotations = KeyRotations(self.keys, random)
        self._transaction = SQLiteTransaction(writing, self._sealer, self._integrity, self._name)
        self._version = self._data_version()
        if is_first:
            self._check()
        else:
            self._transaction.summary.read()
        self.reader = self._open(EventLoopReader)
        """A view of the committed state, for the thread that opened the database."""
        self._has_reader = True
        if share is not None:
            self.durability = Durability(path, is_first=is_first)
            # From here on, flush() waits for the disk, and not the turn of this process.
            writing.execute("PRAGMA synchronous = NORMAL")
            writing.execute("PRAGMA wal_autocheckpoint = 0")

    @classmethod
    def open(
        cls,
        path: Path,
        key_wrapper: KeyWrapper,
        random: Callable[[int], bytes] = os.urandom,
        share: Share | None = None,
    ) -> Self:
        """Open the database, or create it if it does not exist.

        ``key_wrapper`` protects the data keys; ``random`` generates them; ``share`` is given where
        several processes of one server use the database. StoreError if the database is in use,
        unreadable, or was written with another root key.
        """
        with ExitStack() as cleanup:
            lock = take_lock(lock_file(path)) if share is None else os.dup(share.lock)
            cleanup.callback(os.close, lock)
            if not has_content(path):
                _require_new_root_key(path, key_wrapper)
            with sqlite_errors(str(path)):
                # SQLite creates its other files with the mode of the database.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                writing = cleanup.enter_context(closing(_connect(path)))
                writing.execute("PRAGMA journal_mode = WAL")
                database = cls(lock, writing, key_wrapper, random, path, share)
            cleanup.pop_all()
            return database

    def _migrate(self, random: Callable[[int], bytes]) -> None:
        def finish(version: int) -> None:
            if version >= schema.FIRST_WITH_ROOT_KEYS:
                return
            self._ring, integrity = add_root_key(self._sql, self._key_wrapper, random, self._name)
            rows = SQLiteTransaction(self._writing, self._sealer, integrity, self._name)
            if version < schema.FIRST_PROTECTED:
                add_summary(self._writing)
                protect_rows(rows)
            if version < schema.FIRST_WITH_ROTATIONS:
                rows.fill_rotations()
            if version < schema.FIRST_WITH_TOTALS:
                usages.count_again(self._writing)

        version = schema.version_of(self._writing)
        self._require_root_key(version)
        if 0 < version < len(schema.STEPS):
            log.warning(
                "%s: migrating from schema %d to %d, which older versions of kmipkit cannot read",
                self._name, version, len(schema.STEPS),
            )  # fmt: skip
        schema.migrate(self._writing, self._name, finish=finish)

    def _require_root_key(self, version: int) -> None:
        """StoreError, before anything is changed, if a database has another root key."""
        if not version:
            _require_new_root_key(self._path, self._key_wrapper)
        elif version < schema.FIRST_WITH_ROOT_KEYS:
            check_older_root_key(self._sql, version, self._key_wrapper, self._name)
            if version < schema.FIRST_PROTECTED:
                self._require_no_counter()
        elif version < len(schema.STEPS):
            StoreKeys(lambda: self._sql, self._key_wrapper, self._name)

    def _check(self) -> None:
        """Compare the database with what is known of it, and remove what a crash has left."""
        summary = self._transaction.summary
        self.is_unchecked = self._is_large() and summary.read()
        if not self.is_unchecked and not summary.check(self._name):
            self._count_again()
        self._note_place()
        self._check_counter()
        try:
            self.clean()  # what a server has destroyed before it crashed
        except StoreError as error:  # such as a full disk, which need not prevent a start
            log.warning("the write-ahead log is not emptied: %s", error)

    def _is_large(self) -> bool:
        (last,) = self._writing.execute("SELECT coalesce(max(seq), 0) FROM objects").fetchone()
        return int(last) > CHECKED_BEFORE_START

    def check_beside(self) -> Steps[int]:
        """How much the sum of all MACs differs from the summary; any thread may ask."""
        with sqlite_errors(self._name), closing(connect_to_read(self._path)) as connection:
            connection.execute("BEGIN")  # one view of the database
            result = yield from difference(connection, self._integrity)
        self.is_unchecked = False
        return result

    def correct(self, more: int) -> None:
        """In a transaction: go on with what there is, after the check has found a difference."""
        report_change(self._name)
        with sqlite_errors(self._name):
            self._transaction.summary.correct(more)
            self._transaction.usages.count_again()

    def _note_place(self) -> None:
        """Store where the root key is, if that is not where it was at the last start."""
        if self.keys.is_elsewhere():
            self._writing.execute("BEGIN IMMEDIATE")
            self.keys.note_place()
            self._writing.execute("COMMIT")

    def _count_again(self) -> None:
        """Count what the owners have, since another program has changed rows."""
        self._writing.execute("BEGIN IMMEDIATE")
        usages.count_again(self._writing)
        self._writing.execute("COMMIT")

    def _data_version(self) -> int:
        return int(self._writing.execute("PRAGMA data_version").fetchone()[0])

    def _require_no_counter(self) -> None:
        """StoreError if this older database cannot be the one that was used last.

        Its rows have no MACs yet. Otherwise an intruder could make a database look like one of an
        older version, and the migration would compute the MACs.
        """
        if self._counter() is not None:
            raise StoreError(
                f"{self._name} was written by an older version of kmipkit than the last database of"
                " this root key; if you have restored it on purpose, remove"
                f" {self._key_wrapper.counter_name}"
            )

    def _counter(self) -> int | None:
        try:
            return self._key_wrapper.counter()
        except KMIPError as error:
            raise StoreError(str(error)) from error

    def _check_counter(self) -> None:
        """Warn if the database is a copy from an earlier time; from now on, it is the right one."""
        summary, last = self._transaction.summary, self._counter()
        if last is None:
            # Without the counter nothing is expected of the database, nor of the clock: removing it
            # is the way out if the clock was ahead by mistake.
            summary.newest = 0
            if summary.counter > 1:
                log.warning(
                    "%s is missing: the database and the clock are taken as they are",
                    self._key_wrapper.counter_name,
                )
        elif summary.counter < last:
            log.warning(
                "%s is older than the database that was last used with this root key, by %d"
                " transactions; what has changed since then, such as revocations, is lost",
                self._name,
                last - summary.counter,
            )
        self._save_counter()

    def _save_counter(self) -> None:
        self._saved = time.monotonic()
        try:
            self.keys.save_counter(self._transaction.summary.newest_counter())
        except KMIPError as error:  # clients are served all the same
            log.warning("the counter of transactions is not stored: %s", error)

    @property
    def newest_time(self) -> datetime:
        """The newest time that a transaction has noted."""
        return self._transaction.summary.newest_time

    @property
    def usages(self) -> dict[int, Usage]:
        """What each owner has, by the owner's number."""
        with sqlite_errors(self._name):
            return usages.read(self.reader.connection)

    @property
    def usage(self) -> Usage:
        """What all owners have together."""
        with sqlite_errors(self._name):
            return usages.read_total(self.reader.connection)

    def file_bytes(self) -> dict[str, int]:
        """The size of the database and of its write-ahead log."""
        paths = {"database": self._path, "log": self._path.with_name(f"{self._path.name}-wal")}
        return {name: _size(path) for name, path in paths.items()}

    def lease_file(self, job: str) -> Path:
        """The file that the process locks which does a job for all."""
        return self._path.with_name(f"{self._path.name}.{job}.lease")

    def derive_key(self, purpose: str) -> bytes:
        """See :class:`.base.Store`."""
        return self._integrity.derive_key(purpose)

    def open_reader(self) -> SQLiteReader:
        """Another view of the committed state, with its own connection; close it after use."""
        return self._open(SQLiteReader)

    def _open(self, view: type[_Reader]) -> _Reader:
        with sqlite_errors(self._name):
            connection = connect_to_read(self._path)
        reader = view(connection, self._sealer, self._integrity, self._name)
        reader.positions = self._positions
        return reader

    def begin(self) -> Transaction:
        """Open the transaction; there is only one at a time."""
        with sqlite_errors(self._name):
            self._writing.execute("BEGIN IMMEDIATE")
            version = self._data_version()
        if version != self._version:
            self._version = version
            self._transaction.changed_by_others()
        return self._transaction

    @property
    def commits_at_once(self) -> bool:
        """Whether a commit does not wait for the disk: it is :meth:`flush` that does."""
        return self.durability is not None and not self.durability.is_in_doubt

    def commit(self) -> None:
        """Make the transaction visible, and durable if there is one process; any thread may call it."""
        self._transaction.before_commit()
        durability = self.durability
        with (
            sqlite_errors(self._name),
            nullcontext() if durability is None else durability.commit(),
        ):
            self._writing.execute("COMMIT")
        self._transaction.committed()
        if durability is not None:
            before, self._changes = self._changes, self._writing.total_changes
            durability.note_changes(self._changes - before)
            if durability.is_in_doubt:
                self._settle(durability)

    def _settle(self, durability: Durability) -> None:
        """Write what is in the log into the database, since the system could not flush the log."""
        with suppress(sqlite3.Error):
            is_busy, *_ = self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy:
                durability.settled()

    def flush(self) -> None:
        """Wait until all that is committed is on the disk; any thread may call it."""
        durability = self.durability
        if durability is not None:
            durability.flush()
            if durability.take_checkpoint(CHANGES_BETWEEN_CHECKPOINTS):
                with suppress(sqlite3.Error):  # a later one does it
                    self._writing.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if time.monotonic() - self._saved > SECONDS_BETWEEN_COUNTERS:
            self._save_counter()

    def rollback(self) -> None:
        """Discard the transaction."""
        with sqlite_errors(self._name):
            if self._transaction.connection.in_transaction:
                self._transaction.connection.execute("ROLLBACK")
        self._transaction.rolled_back()

    @property
    def needs_cleaning(self) -> bool:
        """Whether the files may still contain bytes of what was destroyed."""
        return self._transaction.has_destroyed

    def clean(self) -> None:
        """Empty the write-ahead log, which has the pages before a Destroy; any thread may call it.

        In the database itself SQLite has overwritten them (``secure_delete``).
        """
        with sqlite_errors(self._name):
            is_busy, *_ = self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        # A reader may need the log for a moment: then it is emptied after a later transaction.
        self._transaction.has_destroyed = bool(is_busy)

    def close(self) -> None:
        """Release files and locks."""
        self._save_counter()
        self.reader.connection.close()
        self._transaction.connection.close()
        if self.turns is not None:
            self.turns.close()
        if self.durability is not None:
            self.durability.close()
        os.close(self._lock)

    def _load_key(self, number: int) -> bytes:
        with sqlite_errors(self._name):
            key = data_key(self._sql, number)
            if key is None and self._has_reader:
                # The transaction in progress may have deleted it, which readers do not see yet.
                key = data_key(self.reader.sql, number)
        if key is None:
            raise Vanished(f"{self._name}: data key {number} is missing")
        return self._ring.unwrap(key.root_key, key.wrapped)

    def _save_key(self, key: bytes) -> int:
        self.keys.require_current()  # in this transaction, so that no rotation can end before its end
        # No number is used twice, even if its key was deleted, or its transaction rolled back: the old
        # key may be in a cache, of this or of another process.
        (highest,) = self._writing.execute(
            "SELECT max(coalesce((SELECT max(number) FROM data_keys), 0),"
            " coalesce((SELECT number FROM last_data_key), 0))"
        ).fetchone()
        number = self._last_key = max(self._last_key, int(highest)) + 1
        self._writing.execute(
            "INSERT INTO last_data_key (row, number) VALUES (1, ?)"
            " ON CONFLICT (row) DO UPDATE SET number = excluded.number",
            (number,),
        )
        wrapped = WrappedKey(number, self._ring.current, self._ring.wrap(key))
        insert_data_key(self._sql, wrapped)
        return number


_SETTINGS = (
    "synchronous = FULL",
    "foreign_keys = ON",
    "busy_timeout = 5000",
    # Overwrites what is deleted: the sealed material of destroyed objects and their data keys.
    "secure_delete = ON",
    # The journals of savepoints are temporary: in memory they cost no writes, and leave no traces.
    "temp_store = MEMORY",
    # 4096 pages, 16 MB: index entries are in random places, and with a long log those of many
    # commits are copied to the database together.
    "wal_autocheckpoint = 4096",
)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # there is no log at the moment
        return 0


def has_content(path: Path) -> bool:
    """Whether there is a database that is not an empty file."""
    return path.exists() and path.stat().st_size > 0


def _require_new_root_key(path: Path, key_wrapper: KeyWrapper) -> None:
    """StoreError for an empty database whose root key is not new: then a database was lost."""
    if not key_wrapper.is_new:
        raise StoreError(
            f"{path} is missing or empty, but there is a root key for it, {key_wrapper.name}; restore"
            " the database from a backup, or, to start with an empty one, remove"
            f" {path}, {key_wrapper.name} and {key_wrapper.counter_name}"
        )


def lock_file(path: Path) -> Path:
    """The file that a server locks while it uses a database; it contains the process ID."""
    return path.with_name(f"{path.name}.lock")
