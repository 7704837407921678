"""Reading a database without serving it, also while a server does: for commands."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from kmipkit.errors import KMIPError
from kmipkit_server.store.base import Usage
from kmipkit_server.store.errors import Damaged, StoreError
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.key_rotation import KeyFigures
from kmipkit_server.store.offline import no_key, no_new_key, no_random
from kmipkit_server.store.root_keys import KeyRing, KeyWrapper, open_keys
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.key_tables import data_key, root_key_rows
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.connection import SQLiteConnection
from kmipkit_server.store.sqlite.database import connect_to_read, has_content
from kmipkit_server.store.sqlite.errors import sqlite_errors
from kmipkit_server.store.sqlite.older_keys import older_integrity_key
from kmipkit_server.store.sqlite.summary import EVERY_MAC, Summary
from kmipkit_server.store.sqlite.usages import count
from kmipkit_server.store.sqlite.views import SQLiteReader


class _OlderReader(SQLiteReader):
    """A view of a database whose root key wraps the data keys itself: nothing says what it is."""

    def key_figures(self) -> KeyFigures:
        """StoreError: there is no entry of the root key."""
        raise StoreError(
            f"{self.name} was written by an older version of kmipkit, which did not store what root key"
            " it needs; start its server once, which migrates the database, and try again"
        )


class OfflineSQLite:
    """See :class:`kmipkit_server.store.offline.OfflineStore`. It takes no lock, and changes nothing."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        key_wrapper: KeyWrapper,
        name: str,
        *,
        opens_material: bool = False,
    ) -> None:
        """Use :meth:`open`."""
        with sqlite_errors(name):
            version = schema.version_of(connection)
            if not schema.FIRST_PROTECTED <= version <= len(schema.STEPS):
                raise StoreError(
                    f"{name} was written by another version of kmipkit; start its server once, or use"
                    " the version that it was written with"
                )
            self._sql = SQLiteConnection(connection, name)
            self._integrity, self._unwrap = _opened(self._sql, version, key_wrapper)
        self._connection = connection
        load = self._load_key if opens_material else no_key
        sealer = Sealer(no_random, load, no_new_key)
        kind = SQLiteReader if version >= schema.FIRST_WITH_ROOT_KEYS else _OlderReader
        self.reader = kind(connection, sealer, self._integrity, name)
        """A view of the committed state."""

    @classmethod
    def open(cls, path: Path, key_wrapper: KeyWrapper, *, opens_material: bool = False) -> Self:
        """Open the database of a server. StoreError if there is none, or the root key is another.

        ``opens_material`` is whether key material is read as well, or none.
        """
        if not has_content(path):
            raise StoreError(f"{path} does not exist; is this the data directory of a server?")
        with sqlite_errors(str(path)):
            connection = connect_to_read(path)
        try:
            return cls(connection, key_wrapper, str(path), opens_material=opens_material)
        except BaseException:  # of any kind: it is raised again
            connection.close()
            raise

    def usages(self) -> dict[str, Usage]:
        """How much each owner has that has anything."""
        numbers = {number: name for name, number in self.reader.owner_numbers().items()}
        with sqlite_errors(self.reader.name):
            counts = count(self._connection)
        return {numbers[owner]: Usage(*each) for owner, each in counts.items() if owner in numbers}

    def derive_key(self, purpose: str) -> bytes:
        """The key that the server derives for a purpose."""
        return self._integrity.derive_key(purpose)

    def faults(self) -> Iterator[str]:
        """What is wrong with the database as a whole: its form, and the sum of its MACs."""
        with sqlite_errors(self.reader.name):
            for (text,) in self._connection.execute("PRAGMA integrity_check"):
                if text != "ok":
                    yield f"SQLite: {text}"
            summary = Summary(self._connection, self._integrity)
            if not summary.read():
                yield "the summary of the database was changed by another program"
                return
            expected, summary.total = summary.total, 0
            for (mac,) in self._connection.execute(EVERY_MAC):
                summary.add(mac)
        if summary.total != expected:
            yield "objects were removed, or replaced by older or altered ones, by another program"

    @property
    def counter(self) -> int:
        """The number of transactions so far."""
        with sqlite_errors(self.reader.name):
            (counter,) = self._connection.execute("SELECT counter FROM summary").fetchone()
        return int(counter)

    def identifiers(self) -> list[str]:
        """The names of all objects in the database, those of all tenants."""
        with sqlite_errors(self.reader.name):
            rows = self._connection.execute("SELECT id FROM objects ORDER BY seq").fetchall()
        return [identifier for (identifier,) in rows]

    def _load_key(self, number: int) -> bytes:
        try:
            return self._unwrap(number)
        except StoreError:
            raise
        except KMIPError as error:
            raise StoreError(str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()


def _opened(
    sql: SQLiteConnection, version: int, key_wrapper: KeyWrapper
) -> tuple[Integrity, Callable[[int], bytes]]:
    """The MACs of a database, and what unwraps its data keys."""
    if version >= schema.FIRST_WITH_ROOT_KEYS:
        opened = open_keys(root_key_rows(sql), key_wrapper, sql.name)
        ring = KeyRing(opened.store_keys, opened.number, sql.name)

        def unwrap(number: int) -> bytes:
            key = data_key(sql, number)
            if key is None:
                raise Damaged(f"{sql.name}: data key {number} is missing")
            return ring.unwrap(key.root_key, key.wrapped)

        return opened.integrity, unwrap
    try:
        integrity = Integrity(key_wrapper.unwrap(older_integrity_key(sql, sql.name)))
    except StoreError:
        raise
    except KMIPError as error:
        raise StoreError(str(error)) from error

    def unwrap_older(number: int) -> bytes:
        row = sql.one("SELECT wrapped FROM data_keys WHERE number = ?", (number,))
        if row is None:
            raise Damaged(f"{sql.name}: data key {number} is missing")
        return key_wrapper.unwrap(bytes(row[0]))

    return integrity, unwrap_older
