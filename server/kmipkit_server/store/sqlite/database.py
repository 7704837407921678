"""The database file: its lock, its connections and its data keys.

One connection writes; others read what is committed. A lock file prevents a second server from using
the same directory.
"""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from kmipkit.errors import KMIPError
from kmipkit_server.store.base import StoreError, Transaction, Usage
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.sealing import KEY_SIZE, KeyWrapper, Sealer
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.event_loop import EventLoopReader
from kmipkit_server.store.sqlite.protection import protect_rows
from kmipkit_server.store.sqlite.summary import add_summary, read_integrity_key
from kmipkit_server.store.sqlite.views import SQLiteReader, SQLiteTransaction, sqlite_errors

log = logging.getLogger("kmipkit.server")

SECONDS_BETWEEN_COUNTERS = 60.0
"""How often the counter is stored beside the root key while the server writes."""


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
    ) -> None:
        """Use :meth:`open`."""
        self._lock = lock
        self._path = path
        self._name = str(path)
        self._writing = writing
        self._key_wrapper = key_wrapper
        self._saved = 0.0
        """When the counter was last stored, on the monotonic clock."""
        self._last_key = 0
        """The highest number of a data key so far."""
        self._sealer = Sealer(key_wrapper, random, self._load_key, self._save_key)
        self._migrate(random)
        self._integrity = Integrity(self._integrity_key())
        self._transaction = SQLiteTransaction(writing, self._sealer, self._integrity, self._name)
        self._transaction.summary.check(self._name)
        self._transaction.usages.read()
        self._check_counter()
        try:
            self.clean()  # what a server has destroyed before it crashed
        except StoreError as error:  # such as a full disk, which need not prevent a start
            log.warning("the write-ahead log is not emptied: %s", error)
        self.reader = self._open(EventLoopReader)
        """A view of the committed state, for the thread that opened the database."""

    @classmethod
    def open(
        cls, path: Path, key_wrapper: KeyWrapper, random: Callable[[int], bytes] = os.urandom
    ) -> Self:
        """Open the database, or create it if it does not exist.

        ``key_wrapper`` protects the data keys; ``random`` generates them. StoreError if the database
        is in use, unreadable, or was written with another root key.
        """
        with ExitStack() as cleanup:
            lock = _take_lock(lock_file(path))
            cleanup.callback(os.close, lock)
            if not has_content(path):
                _require_new_root_key(path, key_wrapper)
            with sqlite_errors(str(path)):
                # SQLite creates its other files with the mode of the database.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                writing = cleanup.enter_context(closing(_connect(path)))
                writing.execute("PRAGMA journal_mode = WAL")
                database = cls(lock, writing, key_wrapper, random, path)
            cleanup.pop_all()
            return database

    def _migrate(self, random: Callable[[int], bytes]) -> None:
        def finish(version: int) -> None:
            if version < schema.FIRST_PROTECTED:
                key = random(KEY_SIZE)
                add_summary(self._writing, self._key_wrapper.wrap(key))
            else:
                key = self._integrity_key()
            rows = SQLiteTransaction(self._writing, self._sealer, Integrity(key), self._name)
            if version < schema.FIRST_PROTECTED:
                protect_rows(rows)
            if version < schema.FIRST_WITH_ROTATIONS:
                rows.fill_rotations()

        version = schema.version_of(self._writing)
        if not version:
            _require_new_root_key(self._path, self._key_wrapper)
        else:
            self._check_root_key()
            if version < schema.FIRST_PROTECTED:
                self._require_no_counter()
        if 0 < version < len(schema.STEPS):
            log.warning(
                "%s: migrating from schema %d to %d, which older versions of kmipkit cannot read",
                self._name, version, len(schema.STEPS),
            )  # fmt: skip
        schema.migrate(self._writing, self._name, finish=finish)

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
            self._key_wrapper.save_counter(self._transaction.summary.counter)
        except KMIPError as error:  # clients are served all the same
            log.warning("the counter of transactions is not stored: %s", error)

    def _check_root_key(self) -> None:
        """StoreError if this database was written with another root key."""
        row = self._writing.execute(
            "SELECT number FROM data_keys ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if row is not None:
            self._sealer.check(row[0])

    def _integrity_key(self) -> bytes:
        try:
            return self._key_wrapper.unwrap(read_integrity_key(self._writing, self._name))
        except StoreError:
            raise
        except KMIPError as error:
            raise StoreError(str(error)) from error

    @property
    def newest_time(self) -> datetime:
        """The newest time that a transaction has noted."""
        return self._transaction.summary.newest_time

    @property
    def usage(self) -> Usage:
        """What all owners have together."""
        return self._transaction.usages.total

    def file_bytes(self) -> dict[str, int]:
        """The size of the database and of its write-ahead log."""
        paths = {"database": self._path, "log": self._path.with_name(f"{self._path.name}-wal")}
        return {name: _size(path) for name, path in paths.items()}

    def derive_key(self, purpose: str) -> bytes:
        """See :class:`.base.Store`."""
        return self._integrity.derive_key(purpose)

    def open_reader(self) -> SQLiteReader:
        """Another view of the committed state, with its own connection; close it after use."""
        return self._open(SQLiteReader)

    def _open(self, view: type[_Reader]) -> _Reader:
        with sqlite_errors(self._name):
            connection = connect_to_read(self._path)
        return view(connection, self._sealer, self._integrity, self._name)

    def begin(self) -> Transaction:
        """Open the transaction; there is only one at a time."""
        with sqlite_errors(self._name):
            self._transaction.connection.execute("BEGIN IMMEDIATE")
        return self._transaction

    def commit(self) -> None:
        """Make the transaction durable; this waits for the disk."""
        with sqlite_errors(self._name):
            self._transaction.summary.write()
            self._transaction.connection.execute("COMMIT")
        self._transaction.committed()
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
        os.close(self._lock)

    def _load_key(self, number: int) -> bytes:
        with sqlite_errors(self._name):
            row = self._writing.execute(
                "SELECT wrapped FROM data_keys WHERE number = ?", (number,)
            ).fetchone()
        if row is None:
            raise StoreError(f"{self._name}: data key {number} is missing")
        return bytes(row[0])

    def _save_key(self, wrapped: bytes) -> int:
        # No number is used twice, even if its key was deleted: the old key may be in a cache.
        (highest,) = self._writing.execute("SELECT max(number) FROM data_keys").fetchone()
        self._last_key = max(self._last_key, highest or 0) + 1
        self._writing.execute(
            "INSERT INTO data_keys (number, wrapped) VALUES (?, ?)", (self._last_key, wrapped)
        )
        return self._last_key


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


def _take_lock(path: Path) -> int:
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
