"""Whether a server could open a database, found out without opening it for writing.

Another server may be using it meanwhile.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.lock import ENDING_SECONDS, holder_of
from kmipkit_server.store.root_keys import Entry, KeyWrapper, open_keys, read_entries
from kmipkit_server.store.sql.key_tables import root_key_rows
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.connection import SQLiteConnection
from kmipkit_server.store.sqlite.errors import sqlite_errors
from kmipkit_server.store.sqlite.older_keys import check_older_root_key


def examine(path: Path, key_wrapper: KeyWrapper) -> Iterator[str]:
    """What a start would do to the database. StoreError, or an error of the vault, if it would fail."""
    with sqlite_errors(str(path)), closing(_connect(path)) as connection:
        version = schema.version_of(connection)
        schema.require_known(version, len(schema.STEPS), str(path))
        schema.require_first_schema(connection, version, str(path))
        _require_root_key(connection, version, key_wrapper, str(path))
    if version < len(schema.STEPS):
        yield migration_advice(path, version)


def root_keys(path: Path) -> Mapping[int, Entry]:
    """The root keys that a database names, for messages: nothing is verified without one of them."""
    with sqlite_errors(str(path)), closing(_connect(path)) as connection:
        if schema.version_of(connection) < schema.FIRST_WITH_ROOT_KEYS:
            return {}
        return read_entries(root_key_rows(SQLiteConnection(connection, str(path))), str(path))


def migration_advice(path: Path, version: int) -> str:
    """What to do before a start that migrates a database."""
    return (
        f"{path} has schema {version}; the next start migrates it to schema {len(schema.STEPS)},"
        " which older versions of kmipkit cannot read: copy the data directory before, while no"
        " server is running"
    )


def require_no_root_key(place: str, key_wrapper: KeyWrapper) -> Iterator[str]:
    """StoreError if a database was lost: there is a root key for it."""
    yield from ()
    raise StoreError(
        f"{place} is missing or empty, but there is a root key for it, {key_wrapper.name}; restore"
        " the database from a backup"
    )


def holder(lock: Path, seconds: float = ENDING_SECONDS) -> int | None:
    """The process that has locked a database; None if there is none.

    ``seconds`` is how long the workers of a server that was killed have to end.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return holder_of(descriptor, fcntl.LOCK_SH, seconds)
    finally:
        os.close(descriptor)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even the files of a write-ahead log."""
    log = path.with_name(f"{path.name}-wal")
    # Without a log, the file is all there is; with one, SQLite must read both.
    is_alone = not log.exists() or not log.stat().st_size
    mode = "mode=ro&immutable=1" if is_alone else "mode=ro"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)


def _require_root_key(
    connection: sqlite3.Connection, version: int, key_wrapper: KeyWrapper, name: str
) -> None:
    if version >= schema.FIRST_WITH_ROOT_KEYS:
        open_keys(root_key_rows(SQLiteConnection(connection, name)), key_wrapper, name)
    elif version:
        check_older_root_key(SQLiteConnection(connection, name), version, key_wrapper, name)
