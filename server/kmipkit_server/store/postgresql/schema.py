"""The schema in a PostgreSQL database, the steps that migrate it, and the privileges of the server.

The tables belong to a role that no server uses. The role of the servers can change rows, but no tables,
and only in the ways that the statements of the store need.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection

SCHEMA = "kmipkit"
"""The schema that has the tables."""

MIGRATION_LOCK = 0x6B6D69706B697401
"""The advisory lock of a migration."""

MILLISECONDS_FOR_TABLE = 10_000
"""How long a migration waits for a table."""

_OLDEST = 130000
"""PostgreSQL 13."""

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE version (number INTEGER NOT NULL);
    INSERT INTO version VALUES (0);

    -- Writers share it; one that has met a conflict waits for all others, and then is alone.
    CREATE TABLE turns (number INTEGER PRIMARY KEY);

    CREATE TABLE owners (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name TEXT COLLATE "C" NOT NULL UNIQUE
    );

    CREATE TABLE data_keys (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        root_key BIGINT NOT NULL,       -- on which its wrapping depends
        wrapped BYTEA NOT NULL
    );

    -- What many objects have in common, once for all of them: a kind is a set of such attributes.
    CREATE TABLE kinds (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        digest BYTEA NOT NULL UNIQUE,   -- SHA-256 of the attributes
        attributes BYTEA NOT NULL
    );

    CREATE TABLE kind_index (
        attribute TEXT COLLATE "C" NOT NULL,
        field BIGINT NOT NULL,
        value BYTEA NOT NULL,
        kind BIGINT NOT NULL REFERENCES kinds ON DELETE CASCADE,
        instance BIGINT NOT NULL,
        PRIMARY KEY (attribute, field, value, kind, instance)
    );
    CREATE INDEX rows_of_kind ON kind_index (kind);

    CREATE TABLE objects (
        seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id TEXT COLLATE "C" NOT NULL UNIQUE,
        owner BIGINT NOT NULL REFERENCES owners,
        kind BIGINT NOT NULL REFERENCES kinds,
        type BIGINT NOT NULL,
        state BIGINT NOT NULL,
        archived BIGINT NOT NULL,       -- 1 if it is in archival storage
        activation BIGINT,              -- seconds since 1970
        deactivation BIGINT,
        data_key BIGINT REFERENCES data_keys,
        mac BYTEA NOT NULL,
        nonce BYTEA,                    -- of the material
        attributes BYTEA NOT NULL,      -- those that are not of its kind
        material BYTEA                  -- sealed, without its nonce; NULL once destroyed
    );
    ALTER TABLE objects ALTER material SET STORAGE EXTERNAL;    -- sealed bytes cannot be compressed
    CREATE INDEX objects_of_owner ON objects (owner, seq);
    CREATE INDEX objects_of_kind ON objects (kind, owner, seq);
    CREATE INDEX objects_of_data_key ON objects (data_key) WHERE data_key IS NOT NULL;

    CREATE TABLE attribute_index (
        owner BIGINT NOT NULL,
        attribute TEXT COLLATE "C" NOT NULL,
        field BIGINT NOT NULL,
        value BYTEA NOT NULL,
        object BIGINT NOT NULL,         -- objects.seq; not checked, since it is written with its object
        instance BIGINT NOT NULL,
        PRIMARY KEY (owner, attribute, field, value, object, instance)
    );

    -- When a server is to rotate an object (Rotate Automatic).
    CREATE TABLE rotations (
        object BIGINT PRIMARY KEY,      -- objects.seq
        due BIGINT NOT NULL             -- seconds since 1970
    );
    CREATE INDEX rotations_by_time ON rotations (due, object);

    -- What the servers store for themselves.
    CREATE TABLE settings (
        name TEXT COLLATE "C" PRIMARY KEY,
        value BYTEA NOT NULL,
        mac BYTEA NOT NULL
    );

    -- State that outlives a request, such as tickets: see base.Entry.
    CREATE TABLE entries (
        kind TEXT COLLATE "C" NOT NULL,
        key BYTEA NOT NULL,
        owner TEXT COLLATE "C" NOT NULL,        -- the name of an account
        expires BIGINT NOT NULL,        -- seconds since 1970
        mac BYTEA NOT NULL,
        nonce BYTEA,                    -- of a sealed content
        data_key BIGINT REFERENCES data_keys,
        content BYTEA NOT NULL,
        PRIMARY KEY (kind, key)
    );
    CREATE INDEX entries_of_owner ON entries (kind, owner);
    CREATE INDEX entries_by_time ON entries (kind, expires);
    CREATE INDEX entries_of_data_key ON entries (data_key) WHERE data_key IS NOT NULL;

    -- The entries of root keys, see store/root_keys.py.
    CREATE TABLE root_keys (
        number BIGINT PRIMARY KEY,
        entry BYTEA NOT NULL,
        mac BYTEA NOT NULL
    );

    -- What each node has written: no node waits for another one's row.
    CREATE TABLE summaries (
        node TEXT COLLATE "C" PRIMARY KEY,
        counter BIGINT NOT NULL,        -- of its transactions
        newest BIGINT NOT NULL,         -- the newest time it has seen, in seconds since 1970
        total BYTEA NOT NULL,           -- of the MACs that it has added, less those that it has removed
        mac BYTEA NOT NULL
    );

    -- How much each owner has, as far as a node has added or removed it.
    CREATE TABLE usages (
        owner BIGINT NOT NULL REFERENCES owners,
        node TEXT COLLATE "C" NOT NULL,
        objects BIGINT NOT NULL,
        size BIGINT NOT NULL,
        PRIMARY KEY (owner, node)
    );
    """,
    r"""
    -- For Locate among a million objects, see sql/search.py.
    -- With all that its conditions read of an object:
    DROP INDEX objects_of_owner;
    CREATE INDEX objects_of_owner
        ON objects (owner, seq) INCLUDE (kind, type, state, archived, activation, deactivation);
    CREATE INDEX objects_by_state ON objects (owner, type, state, seq);
    CREATE INDEX archived_objects ON objects (owner, seq) WHERE archived = 1;
    -- What is asked for by ranges, by object: dates begin with a "d", 420095 are Usage Limits.
    CREATE INDEX dates_of_object ON attribute_index (object, attribute, field, value)
        WHERE value >= '\x64' AND value < '\x65';
    CREATE INDEX limits_of_object ON attribute_index (object, field, value)
        WHERE attribute >= '420095' AND attribute < '420096';
    """,
    """
    -- The lists that Locate reads: see sql/stretches.py. Each is chosen by its first column, and has
    -- all that the conditions read of an object, so that no other index seems cheaper.
    DROP INDEX objects_of_kind, objects_by_state, archived_objects;
    CREATE INDEX objects_of_kind
        ON objects (kind, owner, seq) INCLUDE (type, state, archived, activation, deactivation);
    CREATE INDEX objects_by_state
        ON objects (type, owner, state, seq) INCLUDE (kind, archived, activation, deactivation);
    CREATE INDEX archived_objects
        ON objects (owner, seq) INCLUDE (kind, type, state, archived, activation, deactivation)
        WHERE archived = 1;
    """,
)

