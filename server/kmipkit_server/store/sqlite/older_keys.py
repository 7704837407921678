"""The keys of databases whose root key has wrapped the data keys itself, and their migration."""

from collections.abc import Callable

from kmipkit.errors import KMIPError
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.root_keys import KeyRing, KeyWrapper, entry_of, new_store_key, row_of
from kmipkit_server.store.sealing import KEY_SIZE
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.connection import Connection
from kmipkit_server.store.sqlite import schema


def older_integrity_key(sql: Connection, name: str) -> bytes:
    """The wrapped integrity key of an older database. StoreError if it has none."""
    row = sql.one("SELECT integrity_key FROM summary")
    if row is None:
        raise StoreError(
            f"{name}: the summary of the database is missing; restore it from a backup"
        )
    return bytes(row[0])


def check_older_root_key(sql: Connection, version: int, vault: KeyWrapper, name: str) -> None:
    """StoreError if an older database was written with another root key."""
    try:
        if version >= schema.FIRST_PROTECTED:
            vault.unwrap(older_integrity_key(sql, name))
        row = sql.one("SELECT wrapped FROM data_keys ORDER BY number DESC LIMIT 1")
        if row is not None:
            vault.unwrap(bytes(row[0]))
    except StoreError:
        raise
    except KMIPError as error:
        raise StoreError(str(error)) from error


def add_root_key(
    sql: Connection, vault: KeyWrapper, random: Callable[[int], bytes], name: str
) -> tuple[KeyRing, Integrity]:
    """The first entry of a root key in a database that was of an older version, or is new.

    After the steps of the schema. StoreError if it is another root key.
    """
    older = sql.one("SELECT entry FROM root_keys")
    try:
        integrity_key = random(KEY_SIZE) if older is None else vault.unwrap(bytes(older[0]))
        store_key = new_store_key(random)
        integrity, ring = Integrity(integrity_key), KeyRing({1: store_key}, 1, name)
        entry = entry_of(vault, integrity_key, {1: store_key})
        for key in key_tables.all_data_keys(sql):
            data_key = vault.unwrap(key.wrapped)
            key_tables.write_data_key(sql, key._replace(root_key=1, wrapped=ring.wrap(data_key)))
    except StoreError:
        raise
    except KMIPError as error:
        raise StoreError(str(error)) from error
    key_tables.write_root_key(sql, row_of(1, entry, integrity))
    return ring, integrity
