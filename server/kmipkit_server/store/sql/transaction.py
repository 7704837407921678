"""Writing records through a connection to the database."""

from abc import abstractmethod
from datetime import datetime
from typing import Any, Protocol

from kmipkit.spec.tags import Tag
from kmipkit_server.store import index, packing
from kmipkit_server.store.base import REVISION, Entry, Record, Usage
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.inventory import InventoryTransaction
from kmipkit_server.store.rotation import rotation_time
from kmipkit_server.store.sealing import Sealed, Sealer
from kmipkit_server.store.sql import entries, rotations
from kmipkit_server.store.sql.attribute_sets import AttributeSets, own_part
from kmipkit_server.store.sql.connection import INDEX, Connection, Dialect, Row, index_rows
from kmipkit_server.store.sql.row_content import (
    ROW_SIZE,
    columns_of,
    count_of,
    live_names,
    size_of,
)
from kmipkit_server.store.sql.savepoint import Savepoint
from kmipkit_server.store.sql.views import View

_FOR_UPDATE = f"""
    SELECT seq, owner, kind, mac, data_key, nonce, {ROW_SIZE}, coalesce(length(material), 0)
    FROM objects WHERE id = ?"""  # noqa: S608 - no value


_SEALED_WITH = """
    SELECT 1 WHERE EXISTS (SELECT 1 FROM objects WHERE data_key = ?)
    OR EXISTS (SELECT 1 FROM entries WHERE data_key = ?)"""


class Changes(Protocol):
    """What a transaction notes in memory about the rows that it changes."""

    def add(self, mac: bytes) -> None:
        """A new row has this MAC."""

    def remove(self, mac: bytes) -> None:
        """A row with this MAC is removed."""

    def note_time(self, now: datetime) -> None:
        """The time of a request."""


class Counts(Protocol):
    """What the owners have, as a transaction counts it; owners are numbers."""

    def of(self, owner: int) -> Usage:
        """What an owner has, with the changes of the transaction."""

    def change(self, owner: int, objects: int, size: int) -> None:
        """Note more or, if negative, fewer objects and bytes."""


