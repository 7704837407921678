"""The datacenter and its folders."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.web_services import inventory
from kmipkit_vsphere.web_services.managed import prop
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity, visible
from kmipkit_vsphere.web_services.objects.folder_tasks import FolderTasks
from kmipkit_vsphere.web_services.vim25.declaration import Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class Folder(FolderTasks):
    """A folder."""

    @prop()
    def child_type(self, _call: "Call") -> Sequence[str]:
        """What it can hold."""
        return self.node.child_types

    @prop()
    def child_entity(self, call: "Call") -> Sequence[Ref]:
        """What it holds, as far as the caller sees it."""
        return visible(call, self.node.children)


class Datacenter(ManagedEntity):
    """The only datacenter."""

    @prop()
    def vm_folder(self, _call: "Call") -> Ref:
        """The folder with the machines."""
        return inventory.VM_FOLDER

    @prop()
    def host_folder(self, _call: "Call") -> Ref:
        """The folder with the hosts and clusters."""
        return inventory.HOST_FOLDER

    @prop()
    def datastore_folder(self, _call: "Call") -> Ref:
        """The folder with the datastores."""
        return inventory.DATASTORE_FOLDER

    @prop()
    def network_folder(self, _call: "Call") -> Ref:
        """The folder with the network."""
        return inventory.NETWORK_FOLDER

    @prop()
    def datastore(self, call: "Call") -> Sequence[Ref]:
        """The datastores of all hosts."""
        return visible(call, call.inventory.all("Datastore"))

    @prop()
    def network(self, call: "Call") -> Sequence[Ref]:
        """The network."""
        return visible(call, call.inventory.all("Network"))
