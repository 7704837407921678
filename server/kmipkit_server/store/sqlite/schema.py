"""The schema of the embedded store, and the steps that migrate older files.

``PRAGMA user_version`` is the number of steps that a file has taken. A new schema adds a step and
never changes one. A file with more steps than this program knows is refused, not misread.
"""

import sqlite3

from kmipkit_server.store.base import StoreError

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
)


def migrate(connection: sqlite3.Connection, name: str, steps: tuple[str, ...] = STEPS) -> None:
    """Migrate a database to the newest schema, all steps or none. StoreError if it is too new."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise StoreError(
            f"{name} was written by a newer version of kmipkit (schema {version}; this version"
            f" supports up to {len(steps)}); use the newer version"
        )
    if version == len(steps):
        return
    script = "\n".join(steps[version:])
    connection.executescript(
        f"BEGIN EXCLUSIVE; {script} PRAGMA user_version = {len(steps)}; COMMIT;"
    )
