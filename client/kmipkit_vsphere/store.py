"""What vCenter remembers: providers, hosts, machines, key ids and events. Never key bytes.

SQLite, one small file with mode 0600, every change durable before the call returns. There is no
column that could take a key: ids and names are text that others chose, events are JSON records.
Each event carries the hash of the one before it, so that a changed or missing record shows.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from kmipkit_vsphere.errors import AlreadyExists, DamagedData, NotFound
from kmipkit_vsphere.keys import CryptoKeyId

SCHEMA_VERSION: Final = 1

SCHEMA: Final = """
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


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One key server of a provider (``KmipServerInfo``)."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class HostRecord:
    """A host that vCenter manages; ``key_id`` is its host key, None before encryption mode."""

    name: str
    uuid: str
    address: str
    port: int
    key_id: CryptoKeyId | None = None


@dataclass(frozen=True, slots=True)
class MachineRecord:
    """A machine in the inventory; ``key_id`` is None for a plain one."""

    uuid: str
    name: str
    host: str
    key_id: CryptoKeyId | None = None


_Record = TypeVar("_Record", HostRecord, MachineRecord)


class Store:
    """The database. Errors of SQLite become :class:`DamagedData`, which names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # The file is made with its mode before SQLite opens it: it lists who encrypts what.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._errors():
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA foreign_keys = ON")
            [version] = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise DamagedData(f"{self._path} was made by another version of this program")
        if version == 0:
            with self._errors():
                script = f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                self._database.executescript(script)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DamagedData(f"vCenter's store {self._path} cannot be used: {error}") from None

    def _write(self, statement: str, *values: Any) -> int:
        with self._errors():
            return self._database.execute(statement, values).rowcount

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._database.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # Key providers -------------------------------------------------------------------------------

    def add_server(self, provider: str, server: ServerRecord) -> None:
        """Add a server behind the last one of the provider; the provider is made if it is new.

        Raises :class:`AlreadyExists` for a name that the provider has.
        """
        if any(known.name == server.name for known in self.servers(provider)):
            raise AlreadyExists(f"the key provider {provider} has a server {server.name} already")
        self._write(
            "INSERT INTO provider SELECT ?, count(*) FROM provider WHERE true"
            " ON CONFLICT DO NOTHING",
            provider,
        )
        self._write(
            "INSERT INTO server SELECT ?, ?, count(*), ?, ? FROM server WHERE provider = ?",
            *(provider, server.name, server.address, server.port, provider),
        )

    def update_server(self, provider: str, server: ServerRecord) -> None:
        """Change the address of a server; :class:`NotFound` if there is none of this name."""
        changed = self._write(
            "UPDATE server SET address = ?, port = ? WHERE provider = ? AND name = ?",
            *(server.address, server.port, provider, server.name),
        )
        if not changed:
            raise NotFound(f"the key provider {provider} has no server {server.name}")

    def providers(self) -> list[str]:
        """Ids of the key providers, the first added first."""
        return [row[0] for row in self._rows("SELECT id FROM provider ORDER BY position")]

    def servers(self, provider: str) -> list[ServerRecord]:
        """The servers of a provider, in the order in which they are tried."""
        rows = self._rows(
            "SELECT name, address, port FROM server WHERE provider = ? ORDER BY position", provider
        )
        return [ServerRecord(*row) for row in rows]

    def setting(self, name: str) -> str | None:
        """A setting such as ``defaultProvider``, None if unset."""
        rows = self._rows("SELECT value FROM setting WHERE name = ?", name)
        return rows[0][0] if rows else None

    def set_setting(self, name: str, value: str) -> None:
        """Set a setting."""
        self._write("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, value)

    # Key ids -------------------------------------------------------------------------------------

    def add_key(self, key: CryptoKeyId, made: int) -> None:
        """Remember the id of a key that was made at this time (seconds)."""
        self._write("INSERT OR IGNORE INTO key VALUES (?, ?, ?)", *_pair(key), made)

    def keys(self) -> list[CryptoKeyId]:
        """All key ids, the oldest first."""
        rows = self._rows("SELECT provider, id FROM key ORDER BY made, rowid")
        return [CryptoKeyId(*row) for row in rows]

    # Inventory -----------------------------------------------------------------------------------

    def put_host(self, host: HostRecord) -> None:
        """Add or change a host."""
        self._write(
            "INSERT INTO host VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " uuid = excluded.uuid, address = excluded.address, port = excluded.port,"
            " key_provider = excluded.key_provider, key_id = excluded.key_id",
            *(host.name, host.uuid, host.address, host.port, *_pair(host.key_id)),
        )

    def hosts(self) -> list[HostRecord]:
        """All hosts, by name."""
        rows = self._rows("SELECT * FROM host ORDER BY name")
        return [HostRecord(row[0], row[1], row[2], row[3], _key(*row[4:])) for row in rows]

    def host(self, name: str) -> HostRecord:
        """The host of this name, or :class:`NotFound`."""
        return _only(self.hosts(), name, "host")

    def put_machine(self, machine: MachineRecord) -> None:
        """Add or change a machine."""
        self._write(
            "INSERT INTO machine VALUES (?, ?, ?, ?, ?) ON CONFLICT (uuid) DO UPDATE SET"
            " name = excluded.name, host = excluded.host,"
            " key_provider = excluded.key_provider, key_id = excluded.key_id",
            *(machine.uuid, machine.name, machine.host, *_pair(machine.key_id)),
        )

    def machines(self) -> list[MachineRecord]:
        """All machines, by name."""
        rows = self._rows("SELECT * FROM machine ORDER BY name")
        return [MachineRecord(row[0], row[1], row[2], _key(*row[3:])) for row in rows]

    def machine(self, name: str) -> MachineRecord:
        """The machine of this name, or :class:`NotFound`."""
        return _only(self.machines(), name, "machine")

    # Events --------------------------------------------------------------------------------------

    def add_event(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Append an event; it gets its number (``key``) and the hash that chains it."""
        last = self._rows("SELECT key, hash FROM event ORDER BY key DESC LIMIT 1")
        number, before = (last[0][0] + 1, last[0][1]) if last else (1, "")
        text = json.dumps({"key": number, **record}, sort_keys=True)
        self._write("INSERT INTO event VALUES (?, ?, ?)", number, text, _chain(before, text))
        return {"key": number, **record}

    def events(self) -> list[dict[str, Any]]:
        """All events, the oldest first; :class:`DamagedData` where the chain is broken."""
        found: list[dict[str, Any]] = []
        before = ""
        for number, text, digest in self._rows("SELECT key, record, hash FROM event ORDER BY key"):
            before = _chain(before, text)
            if digest != before or number != len(found) + 1:
                raise DamagedData(f"event {number} in {self._path} was altered, or one is missing")
            found.append(json.loads(text))
        return found


def _chain(before: str, text: str) -> str:
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _pair(key: CryptoKeyId | None) -> tuple[str | None, str | None]:
    return (key.provider_id, key.key_id) if key else (None, None)


def _key(provider: str | None, key: str | None) -> CryptoKeyId | None:
    return CryptoKeyId(provider, key) if provider is not None and key is not None else None


def _only(records: list[_Record], name: str, kind: str) -> _Record:
    for record in records:
        if record.name == name:
            return record
    raise NotFound(f"vCenter knows no {kind} {name}")
