"""Finds the entities of the inventory by their references."""

from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.web_services.endpoint import finder
from kmipkit_vsphere.web_services.objects.compute import (
    ClusterComputeResource,
    ComputeResource,
    ResourcePool,
)
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity
from kmipkit_vsphere.web_services.objects.folders import Datacenter, Folder
from kmipkit_vsphere.web_services.objects.hosts import HostSystem
from kmipkit_vsphere.web_services.objects.machines import VirtualMachine
from kmipkit_vsphere.web_services.objects.storage import Datastore, Network
from kmipkit_vsphere.web_services.vim25.declaration import Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

ENTITIES: Final[dict[str, type[ManagedEntity]]] = {
    kind.__name__: kind
    for kind in (
        Folder,
        Datacenter,
        ComputeResource,
        ClusterComputeResource,
        ResourcePool,
        HostSystem,
        VirtualMachine,
        Datastore,
        Network,
    )
}


@finder(*ENTITIES)
def find_entity(call: "Call", ref: Ref) -> ManagedEntity | None:
    """The entity of a reference; anyone without a session finds none."""
    node = call.inventory.find(ref) if call.session is not None else None
    return None if node is None else ENTITIES[node.ref.type](node)
