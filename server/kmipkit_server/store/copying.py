"""Copies a whole store between the embedded store and PostgreSQL, and verifies the copy.

Rows are copied as they are: sealed material stays sealed, and the MACs stay valid, since the copy has
the same root key. Nobody writes to either side meanwhile.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Protocol

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.integrity import MAC_SIZE, Integrity, is_same_mac
from kmipkit_server.store.root_keys import Row as RootKeyRow
from kmipkit_server.store.sql.connection import Row

TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "owners": ("number", "name"),
        "data_keys": ("number", "root_key", "wrapped"),
        "kinds": ("number", "digest", "attributes"),
        "kind_index": ("attribute", "field", "value", "kind", "instance"),
        "objects": (
            "seq", "id", "owner", "kind", "type", "state", "archived", "activation",
            "deactivation", "mac", "nonce", "data_key", "attributes", "material",
        ),
        "attribute_index": ("owner", "attribute", "field", "value", "object", "instance"),
        "rotations": ("object", "due"),
        "settings": ("name", "value", "mac"),
        "entries": (
            "kind", "key", "owner", "expires", "mac", "nonce", "data_key", "content",
        ),
    }
)  # fmt: skip
"""The tables with their columns, in an order in which a row follows those to which it refers."""

_ORDER: Mapping[str, int] = MappingProxyType({"kind_index": 5, "attribute_index": 6, "entries": 2})
"""How many of the first columns identify a row, where one is not enough."""

_OBJECTS = """
    SELECT o.id, w.name, o.type, o.state, o.attributes, k.attributes, o.data_key, o.nonce, o.mac
    FROM objects o LEFT JOIN owners w ON w.number = o.owner LEFT JOIN kinds k ON k.number = o.kind"""
_SETTINGS = "SELECT name, value, mac FROM settings"
_ENTRIES = "SELECT kind, key, owner, expires, content, data_key, nonce, mac FROM entries"

_MODULUS = 1 << (8 * MAC_SIZE)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a store knows of the whole database."""

    counter: int
    newest: int
    """The newest time that it has seen, in seconds since 1970."""
    total: int
    """The sum of all MACs, modulo 2**256."""


class Source(Protocol):
    """The store that is copied."""

    name: str

    def root_keys(self) -> Sequence[RootKeyRow]:
        """The entries of the root keys, with the wrapped integrity key."""

    def summary(self, integrity: Integrity) -> Summary:
        """What it knows of the whole database."""

    def stream(self, sql: str) -> Iterator[Row]:
        """The rows of a long query."""

    def require_alone(self) -> None:
        """StoreError if a server uses the store."""


class Destination(Source, Protocol):
    """The store that becomes a copy. It is empty before."""

    def write(self, table: str, columns: tuple[str, ...], rows: Iterator[Row]) -> None:
        """Write all rows of a table."""

    def delete_setting(self, name: str) -> None:
        """Remove a setting."""

    def finish(self, rows: Sequence[RootKeyRow], summary: Summary, integrity: Integrity) -> None:
        """Write the root keys, and what the store knows of the whole database."""


@dataclass(slots=True)
class Copied:
    """What was copied."""

    rows: dict[str, int] = field(default_factory=dict)
    """The rows of each table."""
    digest: str = ""
    """SHA-256 of all rows, in the order of :data:`TABLES`."""


def copy(
    source: Source,
    destination: Destination,
    integrity_of: Callable[[Sequence[RootKeyRow]], Integrity],
    renamed: Callable[[str], str | None],
    progress: Callable[[str], None] = lambda _: None,
) -> Copied:
    """Copy all rows, and compare them. StoreError if the copy is not the same, or a MAC is wrong.

    Args:
        integrity_of: The MACs, from the entries of the root keys.
        renamed: The name of a setting in the copy, which may depend on what the server is called
            there; None if it is about another server.
        progress: Called with each table before it is copied or compared.
    """
    keys = source.root_keys()
    integrity = integrity_of(keys)
    summary = source.summary(integrity)
    copied, digest = Copied(), sha256()
    for table, columns in TABLES.items():
        progress(table)
        counted = _Counted(source.stream(_select(table)))
        destination.write(table, columns, iter(counted))
        copied.rows[table] = counted.count
        digest.update(counted.digest.digest())
    copied.digest = digest.hexdigest()
    progress("verification")
    if _digest(destination) != copied.digest:
        raise StoreError(f"the copy in {destination.name} is not the same as {source.name}")
    total = _verified(destination, integrity)
    if total != summary.total:
        raise StoreError(
            f"objects were removed from {source.name}, or replaced by older ones, by another program;"
            " compare it with a backup, or start a server with it once, which says so in its log and"
            " takes it as it is"
        )
    change = _rename_settings(destination, integrity, renamed)
    source.require_alone()
    destination.require_alone()
    destination.finish(keys, replace(summary, total=(total + change) % _MODULUS), integrity)
    return copied


def _rename_settings(
    destination: Destination, integrity: Integrity, renamed: Callable[[str], str | None]
) -> int:
    """Give settings the names that they have in the copy; what that adds to the sum of all MACs."""
    change = 0
    for name, value, mac in list(destination.stream(_SETTINGS)):
        new = renamed(name)
        if new == name:
            continue
        destination.delete_setting(name)
        change -= int.from_bytes(mac, "big")
        if new is not None:
            new_mac = integrity.of_setting(new, value)
            destination.write("settings", TABLES["settings"], iter([(new, value, new_mac)]))
            change += int.from_bytes(new_mac, "big")
    return change


def _select(table: str) -> str:
    columns = TABLES[table]
    order = ", ".join(columns[: _ORDER.get(table, 1)])
    return f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}"  # noqa: S608 - names


class _Counted:
    """Rows that are counted and hashed while they pass."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.count = 0
        self.digest = sha256()

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            self.digest.update(_canonical(row))
            yield row


def _digest(side: Source) -> str:
    digest = sha256()
    for table in TABLES:
        counted = _Counted(side.stream(_select(table)))
        for _ in counted:
            pass
        digest.update(counted.digest.digest())
    return digest.hexdigest()


def _canonical(row: Row) -> bytes:
    parts: list[bytes] = []
    for value in row:
        encoded = b"" if value is None else _encoded(value)
        parts.append(f"{type(value).__name__}:{len(encoded)}:".encode())
        parts.append(encoded)
    return b"".join(parts)


def _encoded(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _verified(side: Source, integrity: Integrity) -> int:
    """The sum of all MACs, modulo 2**256. StoreError if one of them is wrong."""
    total = 0
    for kind, sql, mac_of in (
        ("object", _OBJECTS, integrity.of_object),
        ("setting", _SETTINGS, integrity.of_setting),
        ("entry", _ENTRIES, integrity.of_entry),
    ):
        for *fields, mac in side.stream(sql):
            if any(each is None for each in fields[:2]) or not is_same_mac(mac, mac_of(*fields)):
                name = f" {fields[0]}" if kind != "entry" else ""
                raise StoreError(
                    f"the {kind}{name} was changed in the database by another program; restore it"
                    " from a backup before you copy the store"
                )
            total += int.from_bytes(mac, "big")
    return total % _MODULUS
