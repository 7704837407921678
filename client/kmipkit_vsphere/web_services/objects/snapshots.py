"""Snapshots as managed objects."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.web_services.endpoint import finder
from kmipkit_vsphere.web_services.inventory import SNAPSHOT, Node
from kmipkit_vsphere.web_services.managed import ExtensibleManagedObject, method, prop
from kmipkit_vsphere.web_services.objects.machines import VirtualMachine
from kmipkit_vsphere.web_services.vim25.declaration import Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class VirtualMachineSnapshot(ExtensibleManagedObject):
    """A snapshot of a machine."""

    def __init__(self, ref: Ref, machine: Node, number: int) -> None:
        super().__init__(ref)
        self._machine = VirtualMachine(machine)
        self._number = number

    @property
    def entity(self) -> str:
        return self._machine.entity

    def check_visible(self, call: "Call") -> None:
        self._machine.check_visible(call)

    @prop()
    async def vm(self, call: "Call") -> Ref:
        """Its machine."""
        await self._machine.check_snapshot(call, self.ref, self._number)
        return self._machine.ref

    @prop()
    async def child_snapshot(self, call: "Call") -> Sequence[Ref]:
        """The snapshots that follow it."""
        await self._machine.check_snapshot(call, self.ref, self._number)
        return await self._machine.snapshots_after(call, self._number)

    @method("RevertToSnapshot_Task")
    async def revert(self, call: "Call", host: Ref | None, suppress_power_on: bool | None) -> Ref:
        """Return to it, on the host of its files; what was done since is lost."""
        del host
        await self._machine.check_snapshot(call, self.ref, self._number)
        return self._machine.revert_to(call, self._number, suppress_power_on)

    @method("RemoveSnapshot_Task")
    async def remove(self, call: "Call", remove_children: bool, consolidate: bool | None) -> Ref:
        """Remove it; layers that nothing needs any more are always merged."""
        del consolidate
        await self._machine.check_snapshot(call, self.ref, self._number)
        return self._machine.remove_snapshot(call, self._number, children=remove_children)


@finder(SNAPSHOT)
def find_snapshot(call: "Call", ref: Ref) -> VirtualMachineSnapshot | None:
    """The snapshot of a reference; anyone without a session finds none."""
    found = call.inventory.find_snapshot(ref) if call.session is not None else None
    return None if found is None else VirtualMachineSnapshot(ref, *found)
