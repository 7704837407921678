"""Stores of both kinds for tests.

With ``TEST_STORE=postgresql`` all servers of the tests use PostgreSQL: each data directory has
a database of its own. The server of PostgreSQL begins with the first test that needs it.
"""

import atexit
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from kmipkit_server.config import Config
from kmipkit_server.service import stores
from kmipkit_server.store.base import Store
from kmipkit_server.store.sqlite.store import SQLiteStore
from kmipkit_server.vault.file import FileVault
from postgresql_server import PostgreSQLServer

from drill import programs

SWITCH = "TEST_STORE"
DIRECTORY = "TEST_POSTGRESQL"
"""Where the server of PostgreSQL is that the tests have started, for processes that they start."""

ROLE = "kmipkit"
"""The role of the servers."""


def has_postgresql() -> bool:
    """Whether there are the programs of PostgreSQL and its client."""
    try:
        import psycopg
        import psycopg_pool
    except ImportError:
        return False
    return bool(psycopg and psycopg_pool) and programs.postgresql() is not None


def is_postgresql() -> bool:
    """Whether all servers of the tests use PostgreSQL."""
    return os.environ.get(SWITCH) == "postgresql"


needs_postgresql = pytest.mark.skipif(
    not has_postgresql(), reason="the programs of PostgreSQL or its client are not installed"
)


@cache
def server() -> PostgreSQLServer:
    """The server of PostgreSQL of this process of tests."""
    started = PostgreSQLServer()
    atexit.register(started.close)
    started.start()
    prepare(started)
    os.environ[DIRECTORY] = str(started.directory)
    return started


def prepare(started: PostgreSQLServer) -> None:
    """A role for servers, and a database to be copied, which has the tables."""
    from kmipkit_server.store.postgresql.schema import migrate
    from kmipkit_server.store.postgresql.target import Target

    started.sql(f"CREATE ROLE {ROLE} LOGIN")
    started.sql("CREATE DATABASE kmipkit_template")
    connection = Target.parse(started.url("kmipkit_template")).connect()
    migrate(connection, ROLE)
    connection.raw.close()


def url_of(folder: Path) -> str:
    """The database of a data directory, which is made when it is first asked for."""
    import psycopg

    name = "kms_" + sha256(str(folder.resolve()).encode()).hexdigest()[:24]
    directory = os.environ.get(DIRECTORY) or server().directory
    place = f"host={directory}"
    with psycopg.connect(f"{place} dbname=postgres user=owner", autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if found.fetchone() is None:
            with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(f"CREATE DATABASE {name} TEMPLATE kmipkit_template")
    return f"postgresql://{ROLE}@/{name}?{place}"


def with_postgresql(config: Config) -> Config:
    """The same configuration with the database of its data directory."""
    if config.store.url is not None:
        return config
    url = url_of(config.store.directory)
    return replace(config, store=replace(config.store, url=url, node="node"))


def switch() -> None:
    """Have all servers of this process use PostgreSQL."""

    def switched(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda config, *arguments, **options: function(
            with_postgresql(config), *arguments, **options
        )

    for name in ("exists", "open_store", "open_offline", "place_of", "examine"):
        setattr(stores, name, switched(getattr(stores, name)))


def sql(folder: Path, statement: str, *values: object) -> list[Any]:
    """Change or read the closed store of a laboratory in ways that the server does not offer."""
    if not is_postgresql():
        with closing(sqlite3.connect(folder / "db", isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()
    return sql_as_owner(folder, statement, *values)


def sql_as_owner(folder: Path, statement: str, *values: object) -> list[Any]:
    """The same for the database of PostgreSQL of a data directory."""
    import psycopg
    from kmipkit_server.store.postgresql.connection import translated

    with psycopg.connect(url_of(folder).replace(f"{ROLE}@", "owner@"), autocommit=True) as owner:
        owner.execute("SET search_path = kmipkit")
        cursor = owner.execute(translated(statement), values or None)
        return cursor.fetchall() if cursor.description else []


def open_store(folder: Path) -> Store:
    """The store of a laboratory, of the kind that the tests are to use."""
    vault = FileVault.open(folder / "root.key")
    if not is_postgresql():
        return SQLiteStore.open(folder / "db", vault)
    from kmipkit_server.store.postgresql.store import PostgreSQLStore
    from kmipkit_server.store.postgresql.target import Target

    return PostgreSQLStore.open(Target.parse(url_of(folder)), vault, node="laboratory")