class SQLTransaction(View, InventoryTransaction):
    """The transaction of a store, which its database begins and ends."""

    summary: Changes
    usages: Counts

    def __init__(
        self,
        sql: Connection,
        dialect: Dialect,
        sealer: Sealer,
        integrity: Integrity,
        name: str,
    ) -> None:
        super().__init__(sql, dialect, sealer, integrity, name)
        self._sets = AttributeSets(sql)
        self._revision: bytes | None = None
        self._knows_revision = False
        """Whether it has read the revision of the policies; each new object asks for it."""
        self._released: list[int] = []
        """Data keys that this transaction has deleted."""
        self.has_destroyed = False
        """Whether material or attributes were destroyed whose bytes may still be in the files."""

    def insert(self, record: Record) -> None:
        """Store a new object."""
        owner = self._owner(record.owner)
        sealed = self._sealed(record)
        written = record.written
        if written is None:
            attribute_set, own = self._sets.split(record.attributes)
            columns = columns_of(record, own)
        else:
            attribute_set = self._sets.set_of(written.shared)
            columns = int(record.stored_state), 0, None, None, written.own
        mac = self._mac(record, columns[-1], attribute_set.packed, sealed)
        seq = self.sql.insert(
            "INSERT INTO objects (id, owner, kind, type, state, archived, activation, deactivation,"
            " attributes, mac, data_key, nonce, material)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            "seq",
            (
                record.id, owner, attribute_set.number, int(record.object_type),
                *columns, mac, *sealed,
            ),
        )  # fmt: skip
        self.summary.add(mac)
        self.usages.change(
            owner, count_of(record), size_of(columns[-1], attribute_set.packed, sealed.material)
        )
        if written is not None:
            self.sql.insert_index(owner, seq, written.places, written.values)
            return
        rows = index.listed(own)
        if not record.is_destroyed:
            rows += index.live_names_of(rows)
        self.sql.insert_index(owner, seq, *index.divided(rows))
        if attribute_set.may_rotate:
            rotations.write(self.sql, seq, None, rotation_time(record))

    def update(self, old: Record, new: Record) -> None:
        """Replace an object; only the differences are written."""
        seq, owner, previous, old_mac, key, nonce, old_size, length = self._row(new)
        attribute_set, own = self._sets.split(new.attributes)
        columns = columns_of(new, own)
        keeps_material = new.shares_material(old)
        sealed = Sealed(key, nonce, b"") if keeps_material else self._sealed(new)
        mac = self._mac(new, columns[-1], attribute_set.packed, sealed)
        self.sql.run(
            "UPDATE objects SET kind = ?, state = ?, archived = ?, activation = ?,"
            " deactivation = ?, attributes = ?, mac = ? WHERE seq = ?",
            (attribute_set.number, *columns, mac, seq),
        )
        self.summary.remove(old_mac)
        self.summary.add(mac)
        if attribute_set.number != previous:
            self._sets.release(previous)
        if not keeps_material:
            self.sql.run(
                "UPDATE objects SET data_key = ?, nonce = ?, material = ? WHERE seq = ?",
                (*sealed, seq),
            )
            self._destroyed(key)
            length = len(sealed.material or b"")
        size = size_of(columns[-1], attribute_set.packed, None) + length
        self.usages.change(owner, count_of(new) - count_of(old), size - old_size)
        removed, added = index.changed_rows(own_part(old.attributes), own)
        old_names, new_names = live_names(old), live_names(new)
        self._remove_rows(owner, seq, removed | (old_names - new_names))
        self._add_rows(owner, seq, added | (new_names - old_names))
        rotations.write(self.sql, seq, rotation_time(old), rotation_time(new))

    def remove(self, record: Record) -> None:
        """Delete an object with its attributes."""
        seq, owner, number, mac, key, _, size, _ = self._row(record)
        self.usages.change(owner, -count_of(record), -size)
        rows = index.rows(own_part(record.attributes)) | live_names(record)
        self._remove_rows(owner, seq, rows)
        rotations.write(self.sql, seq, rotation_time(record), None)
        self.sql.run("DELETE FROM objects WHERE seq = ?", (seq,))
        self.summary.remove(mac)
        self._sets.release(number)
        self._destroyed(key)

    def change_owner(self, record: Record, owner: str) -> None:
        """Give an object to another owner."""
        new, number = record.replace(owner=owner), self._owner(owner)
        seq, old, _, old_mac, key, nonce, size, _ = self._row(record)
        attribute_set, own = self._sets.split(new.attributes)
        mac = self._mac(new, packing.pack(own), attribute_set.packed, Sealed(key, nonce, b""))
        self.sql.run("UPDATE objects SET owner = ?, mac = ? WHERE seq = ?", (number, mac, seq))
        self.summary.remove(old_mac)
        self.summary.add(mac)
        self.usages.change(old, -count_of(record), -size)
        self.usages.change(number, count_of(record), size)
        rows = index.rows(own) | live_names(record)
        self._remove_rows(old, seq, rows)
        self._add_rows(number, seq, rows)

    def setting(self, name: str) -> bytes | None:
        """What the server has stored for itself under this name."""
        if name != REVISION:
            return super().setting(name)
        if not self._knows_revision:
            self._revision = super().setting(name)
            self._knows_revision = True
        return self._revision

    def set_setting(self, name: str, value: bytes | None) -> None:
        """Store something for the server itself."""
        self._knows_revision = False
        row = self.sql.one("DELETE FROM settings WHERE name = ? RETURNING mac", (name,))
        if row is not None:
            self.summary.remove(row[0])
        if value is not None:
            mac = self.integrity.of_setting(name, value)
            self.sql.run(
                "INSERT INTO settings (name, value, mac) VALUES (?, ?, ?)", (name, value, mac)
            )
            self.summary.add(mac)

    def put_entry(self, entry: Entry, *, is_new: bool = False) -> None:
        """Store an entry, instead of one of the same kind and key."""
        if not is_new:
            entries.remove(self, entry.kind, entry.key)
        entries.insert(self, entry)

    def remove_entry(self, kind: str, key: bytes) -> None:
        """Remove an entry, if there is one."""
        entries.remove(self, kind, key)

    def keep_newest_entries(self, kind: str, owner: str, number: int) -> None:
        """Remove an owner's oldest entries."""
        entries.keep_newest(self, kind, owner, number)

    def remove_expired(self, kind: str, now: datetime) -> None:
        """Remove the entries of a kind that have expired."""
        entries.remove_expired(self, kind, now)

    def fill_rotations(self) -> None:
        """Find the objects of an older database that are to be rotated."""
        name = index.name_of(Tag.ROTATE_AUTOMATIC)
        rows = self.sql.all(
            "SELECT o.seq, o.id FROM objects o JOIN kind_index i ON i.kind = o.kind"
            " WHERE i.attribute = ?",
            (name,),
        )
        found = self.look_up([identifier for _, identifier in rows])
        for (seq, _), each in zip(rows, found, strict=True):
            if each.record is not None:
                rotations.write(self.sql, seq, None, rotation_time(each.record))

    def usage(self, owner: str) -> Usage:
        """How much an owner has, with the changes of this transaction."""
        number = self.owner_number(owner)
        return Usage() if number is None else self.usages.of(number)

    def usage_of_tenant(self, tenant: str) -> Usage:
        """How much the accounts of a tenant have together."""
        usages = [self.usage(owner) for owner in self.owners(tenant)]
        return Usage(sum(each.objects for each in usages), sum(each.size for each in usages))

    def note_time(self, now: datetime) -> None:
        """Note the time of a request."""
        self.summary.note_time(now)

    def committed(self) -> None:
        """After a commit: readers need the data keys that it has deleted no longer."""
        self._knows_revision = False
        for number in self._released:
            self.sealer.forget(number)
        self._released.clear()

    def rolled_back(self) -> None:
        """After a rollback: what it has undone must not be used."""
        self._released.clear()
        self._clear_caches()

    def _clear_caches(self) -> None:
        """After a rollback: owners, sets and data keys in the caches may not be in the database."""
        self._knows_revision = False
        self._owners.clear()
        self._sets.clear_cache()
        current = self.sealer.current_key
        sql = "SELECT 1 FROM data_keys WHERE number = ?"
        if current and self.sql.one(sql, (current,)) is None:
            self.sealer.retire_current_key()
            self.sealer.forget(current)

    def savepoint(self) -> Savepoint:
        """A part of the transaction that is rolled back if it ends with an exception."""
        return Savepoint(self)

    @abstractmethod
    def begin_part(self) -> Any:
        """Set a savepoint; what is in memory at this place, for :meth:`undo_part`."""

    def end_part(self) -> None:
        """Keep what the part has changed."""
        self.sql.run("RELEASE SAVEPOINT part")

    @abstractmethod
    def undo_part(self, position: Any, error: BaseException) -> None:
        """Roll the part back after an error; TransactionLost if nothing is left of the transaction."""

    def _row(self, record: Record) -> Row:
        row = self.sql.one(_FOR_UPDATE, (record.id,))
        if row is None:
            raise StoreError(f"{self.name}: the object {record.id} was removed by another program")
        return row

    def _destroyed(self, key: int | None) -> None:
        """Note that an object is destroyed, whose material had this data key."""
        self.has_destroyed = True
        if key is not None:
            self.release_key(key)

    def release_key(self, number: int) -> None:
        """Delete the data key of what was removed, unless it seals something else as well."""
        self.has_destroyed = True
        self.delete_unused_key(number)

    def delete_unused_key(self, number: int) -> None:
        """Delete a data key, unless it seals something."""
        if self.sql.one(_SEALED_WITH, (number, number)) is None:
            self.sql.run("DELETE FROM data_keys WHERE number = ?", (number,))
            self._released.append(number)
            if number == self.sealer.current_key:
                self.sealer.retire_current_key()

    def _owner(self, name: str) -> int:
        number = self.owner_number(name)
        if number is None:
            number = self.sql.insert("INSERT INTO owners (name) VALUES (?)", "number", (name,))
            self._owners[name] = number
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
        self.sql.delete_rows("attribute_index", INDEX, index_rows(owner, seq, *_sorted(rows)))

    def _add_rows(self, owner: int, seq: int, rows: set[index.Row]) -> None:
        # Rows that another program has left of an object that it removed stop no insert.
        self.sql.insert_index(owner, seq, *_sorted(rows))


def _sorted(rows: set[index.Row]) -> tuple[index.Places, list[bytes]]:
    return index.divided(sorted(rows))
