"""Finds entities by path, identifier or name."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.model.records import HostRecord, MachineRecord
from kmipkit_vsphere.web_services.inventory import Node, settings_path
from kmipkit_vsphere.web_services.managed import ManagedObject, method
from kmipkit_vsphere.web_services.vim25.declaration import Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class SearchIndex(ManagedObject, moid="SearchIndex", content="search_index"):
    """Finds entities; answers nothing where there is none, or none that the caller sees."""

    @method("FindByInventoryPath")
    async def find_by_inventory_path(self, call: "Call", inventory_path: str) -> Ref | None:
        """By the names from the datacenter on, such as ``Laboratory/vm/db1``."""
        node: Node | None = call.inventory.root
        for name in filter(None, inventory_path.split("/")):
            assert node is not None
            node = _child(call, node, name)
            if node is None:
                return None
        return node.ref if node is not None and call.sees(node) else None

    @method("FindChild")
    async def find_child(self, call: "Call", entity: Ref, name: str) -> Ref | None:
        """A child by its name."""
        call.endpoint.resolve(call, entity).check_visible(call)
        node = call.inventory.find(entity)
        child = None if node is None else _child(call, node, name)
        return None if child is None else child.ref

    @method("FindByUuid")
    async def find_by_uuid(
        self,
        call: "Call",
        datacenter: Ref | None,
        uuid: str,
        vm_search: bool,
        instance_uuid: bool | None,
    ) -> Ref | None:
        """A machine or a host by its UUID."""
        found = await self.find_all_by_uuid(call, datacenter, uuid, vm_search, instance_uuid)
        return next(iter(found), None)

    @method("FindAllByUuid")
    async def find_all_by_uuid(
        self,
        call: "Call",
        datacenter: Ref | None,  # noqa: ARG002 -- there is only one
        uuid: str,
        vm_search: bool,
        instance_uuid: bool | None,  # noqa: ARG002 -- both are the same here
    ) -> Sequence[Ref]:
        """All machines or hosts with a UUID."""
        kind = "VirtualMachine" if vm_search else "HostSystem"
        return _matching(call, kind, lambda node: _uuid(node) == uuid.lower())

    @method("FindByDnsName")
    async def find_by_dns_name(
        self, call: "Call", datacenter: Ref | None, dns_name: str, vm_search: bool
    ) -> Ref | None:
        """A host by its name; guests have none."""
        found = await self.find_all_by_dns_name(call, datacenter, dns_name, vm_search)
        return next(iter(found), None)

    @method("FindAllByDnsName")
    async def find_all_by_dns_name(
        self,
        call: "Call",
        datacenter: Ref | None,  # noqa: ARG002 -- there is only one
        dns_name: str,
        vm_search: bool,
    ) -> Sequence[Ref]:
        """All hosts of a name; guests have none."""
        if vm_search:
            return []
        return _matching(call, "HostSystem", lambda node: node.title.lower() == dns_name.lower())

    @method("FindByDatastorePath")
    async def find_by_datastore_path(self, call: "Call", datacenter: Ref, path: str) -> Ref | None:
        """A machine by the path of its settings file."""
        call.endpoint.resolve(call, datacenter).check_visible(call)
        found = [
            node.ref
            for node in call.inventory.all("VirtualMachine")
            if call.sees(node) and _settings_path(node) == path
        ]
        return next(iter(found), None)


def _child(call: "Call", node: Node, name: str) -> Node | None:
    return next((n for n in node.children if n.name == name and call.sees(n)), None)


def _matching(call: "Call", kind: str, matches: Callable[[Node], bool]) -> list[Ref]:
    return [n.ref for n in call.inventory.all(kind) if matches(n) and call.sees(n)]


def _settings_path(node: Node) -> str:
    assert isinstance(node.record, MachineRecord)
    return settings_path(node.record)


def _uuid(node: Node) -> str:
    record = node.record
    return record.uuid.lower() if isinstance(record, HostRecord | MachineRecord) else ""
