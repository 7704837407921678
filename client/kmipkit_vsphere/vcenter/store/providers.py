"""Key providers, their servers, the defaults, and the ids of generated keys."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import structs

from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import AlreadyExists, NotFound
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import (
    ROOT,
    ManagementType,
    ProviderDetails,
    ProviderRecord,
    ServerRecord,
    pair,
)
from kmipkit_vsphere.vcenter.store.database import Database

_GLOBAL_DEFAULT: Final = "defaultProvider"


class Providers:
    """The tables of key providers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Providers -----------------------------------------------------------------------------------

    def all(self) -> list[ProviderRecord]:
        """All key providers, in the order of registration."""
        rows = self._database.rows("SELECT id, type, details FROM provider ORDER BY position")
        return [ProviderRecord(row[0], ManagementType(row[1]), _details(row[2])) for row in rows]

    def get(self, provider: str) -> ProviderRecord:
        """The provider of this id, or :class:`NotFound`."""
        for record in self.all():
            if record.id == provider:
                return record
        raise NotFound(f"there is no key provider {provider}")

    def exists(self, provider: str) -> bool:
        """Whether there is a provider of this id."""
        return any(record.id == provider for record in self.all())

    def add(self, record: ProviderRecord) -> None:
        """Add a provider; the first one becomes the default (requirement R16).

        Raises :class:`AlreadyExists` for the id of another provider of any type.
        """
        if self.exists(record.id):
            raise AlreadyExists(f"there is a key provider {record.id} already")
        is_first = not self.all()
        with self._database.transaction():
            self._database.write(
                "INSERT INTO provider (id, position, type, details)"
                " SELECT ?, ifnull(max(position), -1) + 1, ?, ? FROM provider",
                *(record.id, record.type.value, _text(record.details)),
            )
            if is_first:
                self.set_default(record.id)

    def change(self, provider: str, **details: Any) -> None:
        """Change some of a provider's details, by their names in :class:`ProviderDetails`."""
        changed = structs.replace(self.get(provider).details, **details)
        self._database.write(
            "UPDATE provider SET details = ? WHERE id = ?", _text(changed), provider
        )

    def remove(self, provider: str) -> None:
        """Remove a provider, its servers and its role as a default."""
        self.get(provider)
        with self._database.transaction():
            self._database.write("DELETE FROM server WHERE provider = ?", provider)
            self._database.write("DELETE FROM entity_default WHERE provider = ?", provider)
            self._database.write(
                "DELETE FROM setting WHERE name = ? AND value = ?", _GLOBAL_DEFAULT, provider
            )
            self._database.write("DELETE FROM provider WHERE id = ?", provider)

    # Servers -------------------------------------------------------------------------------------

    def servers(self, provider: str) -> list[ServerRecord]:
        """The servers of a provider, in the order in which they are tried."""
        rows = self._database.rows(
            "SELECT name, address, port, details FROM server WHERE provider = ? ORDER BY position",
            provider,
        )
        return [ServerRecord(row[0], row[1], row[2], **json.loads(row[3])) for row in rows]

    def server(self, provider: str, name: str) -> ServerRecord:
        """One server of a provider, or :class:`NotFound`."""
        self.get(provider)
        for record in self.servers(provider):
            if record.name == name:
                return record
        raise NotFound(f"the key provider {provider} has no server {name}")

    def add_server(self, provider: str, server: ServerRecord) -> None:
        """Add a server after the last one; :class:`AlreadyExists` for a name that is taken."""
        self.get(provider)
        if any(known.name == server.name for known in self.servers(provider)):
            raise AlreadyExists(f"the key provider {provider} has a server {server.name} already")
        self._database.write(
            "INSERT INTO server (provider, name, position, address, port, details)"
            " SELECT ?, ?, ifnull(max(position), -1) + 1, ?, ?, ? FROM server WHERE provider = ?",
            *(
                provider,
                server.name,
                server.address,
                server.port,
                _server_details(server),
                provider,
            ),
        )

    def update_server(self, provider: str, server: ServerRecord) -> None:
        """Change a server; :class:`NotFound` if there is none of this name."""
        self.server(provider, server.name)
        self._database.write(
            "UPDATE server SET address = ?, port = ?, details = ? WHERE provider = ? AND name = ?",
            *(server.address, server.port, _server_details(server), provider, server.name),
        )

    def remove_server(self, provider: str, name: str) -> None:
        """Remove a server; :class:`NotFound` if there is none of this name."""
        self.server(provider, name)
        self._database.write("DELETE FROM server WHERE provider = ? AND name = ?", provider, name)

    # Settings and defaults -----------------------------------------------------------------------

    def setting(self, name: str) -> str | None:
        """A setting, None if it is unset."""
        rows = self._database.rows("SELECT value FROM setting WHERE name = ?", name)
        return rows[0][0] if rows else None

    def set_setting(self, name: str, value: str | None) -> None:
        """Change a setting; None unsets it."""
        if value is None:
            self._database.write("DELETE FROM setting WHERE name = ?", name)
        else:
            self._database.write("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, value)

    def settings(self, prefix: str) -> dict[str, str]:
        """The settings whose names have this prefix, by the rest of the name."""
        rows = self._database.rows(
            "SELECT name, value FROM setting WHERE substr(name, 1, ?) = ? ORDER BY name",
            *(len(prefix), prefix),
        )
        return {row[0][len(prefix) :]: row[1] for row in rows}

    def default(self, entity: str = ROOT) -> str | None:
        """The default that was set for an entity, or for all (the root); None if none was."""
        if entity == ROOT:
            return self.setting(_GLOBAL_DEFAULT)
        rows = self._database.rows("SELECT provider FROM entity_default WHERE entity = ?", entity)
        return rows[0][0] if rows else None

    def set_default(self, provider: str | None, entity: str = ROOT) -> None:
        """Set the default of an entity, or of all; None clears it."""
        if entity == ROOT:
            self.set_setting(_GLOBAL_DEFAULT, provider)
        elif provider is None:
            self._database.write("DELETE FROM entity_default WHERE entity = ?", entity)
        else:
            self._database.write(
                "INSERT OR REPLACE INTO entity_default VALUES (?, ?)", entity, provider
            )

    def entity_defaults(self, provider: str) -> list[str]:
        """The entities whose default a provider is."""
        rows = self._database.rows(
            "SELECT entity FROM entity_default WHERE provider = ? ORDER BY entity", provider
        )
        return [row[0] for row in rows]

    # Key ids -------------------------------------------------------------------------------------

    def add_key(self, key: CryptoKeyId, made: int) -> None:
        """Store the id of a key that was generated at this time (seconds)."""
        self._database.write("INSERT OR IGNORE INTO key VALUES (?, ?, ?)", *pair(key), made)

    def key_ids(self) -> list[CryptoKeyId]:
        """All key ids, the oldest first."""
        rows = self._database.rows("SELECT provider, id FROM key ORDER BY made, rowid")
        return [CryptoKeyId(*row) for row in rows]

    def key_time(self, key: CryptoKeyId) -> datetime | None:
        """When a key was generated, None if vCenter does not know the key."""
        rows = self._database.rows("SELECT made FROM key WHERE provider = ? AND id = ?", *pair(key))
        return datetime.fromtimestamp(rows[0][0], UTC) if rows else None

    def remove_key(self, key: CryptoKeyId) -> None:
        """Remove the id of a key."""
        self._database.write("DELETE FROM key WHERE provider = ? AND id = ?", *pair(key))


def _server_details(server: ServerRecord) -> str:
    """The settings of a server that have no column of their own."""
    settings = structs.asdict(server)
    for column in ("name", "address", "port"):
        del settings[column]
    return json.dumps({name: value for name, value in settings.items() if value is not None})


def _details(text: str) -> ProviderDetails:
    return decode(text.encode(), ProviderDetails)


def _text(details: ProviderDetails) -> str:
    return encode(details).decode()
