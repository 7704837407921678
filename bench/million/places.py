"""The stores that are filled and measured: a file, or a database of a PostgreSQL server started here."""

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

CONFIG = "server.toml"
ROLE = "kmipkit"
DURABLE = {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
"""Settings of a PostgreSQL server as in production, instead of those of the tests."""


class Place(ABC):
    """A data directory, the certificates for it, and the store of its server."""

    name: str

    def __init__(self, folder: Path, pki: Path) -> None:
        self.folder = folder
        self.pki = pki
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(self.settings(), encoding="utf-8")

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

    def settled(self) -> None:
        """Nothing: SQLite does nothing by itself."""

    @property
    def _file(self) -> Path:
        return self.folder / "data" / "objects.sqlite3"


class PostgreSQLPlace(Place):
    """A store in a database."""

    name = "PostgreSQL"

    def __init__(self, folder: Path, pki: Path, server: Any) -> None:
        self._server = server
        self.database: str = server.create()
        self.url = server.url(self.database, ROLE)
        self._prepare()
        super().__init__(folder, pki)

    def _prepare(self) -> None:
        from kmipkit_server.store.postgresql.schema import migrate
        from kmipkit_server.store.postgresql.target import Target

        connection = Target.parse(self._server.url(self.database)).connect()
        migrate(connection, ROLE)
        connection.raw.close()

    def settings(self) -> str:
        """See :class:`Place`."""
        return f'[store]\nurl = "{self.url}"\nnode = "bench"\n'

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
def postgresql(durable: bool = True) -> Iterator[Any]:
    """A PostgreSQL server as the tests start it; ``durable`` waits for the disk as in production."""
    settings = DURABLE if durable else {}
    server = _from_tests("postgresql_server").PostgreSQLServer(settings)
    try:
        server.start()
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
