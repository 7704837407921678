"""The inventory: folders and clusters, hosts and machines, and what holds what."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import AlreadyExists, NotFound
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import (
    ROOT,
    ClusterRecord,
    CryptoMode,
    FolderRecord,
    HostRecord,
    MachineRecord,
    pair,
    unpair,
)
from kmipkit_vsphere.vcenter.store.database import Database

Place = tuple[str, ...]
"""An entity such as ``machine/db1``, then what holds it, up to the root."""

_Record = TypeVar("_Record", FolderRecord, ClusterRecord, HostRecord, MachineRecord)

_NEXT_KEY: Final = "rekey/"
"""Settings for the key of a rekeying that has begun, by the UUID of the machine."""

KINDS: Final = ("folder", "cluster", "host", "machine")


class Inventory:
    """The tables of the inventory. Entities are named ``KIND/NAME``; the root is ``/``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # What holds what -----------------------------------------------------------------------------

    def place(self, entity: str) -> Place:
        """Where an entity stands; :class:`NotFound` if there is none."""
        chain = [entity]
        while chain[-1] != ROOT:
            chain.append(self._parent(chain[-1]))
        return tuple(chain)

    def _parent(self, entity: str) -> str:
        kind, _, name = entity.partition("/")
        if kind not in KINDS:
            raise NotFound(f"there is no {entity}; entities are KIND/NAME, of {', '.join(KINDS)}")
        statement = f"SELECT parent FROM {kind} WHERE name = ?"  # noqa: S608 -- one of KINDS
        rows = self._database.rows(statement, name)
        if not rows:
            raise NotFound(f"vCenter knows no {kind} {name}")
        return str(rows[0][0])

    # Folders and clusters ------------------------------------------------------------------------

    def add_folder(self, folder: FolderRecord) -> None:
        """Create a folder; :class:`AlreadyExists` if the name is in use."""
        self.place(folder.parent)
        if any(known.name == folder.name for known in self.folders()):
            raise AlreadyExists(f"there is a folder {folder.name} already")
        self._database.write("INSERT INTO folder VALUES (?, ?)", folder.name, folder.parent)

    def folders(self) -> list[FolderRecord]:
        """All folders, by name."""
        rows = self._database.rows("SELECT name, parent FROM folder ORDER BY name")
        return [FolderRecord(*row) for row in rows]

    def put_cluster(self, cluster: ClusterRecord) -> None:
        """Add or change a cluster."""
        self.place(cluster.parent)
        self._database.write(
            "INSERT OR REPLACE INTO cluster VALUES (?, ?, ?, ?, ?)",
            *(cluster.name, cluster.parent, cluster.crypto_mode, *pair(cluster.key_id)),
        )

    def clusters(self) -> list[ClusterRecord]:
        """All clusters, by name."""
        rows = self._database.rows("SELECT * FROM cluster ORDER BY name")
        return [
            ClusterRecord(name, parent, CryptoMode(mode), unpair(provider, key))
            for name, parent, mode, provider, key in rows
        ]

    def cluster(self, name: str) -> ClusterRecord:
        """The cluster of this name, or :class:`NotFound`."""
        return _only(self.clusters(), name, "cluster")

    def cluster_of(self, host: HostRecord) -> ClusterRecord | None:
        """The cluster of a host, None for a host that stands alone."""
        kind, _, name = host.parent.partition("/")
        return self.cluster(name) if kind == "cluster" else None

    def hosts_beside(self, host: HostRecord) -> list[HostRecord]:
        """The hosts of a host's cluster, itself included; a host without cluster is alone."""
        if self.cluster_of(host) is None:
            return [host]
        return [other for other in self.hosts() if other.parent == host.parent]

    # Hosts ---------------------------------------------------------------------------------------

    def put_host(self, host: HostRecord) -> None:
        """Add or change a host."""
        self.place(host.parent)
        self._database.write(
            "INSERT INTO host (name, uuid, address, port, key_provider, key_id, parent)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " uuid = excluded.uuid, address = excluded.address, port = excluded.port,"
            " key_provider = excluded.key_provider, key_id = excluded.key_id,"
            " parent = excluded.parent",
            *(host.name, host.uuid, host.address, host.port, *pair(host.key_id), host.parent),
        )

    def remove_host(self, name: str) -> None:
        """Remove a host; :class:`NotFound` if there is none of this name."""
        self.host(name)
        self._database.write("DELETE FROM host WHERE name = ?", name)

    def hosts(self) -> list[HostRecord]:
        """All hosts, by name."""
        rows = self._database.rows(
            "SELECT name, uuid, address, port, key_provider, key_id, parent FROM host ORDER BY name"
        )
        return [_host(row) for row in rows]

    def host(self, name: str) -> HostRecord:
        """The host of this name, or :class:`NotFound`."""
        return _only(self.hosts(), name, "host")

    # Machines ------------------------------------------------------------------------------------

    def put_machine(self, machine: MachineRecord) -> None:
        """Add or change a machine."""
        self.place(machine.parent)
        self._database.write(
            "INSERT INTO machine (uuid, name, host, key_provider, key_id, parent)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (uuid) DO UPDATE SET"
            " name = excluded.name, host = excluded.host,"
            " key_provider = excluded.key_provider, key_id = excluded.key_id,"
            " parent = excluded.parent",
            *(machine.uuid, machine.name, machine.host, *pair(machine.key_id), machine.parent),
        )

    def remove_machine(self, name: str) -> None:
        """Remove a machine; :class:`NotFound` if there is none of this name."""
        machine = self.machine(name)
        self._database.write("DELETE FROM machine WHERE name = ?", name)
        self.set_next_key(machine.uuid, None)

    # What was begun --------------------------------------------------------------------------------

    def next_key(self, uuid: str) -> CryptoKeyId | None:
        """The key of a rekeying of a machine that has begun."""
        return self.next_keys().get(uuid)

    def next_keys(self) -> dict[str, CryptoKeyId]:
        """The keys of all rekeyings that have begun, by the UUID of the machine."""
        rows = self._database.rows(
            "SELECT name, value FROM setting WHERE substr(name, 1, ?) = ?",
            *(len(_NEXT_KEY), _NEXT_KEY),
        )
        return {name[len(_NEXT_KEY) :]: decode(text.encode(), CryptoKeyId) for name, text in rows}

    def set_next_key(self, uuid: str, key_id: CryptoKeyId | None) -> None:
        """Record the key with which the rekeying of a machine begins; None when it is over."""
        name = _NEXT_KEY + uuid
        if key_id is None:
            self._database.write("DELETE FROM setting WHERE name = ?", name)
        else:
            text = encode(key_id).decode()
            self._database.write("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, text)

    def machines(self) -> list[MachineRecord]:
        """All machines, by name."""
        rows = self._database.rows(
            "SELECT uuid, name, host, key_provider, key_id, parent FROM machine ORDER BY name"
        )
        return [_machine(row) for row in rows]

    def machine(self, name: str) -> MachineRecord:
        """The machine of this name, or :class:`NotFound`."""
        return _only(self.machines(), name, "machine")


def _host(row: tuple[Any, ...]) -> HostRecord:
    name, uuid, address, port, provider, key, parent = row
    return HostRecord(name, uuid, address, port, unpair(provider, key), parent)


def _machine(row: tuple[Any, ...]) -> MachineRecord:
    uuid, name, host, provider, key, parent = row
    return MachineRecord(uuid, name, host, unpair(provider, key), parent)


def _only(records: Sequence[_Record], name: str, kind: str) -> _Record:
    for record in records:
        if record.name == name:
            return record
    raise NotFound(f"vCenter knows no {kind} {name}")
