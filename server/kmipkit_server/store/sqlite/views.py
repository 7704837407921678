"""Reading and writing records through a connection to the database."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.tags import Tag
from kmipkit_server.store import index, packing
from kmipkit_server.store.base import (
    Located,
    LocateQuery,
    Reader,
    ReadingTooLong,
    Record,
    StoreError,
    Transaction,
    TransactionLost,
)
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sqlite import locate
from kmipkit_server.store.sqlite.attribute_sets import AttributeSets, own_part

_OBJECT = """
    SELECT o.id, w.name, o.type, o.state, o.attributes, k.attributes, o.material, o.data_key
    FROM objects o JOIN owners w ON w.number = o.owner JOIN kinds k ON k.number = o.kind
    WHERE o.id = ?"""


_NAMED = f"""
    SELECT o.id FROM attribute_index i JOIN objects o ON o.seq = i.object
    WHERE i.owner = ? AND i.attribute = '{index.name_of(Tag.NAME)}' AND i.field = {Tag.NAME_VALUE:d}
    AND i.value = ? AND o.state NOT IN ({", ".join(f"{state:d}" for state in DESTROYED_STATES)})
    ORDER BY o.seq DESC LIMIT 2"""  # noqa: S608 - numbers of the standard

_TYPES = {int(member): member for member in ObjectType}
_STATES = {int(member): member for member in State}


_ROWS_PER_INSERT = 64
"""Index rows that one statement inserts; this takes two thirds of the time of single inserts."""


@cache
def _insert_rows(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
    return (
        "INSERT INTO attribute_index (owner, attribute, field, value, object, instance)"  # noqa: S608 - placeholders
        f" VALUES {rows}"
    )


class sqlite_errors:  # noqa: N801 - used like a function; a class costs a third of a generator
    """Raises SQLite's errors as StoreError."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.OperationalError) and (
            error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
        ):
            raise ReadingTooLong from None
        if isinstance(error, sqlite3.Error):
            raise StoreError(f"{self._name}: {error}") from error