_SERVERS = """
    SELECT DISTINCT split_part(coalesce(nullif(a.application_name, ''), 'process ' || l.pid), '/', 1)
    FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.pid <> pg_backend_pid()
    AND l.granted
    ORDER BY 1"""
"""Who has an advisory lock: the servers, by the names that they give their sessions. Other migrations
wait for one."""

PRIVILEGES: Mapping[str, str] = MappingProxyType(
    {
        "version": "SELECT",
        "turns": "UPDATE",  # for LOCK TABLE
        "owners": "SELECT, INSERT",
        "data_keys": "SELECT, INSERT, UPDATE (root_key, wrapped), DELETE",
        "kinds": "SELECT, INSERT, UPDATE (attributes), DELETE",
        "kind_index": "SELECT, INSERT",
        "objects": "SELECT, INSERT, DELETE, UPDATE (owner, kind, state, archived, activation,"
        " deactivation, mac, nonce, data_key, attributes, material)",
        "attribute_index": "SELECT, INSERT, DELETE",
        "rotations": "SELECT, INSERT, DELETE",
        "settings": "SELECT, INSERT, DELETE",
        "entries": "SELECT, INSERT, DELETE",
        "root_keys": "SELECT, INSERT, DELETE",
        "summaries": "SELECT, INSERT, UPDATE (counter, newest, total, mac)",
        "usages": "SELECT, INSERT, UPDATE (objects, size)",
    }
)
"""What the role of the servers may do with each table."""


