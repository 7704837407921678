"""vCenter's inventory as the API shows it: one tree of managed entities.

vSphere separates what the laboratory keeps together: a folder of the laboratory is a folder for machines
and, where it holds hosts, another one for hosts; a host without a cluster has a compute resource of its
own; each host has its own datastore. Identifiers are made from numbers that vCenter stores.

Names are escaped as in vSphere, where a slash in a name is ``%2f``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kmipkit_vsphere.model.records import (
    ROOT,
    ClusterRecord,
    FolderRecord,
    HostRecord,
    MachineRecord,
)
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.web_services.vim25.declaration import Ref

ROOT_FOLDER: Final = Ref("Folder", "group-d1")
DATACENTER: Final = Ref("Datacenter", "datacenter-2")
VM_FOLDER: Final = Ref("Folder", "group-v3")
HOST_FOLDER: Final = Ref("Folder", "group-h4")
DATASTORE_FOLDER: Final = Ref("Folder", "group-s5")
NETWORK_FOLDER: Final = Ref("Folder", "group-n6")
NETWORK: Final = Ref("Network", "network-7")
DATACENTER_NAME: Final = "Laboratory"
NETWORK_NAME: Final = "VM Network"
SNAPSHOT: Final = "VirtualMachineSnapshot"
SNAPSHOT_PREFIX: Final = "snapshot-"
MAX_DIGITS: Final = 18
_FIRST: Final = 10
"""Numbers below are those of the fixed objects."""

Record = FolderRecord | ClusterRecord | HostRecord | MachineRecord | None


@dataclass(eq=False)
class Node:
    """One entity; ``entity`` is the object of the laboratory on which privileges are checked."""

    ref: Ref
    title: str
    parent: "Node | None"
    entity: str = ROOT
    record: Record = None
    child_types: tuple[str, ...] = ()
    """What a folder can hold."""
    children: list["Node"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name as the API shows it."""
        return escaped_name(self.title)

    def walk(self) -> Iterator["Node"]:
        """All entities below this one."""
        for child in self.children:
            yield child
            yield from child.walk()


def escaped_name(title: str) -> str:
    """A name as vSphere shows it."""
    return title.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def plain_name(name: str) -> str:
    """The reverse of :func:`escaped_name`."""
    for escape, character in (("%2f", "/"), ("%2F", "/"), ("%5c", "\\"), ("%5C", "\\")):
        name = name.replace(escape, character)
    return name.replace("%25", "%")