class _View:
    """The methods that reading and writing connections have in common."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer, name: str) -> None:
        self.connection = connection
        self.sealer = sealer
        self.name = name
        self._owners: dict[str, int] = {}

    def get(self, identifier: str) -> Record | None:
        """The object with this Unique Identifier."""
        with sqlite_errors(self.name):
            row = self.connection.execute(_OBJECT, (identifier,)).fetchone()
        if row is None:
            return None
        id_, owner, object_type, state, own, shared, sealed, key = row
        return Record(
            id_,
            owner,
            _TYPES[object_type] if object_type in _TYPES else ObjectType(object_type),
            _STATES[state],
            lambda: packing.unpack_all(own, shared),
            None if sealed is None else lambda: self.sealer.open(key, sealed, id_),
        )

    def locate(self, query: LocateQuery) -> Located:
        """The objects that meet all criteria, newest first."""
        owner = self.owner_number(query.owner)
        if owner is None:
            return Located((), 0)
        statement = locate.build_statement(query, owner)
        where = locate.conjunction(statement.conditions)
        limit = -1 if query.maximum is None else query.maximum
        page = statement.values | {"limit": limit, "offset": query.offset}
        with sqlite_errors(self.name):
            ids = tuple(
                identifier
                for (identifier,) in self.connection.execute(
                    f"SELECT id FROM objects WHERE {where} ORDER BY seq DESC"  # noqa: S608 - placeholders
                    " LIMIT :limit OFFSET :offset",
                    page,
                )
            )
            if query.maximum is None and not query.offset:
                return Located(ids, len(ids))
            (total,) = self.connection.execute(
                f"SELECT count(*) FROM objects WHERE {where}",  # noqa: S608 - placeholders
                statement.values,
            ).fetchone()
        return Located(ids, total)

    def find_by_name(self, owner: str, name: str) -> tuple[str, ...]:
        """Up to two objects with this name."""
        number = self.owner_number(owner)
        with sqlite_errors(self.name):
            return tuple(
                identifier
                for (identifier,) in self.connection.execute(_NAMED, (number, index.text(name)))
            )

    def owner_number(self, owner: str) -> int | None:
        """The number of an owner; None if it has never had an object."""
        number = self._owners.get(owner)
        if number is None:
            with sqlite_errors(self.name):
                row = self.connection.execute(
                    "SELECT number FROM owners WHERE name = ?", (owner,)
                ).fetchone()
            if row is None:
                return None
            number = self._owners[owner] = int(row[0])
        return number


class SQLiteReader(_View, Reader):
    """A view of the committed state."""


class SQLiteTransaction(_View, Transaction):
    """The transaction of the store, which the database begins and ends."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer, name: str) -> None:
        super().__init__(connection, sealer, name)
        self._sets = AttributeSets(connection)

    def insert(self, record: Record) -> None:
        """Store a new object."""
        owner = self._owner(record.owner)
        with sqlite_errors(self.name):
            key, sealed = self._sealed(record)
            number, own = self._sets.split(record.attributes)
            columns = _columns(record, own)
            cursor = self.connection.execute(
                "INSERT INTO objects (id, owner, kind, type, state, archived, activation, deactivation,"
                " attributes, material, data_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (record.id, owner, number, int(record.object_type), *columns, sealed, key),
            )
            self._add_rows(owner, cursor.lastrowid, index.rows(own))

    def update(self, old: Record, new: Record) -> None:
        """Replace an object; only the differences are written."""
        with sqlite_errors(self.name):
            seq, owner, previous = self.connection.execute(
                "SELECT seq, owner, kind FROM objects WHERE id = ?", (new.id,)
            ).fetchone()
            number, own = self._sets.split(new.attributes)
            self.connection.execute(
                "UPDATE objects SET kind = ?, state = ?, archived = ?, activation = ?,"
                " deactivation = ?, attributes = ? WHERE seq = ?",
                (number, *_columns(new, own), seq),
            )
            if number != previous:
                self._sets.release(previous)
            if not new.shares_material(old):
                key, sealed = self._sealed(new)
                self.connection.execute(
                    "UPDATE objects SET material = ?, data_key = ? WHERE seq = ?",
                    (sealed, key, seq),
                )
            removed, added = index.changed_rows(own_part(old.attributes), own)
            self._remove_rows(owner, seq, removed)
            self._add_rows(owner, seq, added)

    def remove(self, record: Record) -> None:
        """Delete an object with its attributes."""
        with sqlite_errors(self.name):
            seq, owner, number = self.connection.execute(
                "SELECT seq, owner, kind FROM objects WHERE id = ?", (record.id,)
            ).fetchone()
            self._remove_rows(owner, seq, index.rows(own_part(record.attributes)))
            self.connection.execute("DELETE FROM objects WHERE seq = ?", (seq,))
            self._sets.release(number)

    def clear_caches(self) -> None:
        """After a rollback: owners, sets and data keys in the caches may not be in the database."""
        self._owners.clear()
        self._sets.clear_cache()
        self.sealer.discard_current_key()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the transaction that is rolled back if it ends with an exception."""
        with sqlite_errors(self.name):
            self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as error:  # of any kind: it is raised again below
            self.clear_caches()
            # On some errors, such as a full disk, SQLite rolls back the whole transaction: then the
            # parts before this one are lost, too.
            if not self.connection.in_transaction:
                raise TransactionLost(str(error)) from error
            with sqlite_errors(self.name):
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
            raise
        with sqlite_errors(self.name):
            self.connection.execute("RELEASE part")

    def _owner(self, name: str) -> int:
        number = self.owner_number(name)
        if number is None:
            with sqlite_errors(self.name):
                self.connection.execute("INSERT INTO owners (name) VALUES (?)", (name,))
            number = self.owner_number(name)
            assert number is not None
        return number

    def _sealed(self, record: Record) -> tuple[int | None, bytes | None]:
        if record.material is None:
            return None, None
        return self.sealer.seal(record.material, record.id)

    def _remove_rows(self, owner: int, seq: int, rows: set[index.Row]) -> None:
        self.connection.executemany(
            "DELETE FROM attribute_index WHERE owner = ? AND attribute = ? AND field = ?"
            " AND value = ? AND object = ? AND instance = ?",
            [(owner, *row[:3], seq, row[3]) for row in rows],
        )

    def _add_rows(self, owner: int, seq: int | None, rows: set[index.Row]) -> None:
        ordered = sorted(rows)
        for start in range(0, len(ordered), _ROWS_PER_INSERT):
            part = ordered[start : start + _ROWS_PER_INSERT]
            values = [
                column
                for attribute, field, value, instance in part
                for column in (owner, attribute, field, value, seq, instance)
            ]
            self.connection.execute(_insert_rows(len(part)), values)


def _columns(record: Record, own: Attributes) -> tuple[int, int, int | None, int | None, bytes]:
    activation, deactivation = (
        None if date is None else int(date.timestamp())
        for date in (record.activation, record.deactivation)
    )
    state, archived = int(record.stored_state), int(record.is_archived)
    return state, archived, activation, deactivation, packing.pack(own)
