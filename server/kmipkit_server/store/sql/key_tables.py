"""The tables of keys in a database: entries of root keys, and wrapped data keys."""

from collections.abc import Mapping
from typing import NamedTuple

from kmipkit_server.store.root_keys import Row
from kmipkit_server.store.sql.connection import Connection


class WrappedKey(NamedTuple):
    """A data key as it is stored."""

    number: int
    root_key: int | None
    wrapped: bytes


def root_key_rows(sql: Connection) -> list[Row]:
    """The entries of root keys."""
    rows = sql.all("SELECT number, entry, mac FROM root_keys ORDER BY number")
    return [Row(number, bytes(entry), bytes(mac)) for number, entry, mac in rows]


def root_key_numbers(sql: Connection) -> frozenset[int]:
    """The numbers of the root keys."""
    return frozenset(number for (number,) in sql.all("SELECT number FROM root_keys"))


def write_root_key(sql: Connection, row: Row) -> None:
    """Store the entry of a root key, or replace it."""
    delete_root_key(sql, row.number)
    sql.run("INSERT INTO root_keys (number, entry, mac) VALUES (?, ?, ?)", row)


def delete_root_key(sql: Connection, number: int) -> None:
    """Delete the entry of a root key."""
    sql.run("DELETE FROM root_keys WHERE number = ?", (number,))


def data_key(sql: Connection, number: int) -> WrappedKey | None:
    """A data key; None if there is none of this number."""
    row = sql.one("SELECT number, root_key, wrapped FROM data_keys WHERE number = ?", (number,))
    return None if row is None else WrappedKey(row[0], row[1], bytes(row[2]))


def newest_data_key(sql: Connection) -> WrappedKey | None:
    """The data key with the highest number; None if there is none."""
    (number,) = sql.one("SELECT max(number) FROM data_keys") or (None,)
    return None if number is None else data_key(sql, number)


def all_data_keys(sql: Connection) -> list[WrappedKey]:
    """All data keys."""
    rows = sql.all("SELECT number, root_key, wrapped FROM data_keys")
    return [WrappedKey(number, root, bytes(wrapped)) for number, root, wrapped in rows]


def data_keys_of_others(sql: Connection, root_key: int, limit: int) -> list[WrappedKey]:
    """Some data keys that depend on another root key than this one."""
    rows = sql.all(
        "SELECT number, root_key, wrapped FROM data_keys WHERE coalesce(root_key, 0) <> ? LIMIT ?",
        (root_key, limit),
    )
    return [WrappedKey(number, root, bytes(wrapped)) for number, root, wrapped in rows]


def data_keys_by_root_key(sql: Connection) -> Mapping[int, int]:
    """How many data keys depend on each root key."""
    rows = sql.all("SELECT coalesce(root_key, 0), count(*) FROM data_keys GROUP BY root_key")
    return {root_key: count for root_key, count in rows}  # noqa: C416 - of the right types


def insert_data_key(sql: Connection, key: WrappedKey) -> None:
    """Store a new data key."""
    sql.run("INSERT INTO data_keys (number, root_key, wrapped) VALUES (?, ?, ?)", key)


def write_data_key(sql: Connection, key: WrappedKey) -> None:
    """Replace a data key by the same one, wrapped in another way."""
    sql.run(
        "UPDATE data_keys SET root_key = ?, wrapped = ? WHERE number = ?",
        (key.root_key, key.wrapped, key.number),
    )


def sealed_things(sql: Connection, up_to: int) -> int:
    """How many objects and entries are sealed with a data key of these numbers."""
    row = sql.one(
        "SELECT (SELECT count(*) FROM objects WHERE data_key <= ?)"
        " + (SELECT count(*) FROM entries WHERE data_key <= ?)",
        (up_to, up_to),
    )
    return 0 if row is None else int(row[0])
