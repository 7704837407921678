"""An embedded store as one side of a copy."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import cast

from kmipkit_server.store.base import StoreError
from kmipkit_server.store.copying import Heading
from kmipkit_server.store.integrity import MAC_SIZE, Integrity
from kmipkit_server.store.lock import take_lock
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
        self.integrity: Integrity | None = None
        """Set before :meth:`finish`."""

    def heading(self) -> Heading:
        """What the database knows of itself."""
        row = self._sql.one("SELECT counter, newest FROM summary")
        if row is None:
            raise StoreError(f"{self.name} has no summary; restore it from a backup")
        return Heading(key_tables.root_key_rows(self._sql), *row)

    def stream(self, sql: str) -> Iterator[Row]:
        """The rows of a long query."""
        return self._sql.each(sql)

    def write(self, table: str, columns: tuple[str, ...], rows: Iterator[Row]) -> None:
        """Write all rows of a table."""
        while part := list(islice(rows, _AT_ONCE)):
            self._sql.insert_rows(table, columns, part)

    def finish(self, heading: Heading, total: int) -> None:
        """Write what the server will know of the database."""
        integrity = cast("Integrity", self.integrity)
        encoded = total.to_bytes(MAC_SIZE, "big")
        self._sql.run(
            "INSERT INTO summary (number, counter, newest, total, mac) VALUES (1, ?, ?, ?, ?)",
            (
                heading.counter, heading.newest, encoded,
                integrity.of_summary(heading.counter, heading.newest, encoded),
            ),
        )  # fmt: skip
        self._sql.run(
            "INSERT INTO last_data_key (row, number) SELECT 1, coalesce(max(number), 0) FROM data_keys"
        )
        for row in heading.root_keys:
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
    lock = take_lock(lock_file(path))
    temporary = path.with_name(f"{path.name}.copy")
    try:
        temporary.unlink(missing_ok=True)
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