class InventoryTree:
    """The inventory at one moment."""

    def __init__(self, store: Store) -> None:
        self._numbers = store.managed_objects
        self._inventory = store.inventory
        self._nodes: dict[Ref, Node] = {}
        self._by_entity: dict[str, Node] = {}
        self.root = self._add(
            ROOT_FOLDER, "Datacenters", None, child_types=("Folder", "Datacenter")
        )
        self.datacenter = self._add(DATACENTER, DATACENTER_NAME, self.root)
        self._machines = self._top(VM_FOLDER, "vm", "Folder", "VirtualMachine", "VirtualApp")
        self._hosts = self._top(HOST_FOLDER, "host", "Folder", "ComputeResource")
        self._datastores = self._top(DATASTORE_FOLDER, "datastore", "Folder", "Datastore")
        networks = self._top(NETWORK_FOLDER, "network", "Folder", "Network")
        self._add(NETWORK, NETWORK_NAME, networks)
        self._add_folders()
        self._add_hosts()
        self._add_machines()

    def find(self, ref: Ref) -> Node | None:
        """The node of a reference."""
        return self._nodes.get(ref)

    def of_entity(self, entity: str) -> Node | None:
        """The node of an entity of the laboratory, such as ``machine/db1``."""
        return self.root if entity == ROOT else self._by_entity.get(entity)

    def all(self, type_name: str) -> list[Node]:
        """All nodes of a type."""
        return [node for node in self._nodes.values() if node.ref.type == type_name]

    def resources_of(self, host: HostRecord) -> Ref:
        """The resource pool of a host's cluster, or its own."""
        kind, _, name = host.parent.partition("/")
        if kind == "cluster":
            return self._ref("ResourcePool", "resgroup-", "cluster pool", name)
        return self._ref("ResourcePool", "resgroup-", "host pool", host.name)

    def datastore_of(self, host: str) -> Ref:
        """The datastore of a host."""
        return self._ref("Datastore", "datastore-", "datastore", host)

    def host_ref(self, host: str) -> Ref:
        """The reference of a host."""
        return self._ref("HostSystem", "host-", "host", host)

    def snapshot_ref(self, machine: MachineRecord, number: int) -> Ref:
        """The reference of a snapshot of a machine."""
        return self._ref(SNAPSHOT, SNAPSHOT_PREFIX, "snapshot", f"{machine.uuid}/{number}")

    def find_snapshot(self, ref: Ref) -> "tuple[Node, int] | None":
        """The machine and the number of a snapshot; the host knows whether it still exists."""
        digits = ref.value.removeprefix(SNAPSHOT_PREFIX)
        if ref.type != SNAPSHOT or not ref.value.startswith(SNAPSHOT_PREFIX):
            return None
        if not digits.isascii() or not digits.isdecimal() or len(digits) > MAX_DIGITS:
            return None
        name = self._numbers.name("snapshot", int(digits) - _FIRST)
        if name is None:
            return None
        uuid, _, number = name.rpartition("/")
        node = self._nodes.get(self._ref("VirtualMachine", "vm-", "machine", uuid))
        return None if node is None else (node, int(number))

    # Building -------------------------------------------------------------------------------------

    def _ref(self, type_name: str, prefix: str, kind: str, name: str) -> Ref:
        return Ref(type_name, f"{prefix}{self._numbers.number(kind, name) + _FIRST}")

    def _add(
        self,
        ref: Ref,
        title: str,
        parent: Node | None,
        entity: str = ROOT,
        record: Record = None,
        child_types: tuple[str, ...] = (),
    ) -> Node:
        node = self._nodes[ref] = Node(ref, title, parent, entity, record, child_types)
        if parent is not None:
            parent.children.append(node)
        return node

    def _top(self, ref: Ref, title: str, *child_types: str) -> Node:
        return self._add(ref, title, self.datacenter, child_types=child_types)

    def _add_folders(self) -> None:
        """A folder for machines for each folder of the laboratory, parents first."""
        self._folder_records = {f"folder/{f.name}": f for f in self._inventory.folders()}
        for entity in self._folder_records:
            self._machine_folder(entity)

    def _machine_folder(self, entity: str) -> Node:
        record = self._folder_records.get(entity)
        if record is None:
            return self._machines
        known = self._by_entity.get(entity)
        if known is None:
            parent = self._machine_folder(record.parent)
            ref = self._ref("Folder", "group-v", "machine folder", record.name)
            types = self._machines.child_types
            known = self._add(ref, record.name, parent, entity, record, types)
            self._by_entity[entity] = known
        return known

    def _host_folder(self, entity: str) -> Node:
        record = self._folder_records.get(entity)
        if record is None:
            return self._hosts
        ref = self._ref("Folder", "group-h", "host folder", record.name)
        known = self._nodes.get(ref)
        if known is None:
            parent = self._host_folder(record.parent)
            types = self._hosts.child_types
            known = self._add(ref, record.name, parent, entity, record, types)
        return known

    def _add_hosts(self) -> None:
        for cluster in self._inventory.clusters():
            entity = f"cluster/{cluster.name}"
            ref = self._ref("ClusterComputeResource", "domain-c", "cluster", cluster.name)
            folder = self._host_folder(cluster.parent)
            node = self._add(ref, cluster.name, folder, entity, cluster)
            self._by_entity[entity] = node
            pool = self._ref("ResourcePool", "resgroup-", "cluster pool", cluster.name)
            self._add(pool, "Resources", node, entity, cluster)
        for host in self._inventory.hosts():
            entity = f"host/{host.name}"
            owner = self._by_entity.get(host.parent) if host.parent.startswith("cluster/") else None
            if owner is None:
                ref = self._ref("ComputeResource", "domain-s", "compute resource", host.name)
                owner = self._add(ref, host.name, self._host_folder(host.parent), entity, host)
                self._add(self.resources_of(host), "Resources", owner, entity, host)
            node = self._add(self.host_ref(host.name), host.name, owner, entity, host)
            self._by_entity[entity] = node
            store = self.datastore_of(host.name)
            self._add(store, datastore_name(host.name), self._datastores, entity, host)

    def _add_machines(self) -> None:
        for machine in self._inventory.machines():
            entity = f"machine/{machine.name}"
            ref = self._ref("VirtualMachine", "vm-", "machine", machine.uuid)
            folder = self._machine_folder(machine.parent)
            node = self._add(ref, machine.name, folder, entity, machine)
            self._by_entity[entity] = node


def datastore_name(host: str) -> str:
    """The name of the datastore of a host."""
    return f"{host}-datastore"


def settings_path(machine: MachineRecord) -> str:
    """The file with the settings of a machine, as a path on its datastore."""
    return f"[{datastore_name(machine.host)}] {machine.name}/{machine.name}.vmx"
