"""The SQLite file: its schema, its upgrades, and errors that name it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from kmipkit_vsphere.model.errors import DamagedData

_SCHEMA_1: Final = """
CREATE TABLE provider (id TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE server (
    provider TEXT NOT NULL REFERENCES provider(id), name TEXT NOT NULL,
    position INTEGER NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL,
    PRIMARY KEY (provider, name));
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE host (
    name TEXT PRIMARY KEY, uuid TEXT NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL,
    key_provider TEXT, key_id TEXT);
CREATE TABLE machine (
    uuid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, host TEXT NOT NULL REFERENCES host(name),
    key_provider TEXT, key_id TEXT);
CREATE TABLE key (provider TEXT NOT NULL, id TEXT NOT NULL, made INTEGER NOT NULL,
    PRIMARY KEY (provider, id));
CREATE TABLE event (key INTEGER PRIMARY KEY, record TEXT NOT NULL, hash TEXT NOT NULL);
"""

_SCHEMA_2: Final = """
ALTER TABLE provider ADD COLUMN type TEXT NOT NULL DEFAULT 'vCenter';
ALTER TABLE provider ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE server ADD COLUMN details TEXT NOT NULL DEFAULT '{}';
ALTER TABLE host ADD COLUMN parent TEXT NOT NULL DEFAULT '/';
ALTER TABLE machine ADD COLUMN parent TEXT NOT NULL DEFAULT '/';
CREATE TABLE folder (name TEXT PRIMARY KEY, parent TEXT NOT NULL);
CREATE TABLE cluster (
    name TEXT PRIMARY KEY, parent TEXT NOT NULL, crypto_mode TEXT NOT NULL,
    key_provider TEXT, key_id TEXT);
CREATE TABLE entity_default (entity TEXT PRIMARY KEY, provider TEXT NOT NULL);
CREATE TABLE role (name TEXT NOT NULL, privilege TEXT NOT NULL, PRIMARY KEY (name, privilege));
CREATE TABLE membership (
    member TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (member, name));
CREATE TABLE permission (
    entity TEXT NOT NULL, principal TEXT NOT NULL, role TEXT NOT NULL,
    is_group INTEGER NOT NULL, propagate INTEGER NOT NULL,
    PRIMARY KEY (entity, principal, is_group));
CREATE TABLE secret (name TEXT PRIMARY KEY, sealed BLOB NOT NULL);
"""

_SCHEMA_3: Final = """
CREATE TABLE user (name TEXT PRIMARY KEY, salt BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE managed_object (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (kind, name));
"""

UPGRADES: Final = (_SCHEMA_1, _SCHEMA_2, _SCHEMA_3)
"""The statements from each version of the schema to the next; the first ones create it."""


class Database:
    """The file. Errors of SQLite become :class:`DamagedData`, which names it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Created with its mode before SQLite opens it: it lists which machines are encrypted.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._errors():
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            [version] = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(UPGRADES):
            raise DamagedData(f"{self.path} was made by a later version of this program")
        for number, upgrade in enumerate(UPGRADES[version:], version + 1):
            with self._errors():
                script = f"BEGIN; {upgrade} PRAGMA user_version = {number}; COMMIT;"
                self._connection.executescript(script)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DamagedData(f"vCenter's store {self.path} cannot be used: {error}") from None

    def write(self, statement: str, *values: Any) -> int:
        """Run a statement, durable on return; the number of rows that it changed."""
        with self._errors():
            return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._errors():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside take effect, or none of them."""
        self.write("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.rollback()
            raise
        self.write("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
