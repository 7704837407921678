"""Datastores, one for each host, and the network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.model.records import HostRecord, MachineRecord
from kmipkit_vsphere.web_services.inventory import Node
from kmipkit_vsphere.web_services.managed import prop
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity, visible
from kmipkit_vsphere.web_services.vim25.datastores import DatastoreCapability, DatastoreInfo
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.storage import (
    DatastoreHostMount,
    DatastoreSummary,
    HostMountInfo,
    NetworkSummary,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

CAPACITY: Final = 1 << 40
"""Bytes that each datastore claims to have; what is there is what the file system has."""


def machines_on(call: "Call", host: str) -> list[Node]:
    """The machines that are registered on a host."""
    nodes = call.inventory.all("VirtualMachine")
    return [n for n in nodes if isinstance(n.record, MachineRecord) and n.record.host == host]


class Datastore(ManagedEntity):
    """The datastore of a host."""

    @property
    def record(self) -> HostRecord:
        """The host."""
        assert isinstance(self.node.record, HostRecord)
        return self.node.record

    @prop()
    async def summary(self, call: "Call") -> DatastoreSummary:
        """What lists of datastores show."""
        return DatastoreSummary(
            datastore=self.ref,
            name=self.node.name,
            url=self._url,
            capacity=CAPACITY,
            free_space=CAPACITY,
            accessible=await call.host(self.record) is not None,
            multiple_host_access=False,
            type="VMFS",
            maintenance_mode="normal",
        )

    @property
    def _url(self) -> str:
        return f"ds:///vmfs/volumes/{self.record.uuid or self.record.name}/"

    @prop()
    def info(self, _call: "Call") -> DatastoreInfo:
        """What is known of it."""
        return DatastoreInfo(
            name=self.node.name,
            url=self._url,
            free_space=CAPACITY,
            max_file_size=CAPACITY,
            max_memory_file_size=CAPACITY,
        )

    @prop()
    def capability(self, _call: "Call") -> DatastoreCapability:
        """What it can do."""
        return DatastoreCapability(
            directory_hierarchy_supported=True,
            raw_disk_mappings_supported=False,
            per_file_thin_provisioning_supported=True,
            storage_iorm_supported=False,
            native_snapshot_supported=False,
        )

    @prop()
    async def host(self, call: "Call") -> Sequence[DatastoreHostMount]:
        """The host that has it."""
        is_there = await call.host(self.record) is not None
        path = f"/vmfs/volumes/{self.record.uuid or self.record.name}"
        mount = HostMountInfo(
            path=path, access_mode="readWrite", mounted=is_there, accessible=is_there
        )
        key = call.inventory.host_ref(self.record.name)
        return [DatastoreHostMount(key=key, mount_info=mount)]

    @prop()
    def browser(self, _call: "Call") -> Ref:
        """What searches it for files."""
        return Ref("HostDatastoreBrowser", f"datastoreBrowser-{self.ref.value}")

    @prop()
    def vm(self, call: "Call") -> Sequence[Ref]:
        """The machines whose files are there."""
        return visible(call, machines_on(call, self.record.name))


class Network(ManagedEntity):
    """The network: machines of the laboratory have no network cards."""

    @prop()
    def summary(self, _call: "Call") -> NetworkSummary:
        """What lists of networks show."""
        name = self.node.name
        return NetworkSummary(network=self.ref, name=name, accessible=True, ip_pool_name="")

    @prop()
    def host(self, call: "Call") -> Sequence[Ref]:
        """All hosts."""
        return visible(call, call.inventory.all("HostSystem"))

    @prop()
    def vm(self, _call: "Call") -> Sequence[Ref]:
        """No machines."""
        return []
