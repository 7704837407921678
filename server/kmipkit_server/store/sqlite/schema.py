"""The schema of the embedded store, and the steps that migrate older files.

``PRAGMA user_version`` is the number of steps that a file has taken. A new schema adds a step and
never changes one. A file with more steps than this program knows is refused, not misread.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache

from kmipkit_server.store.errors import StoreError

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE owners (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

    CREATE TABLE data_keys (number INTEGER PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;

    -- What many objects have in common, once for all of them: a kind is a set of such attributes.
    CREATE TABLE kinds (
        number INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,    -- SHA-256 of the attributes
        attributes BLOB NOT NULL
    ) STRICT;

    CREATE TABLE kind_index (
        attribute TEXT NOT NULL,
        field INTEGER NOT NULL,
        value BLOB NOT NULL,
        kind INTEGER NOT NULL REFERENCES kinds ON DELETE CASCADE,
        instance INTEGER NOT NULL,
        PRIMARY KEY (attribute, field, value, kind, instance)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX rows_of_kind ON kind_index (kind);

    CREATE TABLE objects (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        owner INTEGER NOT NULL REFERENCES owners,
        kind INTEGER NOT NULL,  -- kinds.number; not checked, like the index below
        type INTEGER NOT NULL,
        state INTEGER NOT NULL,
        archived INTEGER NOT NULL,      -- 1 if it is in archival storage
        activation INTEGER,     -- seconds since 1970
        deactivation INTEGER,
        attributes BLOB NOT NULL,       -- those that are not of its kind
        material BLOB,          -- sealed; NULL once destroyed
        data_key INTEGER REFERENCES data_keys
    ) STRICT;
    CREATE INDEX objects_of_owner ON objects (owner, seq);
    CREATE INDEX objects_of_kind ON objects (kind, owner, seq);

    CREATE TABLE attribute_index (
        owner INTEGER NOT NULL,
        attribute TEXT NOT NULL,
        field INTEGER NOT NULL,
        value BLOB NOT NULL,
        object INTEGER NOT NULL,  -- objects.seq; not checked, since it is written with its object
        instance INTEGER NOT NULL,
        PRIMARY KEY (owner, attribute, field, value, object, instance)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- What the server stores for itself.
    CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        mac BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- One row about the whole database.
    CREATE TABLE summary (
        number INTEGER PRIMARY KEY CHECK (number = 1),
        integrity_key BLOB NOT NULL,    -- wrapped
        counter INTEGER NOT NULL,       -- of transactions
        newest INTEGER NOT NULL,        -- the newest time seen, in seconds since 1970
        total BLOB NOT NULL,    -- the sum of the MACs of all objects and settings
        mac BLOB NOT NULL
    ) STRICT;

    CREATE TABLE protected_objects (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        owner INTEGER NOT NULL REFERENCES owners,
        kind INTEGER NOT NULL,
        type INTEGER NOT NULL,
        state INTEGER NOT NULL,
        archived INTEGER NOT NULL,
        activation INTEGER,
        deactivation INTEGER,
        mac BLOB NOT NULL,      -- before the long columns, so that it is read without them
        nonce BLOB,             -- of the material
        data_key INTEGER REFERENCES data_keys,
        attributes BLOB NOT NULL,
        material BLOB           -- sealed, without its nonce
    ) STRICT;
    INSERT INTO protected_objects
        SELECT seq, id, owner, kind, type, state, archived, activation, deactivation, zeroblob(0),
            substr(material, 1, 12), data_key, attributes, substr(material, 13)
        FROM objects;
    DROP TABLE objects;
    ALTER TABLE protected_objects RENAME TO objects;
    CREATE INDEX objects_of_owner ON objects (owner, seq);
    CREATE INDEX objects_of_kind ON objects (kind, owner, seq);
    CREATE INDEX objects_of_data_key ON objects (data_key) WHERE data_key IS NOT NULL;
    """,
    """
    -- The names of objects that are not destroyed, once more: see index.LIVE_NAME.
    INSERT INTO attribute_index (owner, attribute, field, value, object, instance)
        SELECT DISTINCT i.owner, 'live name', 0, i.value, i.object, 0
        FROM attribute_index i JOIN objects o ON o.seq = i.object
        WHERE i.attribute = '420053' AND i.field = 4325461 AND o.state NOT IN (5, 6);
    """,
    """
    -- When the server is to rotate an object (Rotate Automatic).
    CREATE TABLE rotations (
        object INTEGER PRIMARY KEY,     -- objects.seq
        due INTEGER NOT NULL    -- seconds since 1970
    ) STRICT;
    CREATE INDEX rotations_by_time ON rotations (due, object);
    """,
    """
    -- Before the first release, the names of the third step were in a table of their own for some days.
    DROP TABLE IF EXISTS live_names;
    INSERT OR IGNORE INTO attribute_index (owner, attribute, field, value, object, instance)
        SELECT DISTINCT i.owner, 'live name', 0, i.value, i.object, 0
        FROM attribute_index i JOIN objects o ON o.seq = i.object
        WHERE i.attribute = '420053' AND i.field = 4325461 AND o.state NOT IN (5, 6);
    """,
    """
    -- State that outlives a request, such as tickets: see base.Entry.
    CREATE TABLE IF NOT EXISTS entries (
        kind TEXT NOT NULL,
        key BLOB NOT NULL,
        owner TEXT NOT NULL,    -- the name of an account
        expires INTEGER NOT NULL,       -- seconds since 1970
        mac BLOB NOT NULL,
        nonce BLOB,     -- of a sealed content
        data_key INTEGER REFERENCES data_keys,
        content BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS entries_of_owner ON entries (kind, owner);
    CREATE INDEX IF NOT EXISTS entries_by_time ON entries (kind, expires);
    CREATE INDEX IF NOT EXISTS entries_of_data_key ON entries (data_key) WHERE data_key IS NOT NULL;

    -- The highest number of a data key so far: none is used twice, since the old key may be in a cache.
    CREATE TABLE IF NOT EXISTS last_data_key (
        row INTEGER PRIMARY KEY CHECK (row = 1),
        number INTEGER NOT NULL
    ) STRICT;

    -- What each owner has, see usages.
    CREATE TABLE IF NOT EXISTS totals (
        owner INTEGER PRIMARY KEY REFERENCES owners,
        objects INTEGER NOT NULL,       -- not destroyed ones
        size INTEGER NOT NULL           -- bytes
    ) STRICT;
    """,
    """
    -- Root keys, see store/root_keys.py. For a moment, the first entry is the integrity key.
    CREATE TABLE root_keys (
        number INTEGER PRIMARY KEY,
        entry BLOB NOT NULL,
        mac BLOB NOT NULL
    ) STRICT;
    INSERT INTO root_keys SELECT 1, integrity_key, zeroblob(0) FROM summary;
    ALTER TABLE data_keys ADD COLUMN root_key INTEGER;  -- the root key on which its wrapping depends
    ALTER TABLE summary DROP COLUMN integrity_key;
    """,
    """
    -- For Locate among a million objects, see sql/search.py.
    -- With all that its conditions read of an object:
    DROP INDEX objects_of_owner;
    CREATE INDEX objects_of_owner
        ON objects (owner, seq, kind, type, state, archived, activation, deactivation);
    CREATE INDEX objects_by_state ON objects (owner, type, state);
    CREATE INDEX archived_objects ON objects (owner, seq) WHERE archived = 1;
    -- What is asked for by ranges, by object: dates begin with a "d", 420095 are Usage Limits.
    CREATE INDEX dates_of_object ON attribute_index (object, attribute, field, value)
        WHERE value >= x'64' AND value < x'65';
    CREATE INDEX limits_of_object ON attribute_index (object, field, value)
        WHERE attribute >= '420095' AND attribute < '420096';
    """,
)

