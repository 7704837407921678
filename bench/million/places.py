"""The stores that are filled and measured: a file, or a database of a PostgreSQL server started here."""

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from kmipkit_server.store.sqlite.database import SQLiteDatabase
from kmipkit_server.vault.file import FileVault

from bench import servers
from bench.servers import PROJECT, Server

CONFIG, NOTE = "server.toml", "prototypes.json"
ROLE, NODE = "kmipkit", "bench"
CACHE_KILOBYTES = 1_000_000
DURABLE = {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
"""Settings of a PostgreSQL server as in production, instead of those of the tests."""


class Place(ABC):
    """A data directory, the certificates for it, and the store of its server."""

    name: str

    def __init__(self, folder: Path, pki: Path) -> None:
        self.folder = folder
        self.pki = pki
        self.note = folder / NOTE
        """The identifiers of the prototypes, once the store is filled."""

    @property
    def is_filled(self) -> bool:
        """Whether an earlier run has filled it."""
        return self.note.exists()

    def begin(self) -> None:
        """Begin with an empty store; what is left of one that was not filled is removed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / CONFIG).write_text(self.settings(), encoding="utf-8")

    def settings(self) -> str:
        """The configuration of the server."""
        return ""

    def serving(self) -> AbstractContextManager[Server]:
        """A running server with this store."""
        options = ("--config", str(self.folder / CONFIG))
        return servers.kmipkit(self.folder / "data", self.pki, options=options)

    def vault(self) -> FileVault:
        """The root key of the server."""
        return FileVault.open(self.folder / "data" / "root.key")

    @abstractmethod
    def open_database(self) -> Any:
        """The database, as the server opens it."""

    @abstractmethod
    def hasten(self, transaction: Any) -> None:
        """Before a transaction is filled: have it last, and take less time."""

    def objects(self) -> int:
        """How many objects the store has."""
        database = self.open_database()
        try:
            reader = database.open_reader()
            (number,) = reader.sql.one("SELECT count(*) FROM objects")
            reader.sql.raw.close()
        finally:
            database.close()
        return int(number)

    @abstractmethod
    def size(self) -> int:
        """The bytes of the database."""

    @abstractmethod
    def settled(self) -> None:
        """After it was filled: have the database do what it would have done in time."""


class SQLitePlace(Place):
    """A store in a file."""

    name = "SQLite"

    def open_database(self) -> SQLiteDatabase:
        """See :class:`Place`."""
        return SQLiteDatabase.open(self._file, self.vault())

    def size(self) -> int:
        """See :class:`Place`."""
        return self._file.stat().st_size

    def hasten(self, transaction: Any) -> None:
        """Keep the pages of the index in memory: new entries are in random places of it."""
        transaction.sql.raw.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")

    def settled(self) -> None:
        """Nothing: SQLite does nothing by itself."""

    @property
    def _file(self) -> Path:
        return self.folder / "data" / "objects.sqlite3"


class PostgreSQLPlace(Place):
    """A store in a database."""

    name = "PostgreSQL"

    def __init__(self, folder: Path, pki: Path, server: Any) -> None:
        super().__init__(folder, pki)
        self._server = server
        self.database = folder.name.replace("-", "_")
        self.url = server.url(self.database, ROLE)
        if self.is_filled:
            self._migrate()

    def begin(self) -> None:
        """See :class:`Place`."""
        self._server.sql(f"DROP DATABASE IF EXISTS {self.database}")
        self._server.sql(f"CREATE DATABASE {self.database}")
        self._migrate()
        super().begin()

    def _migrate(self) -> None:
        from kmipkit_server.store.postgresql.schema import migrate
        from kmipkit_server.store.postgresql.target import Target

        connection = Target.parse(self._server.url(self.database)).connect()
        migrate(connection, ROLE)
        connection.raw.close()

    def hasten(self, transaction: Any) -> None:
        """Have the database wait: thousands of objects are made between two statements."""
        transaction.sql.run("SET LOCAL idle_in_transaction_session_timeout = 0")

    def copy_from(self, data: Path) -> None:
        """Copy the store of a data directory, as an operator does."""
        own = self.folder / "data"
        own.mkdir(mode=0o700)
        command = [sys.executable, "-m", "kmipkit", "admin", "store", "copy"]
        command += ["--data-dir", str(data), "--to", self._server.url(self.database)]
        subprocess.run(
            command, check=True, cwd=PROJECT, env=os.environ | {"KMIPKIT_STORE_NODE": NODE}
        )
        for name in ("root.key", "root.key.counter"):
            shutil.copy2(data / name, own / name)

    def settings(self) -> str:
        """See :class:`Place`."""
        return f'[store]\nurl = "{self.url}"\nnode = "{NODE}"\n'

    def open_database(self) -> Any:
        """See :class:`Place`."""
        from kmipkit_server.store.postgresql.database import PostgreSQLDatabase
        from kmipkit_server.store.postgresql.target import Target

        return PostgreSQLDatabase.open(Target.parse(self.url), self.vault(), node="filling")

    def size(self) -> int:
        """See :class:`Place`."""
        [(size,)] = self._server.sql("SELECT pg_database_size(current_database())", self.database)
        return int(size)

    def settled(self) -> None:
        """What the autovacuum does some time after the rows have come."""
        self._server.sql("VACUUM ANALYZE", self.database)


@contextmanager
def postgresql(durable: bool = True, directory: Path | None = None) -> Iterator[Any]:
    """A PostgreSQL server as the tests start it; ``durable`` waits for the disk as in production.

    With a ``directory``, its databases are kept there.
    """
    settings = DURABLE if durable else {}
    server = _from_tests("postgresql_server").PostgreSQLServer(settings, directory)
    try:
        server.start()
        if not server.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'"):
            server.sql(f"CREATE ROLE {ROLE} LOGIN")
        yield server
    finally:
        server.close()


def has_postgresql() -> bool:
    """Whether the programs of PostgreSQL and its client are there."""
    return bool(_from_tests("stores").has_postgresql())


def _from_tests(name: str) -> Any:
    """A module of the tests."""
    if str(PROJECT / "tests") not in sys.path:
        sys.path.append(str(PROJECT / "tests"))
    return import_module(name)
