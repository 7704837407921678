"""An embedded store as one side of a copy."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from kmipkit_server.store.copying import Summary
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.integrity import MAC_SIZE, Integrity, is_same_mac
from kmipkit_server.store.lock import take_lock
from kmipkit_server.store.root_keys import Row as RootKeyRow
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.connection import Row
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.connection import SQLiteConnection
from kmipkit_server.store.sqlite.database import has_content, lock_file
from kmipkit_server.store.sqlite.errors import sqlite_errors
from kmipkit_server.store.sqlite.usages import count_again

_AT_ONCE = 1000


class SQLiteCopy:
    """See :class:`kmipkit_server.store.copying.Destination`."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        """Use :func:`source` or :func:`destination`."""
        self.name = name
        self._connection = connection
        self._sql = SQLiteConnection(connection, name)

    def root_keys(self) -> list[RootKeyRow]:
        """The entries of the root keys."""
        return key_tables.root_key_rows(self._sql)

    def summary(self, integrity: Integrity) -> Summary:
        """What the database knows of itself; nothing if another program has changed that."""
        row = self._sql.one("SELECT counter, newest, total, mac FROM summary")
        if row is None:
            raise StoreError(f"{self.name} has no summary; restore it from a backup")
        counter, newest, total, mac = row
        if not is_same_mac(mac, integrity.of_summary(counter, newest, total)):
            raise StoreError(
                f"the summary of {self.name} was changed by another program; restore it from a backup"
            )
        return Summary(counter, newest, int.from_bytes(total, "big"))

    def require_alone(self) -> None:
        """The lock of the data directory sees to that."""

    def stream(self, sql: str) -> Iterator[Row]:
        """The rows of a long query."""
        return self._sql.each(sql)

    def write(self, table: str, columns: tuple[str, ...], rows: Iterator[Row]) -> None:
        """Write all rows of a table."""
        while part := list(islice(rows, _AT_ONCE)):
            self._sql.insert_rows(table, columns, part)

    def delete_setting(self, name: str) -> None:
        """Remove a setting."""
        self._sql.run("DELETE FROM settings WHERE name = ?", (name,))

    def finish(self, rows: Sequence[RootKeyRow], summary: Summary, integrity: Integrity) -> None:
        """Write what the server will know of the database."""
        encoded = summary.total.to_bytes(MAC_SIZE, "big")
        self._sql.run(
            "INSERT INTO summary (number, counter, newest, total, mac) VALUES (1, ?, ?, ?, ?)",
            (
                summary.counter, summary.newest, encoded,
                integrity.of_summary(summary.counter, summary.newest, encoded),
            ),
        )  # fmt: skip
        self._sql.run(
            "INSERT INTO last_data_key (row, number) SELECT 1, coalesce(max(number), 0) FROM data_keys"
        )
        for row in rows:
            key_tables.write_root_key(self._sql, row)
        with sqlite_errors(self.name):
            count_again(self._connection)


@contextmanager
def source(path: Path) -> Iterator[SQLiteCopy]:
    """The store in a file, which no server uses meanwhile. StoreError otherwise."""
    if not has_content(path):
        raise StoreError(f"{path} does not exist; is this the data directory of a server?")
    lock = take_lock(lock_file(path))
    try:
        with sqlite_errors(str(path)), closing(_connect(path)) as connection:
            _require_newest(connection, path)
            connection.execute("BEGIN")
            yield SQLiteCopy(connection, str(path))
    finally:
        os.close(lock)


@contextmanager
def destination(path: Path) -> Iterator[SQLiteCopy]:
    """A new file, which is there only when the copy is whole. StoreError if there is one already."""
    if has_content(path):
        raise StoreError(f"{path} exists already; move it away before you copy a store to it")
    for suffix in ("-wal", "-journal"):
        rest = path.with_name(path.name + suffix)
        if rest.exists():  # SQLite would put what is in it into the new file
            raise StoreError(f"{rest} belongs to the file that was here; move it to that one")
    lock = take_lock(lock_file(path))
    temporary = path.with_name(f"{path.name}.copy")
    try:
        for suffix in ("", "-wal", "-shm", "-journal"):  # of a copy that was killed
            temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with sqlite_errors(str(path)), closing(_connect(temporary)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            schema.migrate(connection, str(path))
            connection.execute("BEGIN IMMEDIATE")
            yield SQLiteCopy(connection, str(path))
            connection.execute("COMMIT")
        _rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def _require_newest(connection: sqlite3.Connection, path: Path) -> None:
    version = schema.version_of(connection)
    schema.require_known(version, len(schema.STEPS), str(path))
    if version < len(schema.STEPS):
        raise StoreError(
            f"{path} has schema {version}; start its server once with this version of kmipkit, which"
            f" migrates it to schema {len(schema.STEPS)}"
        )


def _rename(temporary: Path, path: Path) -> None:
    for each in (temporary, temporary.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            if each == temporary:
                temporary.rename(path)
        finally:
            os.close(descriptor)
