"""A consistent copy of a database while a server writes to it.

The copy has what one read transaction sees, so that writers go on meanwhile. It is as well protected as
the database: key material is sealed, and only the user of the server can read it. It is overwritten
before it is removed, so that nothing that is destroyed later stays on the disk in it.
"""

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.root_keys import Entry, read_entries
from kmipkit_server.store.sql.key_tables import root_key_rows
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.connection import SQLiteConnection
from kmipkit_server.store.sqlite.database import connect_to_read, has_content
from kmipkit_server.store.sqlite.errors import sqlite_errors

PREFIX = ".backup-"
"""How the names of the directories of copies begin."""
PAGES_PER_STEP = 1024
MARGIN = 64 << 20
"""Bytes of the disk that a copy leaves free: a server whose disk is full refuses all requests."""
_BLOCK = 1 << 20

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


class Snapshot(NamedTuple):
    """A copy, and what it is a copy of."""

    path: Path
    size: int
    schema: int
    counter: int
    """The number of transactions."""
    objects: int
    """Objects in all states."""
    root_keys: tuple[Entry, ...]
    """The root keys that open it; none in a database of an older version."""


@contextmanager
def snapshot(database: Path, progress: Progress) -> Iterator[Snapshot]:
    """A copy of a database, which is removed at the end. StoreError if it cannot be made."""
    if not has_content(database):
        raise StoreError(f"{database} does not exist; is this the data directory of a server?")
    remove_leftovers(database.parent)
    try:
        _require_room(database)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=database.parent))
    except OSError as error:
        raise StoreError(f"{database.parent}: {error.strerror}") from None
    copy = folder / database.name
    with _held(folder):
        try:
            yield _copy(database, copy, progress)
        finally:
            erase(folder)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Whether this process holds a directory, and no other one uses it; it does so meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _copy(database: Path, path: Path, progress: Progress) -> Snapshot:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with (
        sqlite_errors(str(database)),
        closing(connect_to_read(database)) as source,
        closing(sqlite3.connect(path, isolation_level=None)) as target,
    ):
        version = schema.version_of(source)
        if not schema.FIRST_PROTECTED <= version <= len(schema.STEPS):
            raise StoreError(
                f"{database} was written by another version of kmipkit; start its server once"
            )
        # Within one transaction of the source, the steps see the same state.
        source.execute("BEGIN")
        (counter,) = source.execute("SELECT counter FROM summary").fetchone()
        (objects,) = source.execute("SELECT count(*) FROM objects").fetchone()
        root_keys: tuple[Entry, ...] = ()
        if version >= schema.FIRST_WITH_ROOT_KEYS:
            rows = root_key_rows(SQLiteConnection(source, str(database)))
            root_keys = tuple(read_entries(rows, str(database)).values())
        target.execute("PRAGMA synchronous = OFF")
        source.backup(
            target,
            pages=PAGES_PER_STEP,
            progress=lambda _status, remaining, total: progress(total - remaining, total),
            sleep=0.001,
        )
        source.execute("COMMIT")
    return Snapshot(path, path.stat().st_size, version, counter, objects, root_keys)


def _require_room(database: Path) -> None:
    needed = database.stat().st_size
    log = database.with_name(f"{database.name}-wal")
    needed += log.stat().st_size if log.exists() else 0
    free = shutil.disk_usage(database.parent).free
    if free < needed + MARGIN:
        raise StoreError(
            f"{database.parent}: the copy of the database needs {needed + MARGIN} bytes, and the disk"
            f" has {free} bytes free"
        )


def remove_leftovers(directory: Path) -> None:
    """Remove the copies of processes that were killed; others may be making copies now."""
    for folder in directory.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError), _held(folder) as is_free:
            if is_free:
                erase(folder)


def erase(folder: Path) -> None:
    """Overwrite the files of a directory with zeros, and remove it."""
    for path in folder.iterdir():
        with path.open("r+b") as file:
            for start in range(0, path.stat().st_size, _BLOCK):
                file.seek(start)
                file.write(bytes(min(_BLOCK, path.stat().st_size - start)))
    shutil.rmtree(folder, ignore_errors=True)
