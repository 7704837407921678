"""Objects in an embedded store, and the files in which it keeps them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import stores
from kmipkit_server.store.base import Criterion, LocateQuery, Record, Transaction
from kmipkit_server.store.inventory import Inventory
from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, VendorName, attribute_name
from kmipkit.model.attributes import Name
from kmipkit.spec.enums import CryptographicAlgorithm, NameType, ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
OWNER = "böse & gut"
SECRET = bytes.fromhex("d00dfeedcafebabe8badf00dfee1deadd15ea5edba5eba11c0ffee00facade99")
OWNER_KEY = VendorName("x", "Inhaber")


class Database(Protocol):
    """The database of either store, as the tests of what both must do use it."""

    @property
    def reader(self) -> Inventory: ...
    def begin(self) -> Any: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class DataDirectory:
    """A data directory: the database and its root key."""

    path: Path

    @property
    def database(self) -> Path:
        return self.path / "objects.sqlite3"

    @property
    def root_key(self) -> Path:
        return self.path / "root.key"

    def open(self) -> SQLiteDatabase:
        return SQLiteDatabase.open(self.database, FileVault.open(self.root_key))

    @contextmanager
    def opened(self) -> Iterator[SQLiteDatabase]:
        with closing(self.open()) as store:
            yield store

    def get(self, identifier: str) -> Record | None:
        """The object as a server that starts now reads it, completely."""
        with self.opened() as store:
            record = store.reader.get(identifier)
            if record is not None:
                assert record.attributes is not None
                assert record.material != b""
            return record

    def sql(self, statement: str, *values: object) -> list[Any]:
        """Change or read the closed database in ways that the server does not offer."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()


class PostgreSQLDirectory(DataDirectory):
    """The same with a database of PostgreSQL."""

    def open(self) -> Any:
        from kmipkit_server.store.postgresql.database import PostgreSQLDatabase
        from kmipkit_server.store.postgresql.target import Target

        class Opened(PostgreSQLDatabase):
            """With a view, as the embedded store has one."""

            @cached_property
            def reader(self) -> Inventory:
                return self.open_reader()

            def close(self) -> None:
                if "reader" in vars(self):
                    self.reader.sql.raw.close()  # type: ignore[attr-defined]  # a view of PostgreSQL
                super().close()

        target = Target.parse(stores.url_of(self.path))
        return Opened.open(target, FileVault.open(self.root_key), node="test")

    def sql(self, statement: str, *values: object) -> list[Any]:
        return stores.sql_as_owner(self.path, statement, *values)


def name(text: str) -> Name:
    return Name(name_value=text, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def numbered(*pairs: tuple[AttributeKey, Any]) -> Attributes:
    """Attributes with the indexes that the server gives them."""
    counts: dict[AttributeKey, int] = {}
    items = []
    for key, value in pairs:
        items.append(Attribute(key, value, counts.setdefault(key, 0)))
        counts[key] += 1
    return Attributes(tuple(items))


ATTRIBUTES = numbered(
    (Tag.NAME, name("Schlüssel 鍵 🔑")),
    (Tag.NAME, name("second")),
    (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
    (Tag.CRYPTOGRAPHIC_LENGTH, 256),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT),
    (Tag.ACTIVATION_DATE, NOW - timedelta(days=1)),
    (Tag.DEACTIVATION_DATE, NOW + timedelta(days=1)),
    (OWNER_KEY, "Jürgen"),
    (OWNER_KEY, "Зоя"),
)


def record(
    identifier: str = "id-1",
    attributes: Attributes = ATTRIBUTES,
    material: bytes | None = SECRET,
    owner: str = OWNER,
    stored_state: State = State.PRE_ACTIVE,
) -> Record:
    return Record(identifier, owner, ObjectType.SYMMETRIC_KEY, stored_state, attributes, material)


def insert(store: Database, *records: Record) -> None:
    """One transaction, durable on return."""
    transaction = store.begin()
    for stored in records:
        transaction.insert(stored)
    store.commit()


def change(store: Database, old: Record, new: Record) -> None:
    """One transaction, durable on return."""
    store.begin().update(old, new)
    store.commit()


def insert_and_fail(transaction: Transaction, stored: Record) -> None:
    """A request that fails after it has written."""
    with suppress(ZeroDivisionError), transaction.savepoint():
        transaction.insert(stored)
        raise ZeroDivisionError


def by_name(text: str, owner: str = OWNER) -> LocateQuery:
    value = Item(Tag.NAME, ItemType.STRUCTURE, (Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, text),))
    return LocateQuery(owner, (Criterion(Tag.NAME, value),), NOW)


def by_text(key: VendorName, text: str) -> LocateQuery:
    item = Item(Tag.ATTRIBUTE_VALUE, ItemType.TEXT_STRING, text)
    return LocateQuery(OWNER, (Criterion(key, item),), NOW)


def sorted_attributes(attributes: Attributes) -> list[Attribute]:
    """By name: the store keeps the order of instances, but not that of attributes."""
    return sorted(attributes, key=lambda attribute: attribute_name(attribute.key))


def is_same(stored: Record | None, expected: Record) -> bool:
    return (
        stored is not None
        and sorted_attributes(stored.attributes) == sorted_attributes(expected.attributes)
        and all(
            getattr(stored, field) == getattr(expected, field)
            for field in ("id", "owner", "object_type", "stored_state", "material")
        )
    )
