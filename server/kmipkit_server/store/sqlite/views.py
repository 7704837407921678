"""Reading and writing records through a connection to the database."""

import sqlite3
import sys
from contextlib import suppress
from datetime import datetime
from functools import cache

from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.tags import Tag
from kmipkit_server.store import criteria, index, packing
from kmipkit_server.store.base import (
    Damaged,
    DueRotation,
    Located,
    LocateQuery,
    Reader,
    ReadingTooLong,
    Record,
    SearchTooLong,
    StoreError,
    Transaction,
    TransactionLost,
    Usage,
)
from kmipkit_server.store.integrity import Integrity, is_same_mac
from kmipkit_server.store.rotation import rotation_time
from kmipkit_server.store.sealing import Sealed, Sealer
from kmipkit_server.store.sqlite import locate, rotations
from kmipkit_server.store.sqlite.attribute_sets import AttributeSets, own_part
from kmipkit_server.store.sqlite.locate import Statement
from kmipkit_server.store.sqlite.summary import Summary
from kmipkit_server.store.sqlite.usages import ROW_SIZE, Usages

# Left joins: an owner or attribute set that was removed makes a damaged object, not a missing one.
_OBJECT = """
    SELECT o.id, w.name, o.type, o.state, o.attributes, k.attributes, o.material, o.data_key,
        o.nonce, o.mac
    FROM objects o LEFT JOIN owners w ON w.number = o.owner LEFT JOIN kinds k ON k.number = o.kind
    WHERE o.id = ?"""


_FOR_UPDATE = f"""
    SELECT seq, owner, kind, mac, data_key, nonce, {ROW_SIZE}, ifnull(length(material), 0)
    FROM objects WHERE id = ?"""  # noqa: S608 - no value


_NAMED = f"""
    SELECT o.id FROM attribute_index i JOIN objects o ON o.seq = i.object
    WHERE i.owner = ? AND i.attribute = '{index.LIVE_NAME}' AND i.field = {index.WHOLE}
    AND i.value = ? ORDER BY i.object DESC LIMIT 2"""  # noqa: S608 - constants of the index

_TYPES = {int(member): member for member in ObjectType}
_STATES = {int(member): member for member in State}


_ROWS_PER_INSERT = 64
"""Index rows that one statement inserts; this takes two thirds of the time of single inserts."""


MAX_CHECKED = 1000
"""Results of a Locate that are compared with its criteria, since nothing protects the index itself. A
client that wants more, checked as well, asks for them in pages."""

STEPS_PER_TICK = 5000
"""Steps of SQLite's virtual machine between two calls of the progress handler: half a millisecond."""
TICKS_IN_PLACE = 1
"""Ticks on the event loop. SQLite counts the steps of a statement that it has cached from one use to
the next, so that the first tick may come at any time, and the second after the whole number of steps."""
STEPS_PER_OBJECT = 50
"""Steps that a search may take for each object that it may look at. A few criteria take half of them."""