def version_of(sql: PostgreSQLConnection) -> int:
    """How many steps a database has taken; 0 if it has no tables."""
    (exists,) = sql.one("SELECT to_regclass(?) IS NOT NULL", (f"{SCHEMA}.version",)) or (False,)
    if not exists:
        return 0
    (number,) = sql.one("SELECT number FROM kmipkit.version") or (0,)
    return int(number)


def require_current(sql: PostgreSQLConnection) -> None:
    """StoreError if a database has not the schema of this program."""
    version = version_of(sql)
    if not version:
        raise StoreError(
            f"{sql.name} has no tables of kmipkit; create them with: kmipkit admin store init"
        )
    require_known(version, sql.name)
    if version < len(STEPS):
        raise StoreError(
            f"{sql.name} has schema {version}, and this version of kmipkit needs schema {len(STEPS)};"
            " stop the servers of older versions, and run: kmipkit admin store init"
        )


def require_known(version: int, name: str) -> None:
    """StoreError if a database has a newer schema than this program knows."""
    if version > len(STEPS):
        raise StoreError(
            f"{name} was written by a newer version of kmipkit (schema {version}; this version"
            f" supports up to {len(STEPS)}); use the newer version"
        )


def role_of(sql: PostgreSQLConnection) -> tuple[str, bool]:
    """The role of a connection, and whether it can change the tables."""
    name, is_owner = sql.one(
        "SELECT current_user, bool_or(pg_has_role(current_user, nspowner, 'MEMBER'))"
        " FROM pg_namespace WHERE nspname = ?",
        (SCHEMA,),
    ) or ("", False)
    return str(name), bool(is_owner)


def warnings(sql: PostgreSQLConnection) -> Iterator[str]:
    """What is wrong with the role of a server, although it works."""
    role, is_owner = role_of(sql)
    if is_owner:
        yield (
            f"the role {role} can change the tables of {sql.name}; use another one in store.url, which"
            " kmipkit admin store init --role has given the privileges of a server and no more"
        )


def require_owner(sql: PostgreSQLConnection) -> None:
    """StoreError if a connection is not that of the owner of the tables, if there are tables."""
    role, is_owner = role_of(sql)
    owner = sql.one(
        "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = ?", (SCHEMA,)
    )
    if owner is not None and not is_owner:
        raise StoreError(
            f"the tables of {sql.name} belong to the role {owner[0]}, and the URL has the role {role};"
            " use the URL of their owner"
        )


def require_unused(sql: PostgreSQLConnection) -> None:
    """StoreError if servers use a database."""
    servers = [str(name).removeprefix("kmipkit ") for (name,) in sql.all(_SERVERS)]
    if servers:
        raise StoreError(
            f"{sql.name} is in use by {', '.join(servers)}; stop all servers of this database"
        )