FIRST_PROTECTED = 2
"""The first version whose rows have MACs; they are computed when an older file is migrated."""


FIRST_WITH_ROTATIONS = 4
"""The first version that knows when to rotate an object."""

FIRST_WITH_ROOT_KEYS = 7
"""The first version whose wrapped keys name the root key that they need."""

FIRST_WITH_TOTALS = 6
"""The first version that has a table of what each owner has."""


def version_of(connection: sqlite3.Connection) -> int:
    """How many steps a database has taken; 0 if it is empty."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def require_known(version: int, newest: int, name: str) -> None:
    """StoreError if a database has a newer schema than this program knows."""
    if version > newest:
        raise StoreError(
            f"{name} was written by a newer version of kmipkit (schema {version}; this version"
            f" supports up to {newest}); use the newer version"
        )


def require_first_schema(connection: sqlite3.Connection, version: int, name: str) -> None:
    """StoreError for a database from the time when the first schema was still being changed."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(objects)")}
    if version == 1 and columns and not {"kind", "archived"} <= columns:
        raise StoreError(
            f"{name} was written by a version of kmipkit from before schema 1 was complete, which"
            " nothing migrates; get the keys from it with the version that has written it"
        )


def require_no_programs(connection: sqlite3.Connection, name: str) -> None:
    """StoreError for triggers and views: this program makes none, and one of somebody else could undo
    each Destroy, while the client reads that it has succeeded."""
    found = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name"
    ).fetchone()
    if found is not None:
        raise _foreign(name, f"it has the {found[0]} {found[1]!r}")


def require_own_tables(
    connection: sqlite3.Connection, name: str, steps: tuple[str, ...] = STEPS
) -> None:
    """StoreError unless each table is as the steps make it: a constraint that ignores rows is as good as
    a trigger. Tables and indexes besides, as replication tools make them, change no rows."""
    found = _definitions(connection)
    for table, definition in _definitions_of(steps).items():
        if found.get(table) != definition:
            raise _foreign(
                name, f"the definition of the table {table!r} is not that of this program"
            )


def _foreign(name: str, what: str) -> StoreError:
    return StoreError(
        f"{name} was changed by another program: {what}; restore the database from a backup"
    )


def _definitions(connection: sqlite3.Connection) -> dict[str, str]:
    """The statements that make the tables, without comments and spaces."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return {name: re.sub(r"--[^\n]*|\s+", "", sql) for name, sql in rows}


@cache
def _definitions_of(steps: tuple[str, ...]) -> dict[str, str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for step in steps:
            for statement in _statements(step):
                connection.execute(statement)
        return _definitions(connection)


def migrate(
    connection: sqlite3.Connection,
    name: str,
    steps: tuple[str, ...] = STEPS,
    *,
    finish: Callable[[int], None] | None = None,
) -> None:
    """Migrate a database to the newest schema, all steps or none. StoreError if it is too new.

    ``finish`` is called in the transaction, after the last step, with the version of the older file.
    """
    version = version_of(connection)
    require_known(version, len(steps), name)
    require_first_schema(connection, version, name)
    require_no_programs(connection, name)
    if version == len(steps):
        require_own_tables(connection, name, steps)
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        for number in range(version, len(steps)):
            for statement in _statements(steps[number]):
                connection.execute(statement)
        require_own_tables(connection, name, steps)
        if finish is not None:
            finish(version)  # it knows the newest schema only
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:  # of any kind: it is raised again
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script: executescript() would commit the transaction first."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