@cache
def _insert_rows(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
    # OR IGNORE: rows that another program has left of an object that it removed stop no insert.
    return (
        "INSERT OR IGNORE INTO attribute_index (owner, attribute, field, value, object, instance)"  # noqa: S608 - placeholders
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


def damaged_object(identifier: str) -> Damaged:
    """The error of an object whose row was changed."""
    return Damaged(
        f"the object {identifier} was changed in the database by another program;"
        " restore it from a backup"
    )


class _View:
    """The methods that reading and writing connections have in common."""

    def __init__(
        self, connection: sqlite3.Connection, sealer: Sealer, integrity: Integrity, name: str
    ) -> None:
        self.connection = connection
        self.sealer = sealer
        self.integrity = integrity
        self.name = name
        self._owners: dict[str, int] = {}
        self._ticks: int | None = None
        """Ticks until the current search is interrupted; None if nothing interrupts it."""
        connection.set_progress_handler(self._on_tick, STEPS_PER_TICK)

    def _on_tick(self) -> bool:
        """Whether SQLite interrupts the statement."""
        if self._ticks is None:
            return False
        self._ticks -= 1
        return self._ticks < 0

    def get(self, identifier: str) -> Record | None:
        """The object with this Unique Identifier."""
        with sqlite_errors(self.name):
            row = self.connection.execute(_OBJECT, (identifier,)).fetchone()
        if row is None:
            return None
        id_, owner, object_type, state, own, shared, sealed, key, nonce, mac = row
        # The joins are outer ones, so that a missing row of theirs shows here.
        attributes = (
            None
            if owner is None or shared is None
            else self.integrity.attributes(
                id_, owner, object_type, state, own, shared, key, nonce, mac
            )
        )
        if attributes is None:
            raise damaged_object(id_)
        return Record(
            id_,
            owner,
            _TYPES[object_type] if object_type in _TYPES else ObjectType(object_type),
            _STATES[state],
            attributes,
            None if sealed is None else lambda: self.sealer.open(key, nonce, sealed, id_),
        )

    def locate(self, query: LocateQuery) -> Located:
        """The objects that meet all criteria, newest first."""
        return self.checked(query, self.search(query))

    def search(self, query: LocateQuery, *, in_place: bool = False) -> Located:
        """The objects that meet all criteria according to the index.

        ``in_place`` is for the event loop: ReadingTooLong if it takes long.
        """
        owner = self.owner_number(query.owner)
        if owner is None:
            return Located((), 0)
        self._ticks = TICKS_IN_PLACE if in_place else _ticks(query)
        try:
            statement = locate.build_statement(query, owner)
            ids = self._page(query, statement)
            is_whole = query.maximum is None and not query.offset
            total = len(ids) if is_whole else self._total(statement, in_place=in_place)
        except ReadingTooLong:
            if in_place or query.limit is None:
                raise
            raise SearchTooLong(
                f"the search would look at more than {query.limit} objects, which is the maximum;"
                " use criteria that fewer objects meet, such as a Name"
            ) from None
        finally:
            self._ticks = None
        if query.limit is not None and len(ids) > query.limit:
            raise SearchTooLong(
                f"more than {query.limit} objects meet the criteria, which is the maximum; use more"
                " criteria, or Maximum Items and Offset Items"
            )
        return Located(ids, total)

    def _page(self, query: LocateQuery, statement: Statement) -> tuple[str, ...]:
        where = locate.conjunction(statement.conditions)
        # One more than permitted, to know that there are more.
        limits = [query.maximum, None if query.limit is None else query.limit + 1]
        limit = min((each for each in limits if each is not None), default=-1)
        page = statement.values | {"limit": limit, "offset": query.offset}
        order = "ASC" if query.oldest_first else "DESC"
        sql = (
            f"SELECT id FROM objects WHERE {where} ORDER BY seq {order} LIMIT :limit OFFSET :offset"  # noqa: S608 - placeholders
        )
        with sqlite_errors(self.name):
            return tuple([identifier for (identifier,) in self.connection.execute(sql, page)])

    def _total(self, statement: Statement, *, in_place: bool) -> int | None:
        """The number of objects on all pages.

        "A server MAY elect to omit this value from the Response if it is unable or unwilling to
        determine the total count of matched items" (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28).
        """
        where = locate.conjunction(statement.conditions)
        try:
            with sqlite_errors(self.name):
                (total,) = self.connection.execute(
                    f"SELECT count(*) FROM objects WHERE {where}",  # noqa: S608 - placeholders
                    statement.values,
                ).fetchone()
        except ReadingTooLong:
            if in_place:
                raise
            return None
        return int(total)

    def checked(self, query: LocateQuery, located: Located) -> Located:
        """The result of a search without objects that do not meet the criteria."""
        ids, rest = located.ids[:MAX_CHECKED], located.ids[MAX_CHECKED:]
        checked = tuple([each for each in ids if self._is_met(query, each)])
        if located.total is None or len(checked) == len(ids):
            return Located(checked + rest, located.total)
        return Located(checked + rest, located.total - len(ids) + len(checked))

    def find_by_name(self, owner: str, name: str) -> tuple[str, ...]:
        """Up to two objects with this name."""
        number = self.owner_number(owner)
        with sqlite_errors(self.name):
            rows = self.connection.execute(_NAMED, (number, index.text(name))).fetchall()
        return tuple(
            identifier for (identifier,) in rows if self._has_name(identifier, owner, name)
        )

    def _has_name(self, identifier: str, owner: str, name: str) -> bool:
        try:
            record = self.get(identifier)
        except Damaged:
            return True  # the name stays in use, and who uses the object learns that it is damaged
        if record is None or record.owner != owner or record.is_destroyed:
            return False
        return any(each.name_value == name for each in record.attributes.all(Tag.NAME))

    def _is_met(self, query: LocateQuery, identifier: str) -> bool:
        try:
            record = self.get(identifier)
        except Damaged:
            return True  # who uses it learns that it is damaged
        return record is not None and criteria.is_met(query, record)

    def setting(self, name: str) -> bytes | None:
        """What the server has stored for itself under this name."""
        with sqlite_errors(self.name):
            row = self.connection.execute(
                "SELECT value, mac FROM settings WHERE name = ?", (name,)
            ).fetchone()
        return None if row is None else self._checked_setting(name, *row)

    def settings(self, prefix: str) -> dict[str, bytes]:
        """What the server has stored for itself under names that begin so."""
        with sqlite_errors(self.name):
            rows = self.connection.execute(
                "SELECT name, value, mac FROM settings WHERE name >= ? AND name < ? ORDER BY name",
                (prefix, prefix + chr(sys.maxunicode)),
            ).fetchall()
        return {name: self._checked_setting(name, value, mac) for name, value, mac in rows}

    def _checked_setting(self, name: str, value: bytes, mac: bytes) -> bytes:
        if not is_same_mac(mac, self.integrity.of_setting(name, value)):
            raise Damaged(f"the setting {name} was changed in the database")
        return bytes(value)

    def due_rotation(self, now: int, after: tuple[int, int]) -> DueRotation | None:
        """The object that is to be rotated first, of those after a position."""
        with sqlite_errors(self.name):
            return rotations.next_due(self.connection, now, after)

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


class _Savepoint:
    """A part of a transaction; a class, as :class:`sqlite_errors` is."""

    __slots__ = ("_position", "_transaction")

    def __init__(self, transaction: "SQLiteTransaction") -> None:
        self._transaction = transaction

    def __enter__(self) -> None:
        self._position = self._transaction.begin_part()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._transaction.end_part()
        else:
            self._transaction.undo_part(self._position, error)


class SQLiteTransaction(_View, Transaction):
    """The transaction of the store, which the database begins and ends."""

    def __init__(
        self, connection: sqlite3.Connection, sealer: Sealer, integrity: Integrity, name: str
    ) -> None:
        super().__init__(connection, sealer, integrity, name)
        self.summary = Summary(connection, integrity)
        self.usages = Usages(connection)
        self._sets = AttributeSets(connection)
        self._released: list[int] = []
        """Data keys that this transaction has deleted."""
        self.has_destroyed = False
        """Whether material or attributes were destroyed whose bytes may still be in the files."""

    def insert(self, record: Record) -> None:
        """Store a new object."""
        owner = self._owner(record.owner)
        with sqlite_errors(self.name):
            sealed = self._sealed(record)
            attribute_set, own = self._sets.split(record.attributes)
            columns = _columns(record, own)
            mac = self._mac(record, columns[-1], attribute_set.packed, sealed)
            cursor = self.connection.execute(
                "INSERT INTO objects (id, owner, kind, type, state, archived, activation, deactivation,"
                " attributes, mac, data_key, nonce, material)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    record.id, owner, attribute_set.number, int(record.object_type),
                    *columns, mac, *sealed,
                ),
            )  # fmt: skip
            self.summary.add(mac)
            self.usages.change(
                owner, _alive(record), _size(columns[-1], attribute_set.packed, sealed.material)
            )
            self._add_rows(owner, cursor.lastrowid, index.rows(own) | _live_names(record))
            rotations.write(self.connection, cursor.lastrowid, None, rotation_time(record))

    def update(self, old: Record, new: Record) -> None:
        """Replace an object; only the differences are written."""
        with sqlite_errors(self.name):
            seq, owner, previous, old_mac, key, nonce, old_size, length = self.connection.execute(
                _FOR_UPDATE, (new.id,)
            ).fetchone()
            attribute_set, own = self._sets.split(new.attributes)
            columns = _columns(new, own)
            keeps_material = new.shares_material(old)
            sealed = Sealed(key, nonce, b"") if keeps_material else self._sealed(new)
            mac = self._mac(new, columns[-1], attribute_set.packed, sealed)
            self.connection.execute(
                "UPDATE objects SET kind = ?, state = ?, archived = ?, activation = ?,"
                " deactivation = ?, attributes = ?, mac = ? WHERE seq = ?",
                (attribute_set.number, *columns, mac, seq),
            )
            self.summary.remove(old_mac)
            self.summary.add(mac)
            if attribute_set.number != previous:
                self._sets.release(previous)
            if not keeps_material:
                self.connection.execute(
                    "UPDATE objects SET data_key = ?, nonce = ?, material = ? WHERE seq = ?",
                    (*sealed, seq),
                )
                self._release_key(key)
                length = len(sealed.material or b"")
            size = _size(columns[-1], attribute_set.packed, None) + length
            self.usages.change(owner, _alive(new) - _alive(old), size - old_size)
            removed, added = index.changed_rows(own_part(old.attributes), own)
            old_names, new_names = _live_names(old), _live_names(new)
            self._remove_rows(owner, seq, removed | (old_names - new_names))
            self._add_rows(owner, seq, added | (new_names - old_names))
            rotations.write(self.connection, seq, rotation_time(old), rotation_time(new))

    def remove(self, record: Record) -> None:
        """Delete an object with its attributes."""
        with sqlite_errors(self.name):
            seq, owner, number, mac, key, _, size, _ = self.connection.execute(
                _FOR_UPDATE, (record.id,)
            ).fetchone()
            self.usages.change(owner, -_alive(record), -size)
            rows = index.rows(own_part(record.attributes)) | _live_names(record)
            self._remove_rows(owner, seq, rows)
            rotations.write(self.connection, seq, rotation_time(record), None)
            self.connection.execute("DELETE FROM objects WHERE seq = ?", (seq,))
            self.summary.remove(mac)
            self._sets.release(number)
            self._release_key(key)

    def set_setting(self, name: str, value: bytes | None) -> None:
        """Store something for the server itself."""
        with sqlite_errors(self.name):
            row = self.connection.execute(
                "DELETE FROM settings WHERE name = ? RETURNING mac", (name,)
            ).fetchone()
            if row is not None:
                self.summary.remove(row[0])
            if value is not None:
                mac = self.integrity.of_setting(name, value)
                self.connection.execute(
                    "INSERT INTO settings (name, value, mac) VALUES (?, ?, ?)", (name, value, mac)
                )
                self.summary.add(mac)

    def fill_rotations(self) -> None:
        """Find the objects of an older database that are to be rotated."""
        name = index.name_of(Tag.ROTATE_AUTOMATIC)
        rows = self.connection.execute(
            "SELECT o.seq, o.id FROM objects o JOIN kind_index i ON i.kind = o.kind"
            " WHERE i.attribute = ?",
            (name,),
        ).fetchall()
        for seq, identifier in rows:
            with suppress(Damaged):
                record = self.get(identifier)
                if record is not None:
                    rotations.write(self.connection, seq, None, rotation_time(record))

    def usage(self, owner: str) -> Usage:
        """How much an owner has, with the changes of this transaction."""
        return self.usages.of(self.owner_number(owner))

    def note_time(self, now: datetime) -> None:
        """Note the time of a request."""
        self.summary.note_time(now)

    def committed(self) -> None:
        """After a commit: readers need the data keys that it has deleted no longer."""
        self.usages.committed()
        for number in self._released:
            self.sealer.forget(number)
        self._released.clear()

    def rolled_back(self) -> None:
        """After a rollback: what it has undone must not be used."""
        self.usages.undo()
        self._released.clear()
        self._clear_caches()
        with sqlite_errors(self.name):
            self.summary.read()

    def _clear_caches(self) -> None:
        """After a rollback: owners, sets and data keys in the caches may not be in the database."""
        self._owners.clear()
        self._sets.clear_cache()
        current = self.sealer.current_key
        with sqlite_errors(self.name):
            sql = "SELECT 1 FROM data_keys WHERE number = ?"
            if current and self.connection.execute(sql, (current,)).fetchone() is None:
                self.sealer.retire_current_key()
                self.sealer.forget(current)

    def savepoint(self) -> _Savepoint:
        """A part of the transaction that is rolled back if it ends with an exception."""
        return _Savepoint(self)

    def begin_part(self) -> tuple[int, int, int]:
        """Set a savepoint; what is in memory at this place, for :meth:`undo_part`."""
        with sqlite_errors(self.name):
            self.connection.execute("SAVEPOINT part")
        return self.summary.total, len(self._released), self.usages.position

    def end_part(self) -> None:
        """Keep what the part has changed."""
        with sqlite_errors(self.name):
            self.connection.execute("RELEASE part")

    def undo_part(self, position: tuple[int, int, int], error: BaseException) -> None:
        """Roll the part back after an error; TransactionLost if nothing is left of the transaction."""
        # On some errors, such as a full disk, SQLite rolls back the whole transaction: then the
        # parts before this one are lost, too.
        if not self.connection.in_transaction:
            self.rolled_back()
            raise TransactionLost(str(error)) from error
        with sqlite_errors(self.name):
            self.connection.execute("ROLLBACK TO part")
            self.connection.execute("RELEASE part")
        self.summary.total, released, usages = position
        self.usages.undo(usages)
        del self._released[released:]
        self._clear_caches()

    def _release_key(self, number: int | None) -> None:
        """Delete the data key of destroyed material, unless it seals another object as well."""
        self.has_destroyed = True
        if number is None:
            return
        sql = "SELECT 1 FROM objects WHERE data_key = ? LIMIT 1"
        if self.connection.execute(sql, (number,)).fetchone() is None:
            self.connection.execute("DELETE FROM data_keys WHERE number = ?", (number,))
            self._released.append(number)
            if number == self.sealer.current_key:
                self.sealer.retire_current_key()

    def _owner(self, name: str) -> int:
        number = self.owner_number(name)
        if number is None:
            with sqlite_errors(self.name):
                self.connection.execute("INSERT INTO owners (name) VALUES (?)", (name,))
            number = self.owner_number(name)
            assert number is not None
        return number

    def _sealed(self, record: Record) -> Sealed:
        if record.material is None:
            return Sealed(None, None, None)
        return self.sealer.seal(record.material, record.id)

    def _mac(self, record: Record, own: bytes, shared: bytes, sealed: Sealed) -> bytes:
        return self.integrity.of_object(
            record.id, record.owner, int(record.object_type), int(record.stored_state),
            own, shared, sealed.data_key, sealed.nonce,
        )  # fmt: skip

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


def _ticks(query: LocateQuery) -> int | None:
    """How many ticks a search away from the event loop may take."""
    return None if query.limit is None else 1 + query.limit * STEPS_PER_OBJECT // STEPS_PER_TICK


def _live_names(record: Record) -> set[index.Row]:
    """The names of a record in the index of those that are not destroyed."""
    return set() if record.is_destroyed else index.live_names(record.attributes)


def _alive(record: Record) -> int:
    """How much a record counts among the objects of its owner."""
    return 0 if record.is_destroyed else 1


def _size(own: bytes, shared: bytes, material: bytes | None) -> int:
    """The bytes of an object; :data:`.usages.ROW_SIZE` is the same in SQL."""
    return len(own) + len(shared) + (0 if material is None else len(material))


def _columns(record: Record, own: Attributes) -> tuple[int, int, int | None, int | None, bytes]:
    activation, deactivation = (
        None if date is None else int(date.timestamp())
        for date in (record.activation, record.deactivation)
    )
    state, archived = int(record.stored_state), int(record.is_archived)
    return state, archived, activation, deactivation, packing.pack(own)