def require_suitable(sql: PostgreSQLConnection, role: str) -> None:
    """StoreError if the tables cannot be made or changed, or the role cannot be that of servers."""
    info = sql.raw.info
    if info.server_version < _OLDEST:
        raise StoreError(
            f"{sql.name} is PostgreSQL {info.server_version // 10000}; kmipkit needs"
            f" {_OLDEST // 10000} or later"
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"{sql.name} has the encoding {encoding}, in which not every name can be stored; create"
            " another database with: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
    require_owner(sql)
    owner, may_create = sql.one(
        "SELECT current_user, has_database_privilege(current_database(), 'CREATE')"
    ) or ("", False)
    if not may_create and not _has_schema(sql):
        raise StoreError(
            f"the role {owner} may not create a schema in {sql.name}; make it the owner of the database"
        )
    found = sql.one(
        "SELECT rolsuper, pg_has_role(rolname, current_user, 'MEMBER') FROM pg_roles WHERE rolname = ?",
        (role,),
    )
    if found is None:
        raise StoreError(
            f"{sql.name} has no role {role}; create it with: CREATE ROLE {quoted(role)} LOGIN"
        )
    if any(found):
        raise StoreError(
            f"the role {role} could change the tables of {owner}; give the servers a role of their own"
            " with --role"
        )


def _has_schema(sql: PostgreSQLConnection) -> bool:
    return sql.one("SELECT 1 FROM pg_namespace WHERE nspname = ?", (SCHEMA,)) is not None


def planned(sql: PostgreSQLConnection, role: str) -> str:
    """The statements of :func:`migrate`, for another client to carry out. StoreError as there."""
    require_suitable(sql, role)
    version = version_of(sql)
    require_known(version, sql.name)
    return f"BEGIN;\n{script(version, role, has_schema=_has_schema(sql))}\nCOMMIT;"


def script(version: int, role: str, *, has_schema: bool = False) -> str:
    """The statements that bring a database from a version to the newest one, and grant a role what it
    needs."""
    # Who owns the schema need not be permitted to create one.
    parts = [] if has_schema else [f"CREATE SCHEMA {SCHEMA};"]
    parts.append(f"SET LOCAL search_path = {SCHEMA};")
    parts += STEPS[version:]
    parts.append(f"UPDATE {SCHEMA}.version SET number = {len(STEPS)};")  # noqa: S608 - a number
    return "\n".join([*parts, *grants(role)])


def grants(role: str) -> list[str]:
    """The statements that grant a role what the server needs, and nothing else."""
    name = quoted(role)
    statements = [
        f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {name};",
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {name};",
    ]
    for table, privileges in PRIVILEGES.items():
        statements += [
            f"REVOKE ALL ON {SCHEMA}.{table} FROM PUBLIC, {name};",
            f"GRANT {privileges} ON {SCHEMA}.{table} TO {name};",
        ]
    return statements


def quoted(identifier: str) -> str:
    """An identifier of SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def migrate(sql: PostgreSQLConnection, role: str) -> int:
    """Create or migrate the tables, and grant a role what it needs; the version that was there before.

    Only one program does that at a time. StoreError if the database is too new, or something is wrong
    with it or the role.
    """
    # Each statement sees what another program has committed while this one waited for the lock.
    sql.run("BEGIN ISOLATION LEVEL READ COMMITTED")
    try:
        # Another migration, and an index of a million objects, may take minutes; but whoever waits for
        # the lock of a table makes the servers wait.
        sql.script("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        sql.run("SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))
        sql.script(f"SET LOCAL lock_timeout = {MILLISECONDS_FOR_TABLE}")
        require_suitable(sql, role)
        version = version_of(sql)
        require_known(version, sql.name)
        if 0 < version < len(STEPS):  # of which servers of the older version would know nothing
            require_unused(sql)
        sql.script(script(version, role, has_schema=_has_schema(sql)))
        sql.run("COMMIT")
    except BaseException:  # of any kind: it is raised again
        if not sql.raw.closed:
            sql.raw.rollback()
        raise
    return version
