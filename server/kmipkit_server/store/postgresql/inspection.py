"""Whether a server could use a database, found out without changing it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kmipkit_server.store.postgresql import schema
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
from kmipkit_server.store.postgresql.offline import integrity_of
from kmipkit_server.store.postgresql.target import Target
from kmipkit_server.store.root_keys import Entry, KeyWrapper, read_entries
from kmipkit_server.store.sql import key_tables


@contextmanager
def _connected(target: Target) -> Iterator[PostgreSQLConnection]:
    sql = target.connect()
    try:
        yield sql
    finally:
        sql.raw.close()


def is_used(target: Target) -> bool:
    """Whether a server has used the database. StoreError if it has no tables."""
    with _connected(target) as sql:
        schema.require_current(sql)
        return bool(key_tables.root_key_numbers(sql))


def root_keys(target: Target) -> Mapping[int, Entry]:
    """The root keys that a database names, for messages: nothing is verified without one of them."""
    with _connected(target) as sql:
        schema.require_current(sql)
        return read_entries(key_tables.root_key_rows(sql), target.name)


def examine(target: Target, key_wrapper: KeyWrapper) -> Iterator[str]:
    """What a start would warn of. StoreError if it would fail."""
    with _connected(target) as sql:
        schema.require_current(sql)
        integrity_of(sql, key_wrapper)
        yield from schema.warnings(sql)
