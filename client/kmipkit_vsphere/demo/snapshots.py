"""Snapshots and linked clones: the key of each layer, and what can be done with keys meanwhile."""

from typing import Any

from kmipkit_vsphere.calls.guest import WriteDisk
from kmipkit_vsphere.demo.laboratory import GUEST, HOST
from kmipkit_vsphere.demo.runbooks import Loss
from kmipkit_vsphere.demo.story import MACHINE, OFFSET, PLAIN, PROVIDER, require, wait_for
from kmipkit_vsphere.model.errors import InvalidState, ResourceInUse
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.calls.events import QueryEvents
from kmipkit_vsphere.vcenter.calls.hosts import AddHost, ReconnectHost
from kmipkit_vsphere.vcenter.calls.machines import CloneVM, DestroyVM, MigrateVM, RecryptVM
from kmipkit_vsphere.vcenter.calls.snapshots import (
    CreateSnapshot,
    ListSnapshots,
    RemoveAllSnapshots,
    RevertToSnapshot,
)

UPGRADE = "before the upgrade"
CLONE = "linked"
SECOND_HOST = "esx02"


class Snapshots(Loss):
    """The steps."""

    summary = "snapshots and linked clones: which keys they need, and what they forbid"

    def run(self) -> None:
        """All steps."""
        self.begin()
        self._take()
        self._rekey()
        self._revert()
        self._link()
        self._reboot()
        self._move()
        self.verified(
            "each layer of a disk is encrypted under a data key of its own and names the key that"
            " locks it; one rekey reaches all layers, and nothing removes a layer that a clone needs."
        )

    def _take(self) -> None:
        self.step("A snapshot: what the guest writes from now on goes into a new layer")
        self.call(self.vcenter, CreateSnapshot(MACHINE, UPGRADE))
        self.ask(self.host, HOST, GUEST, WriteDisk(MACHINE, OFFSET, b"damaged".ljust(len(PLAIN))))
        self._show_layers()

    def _show_layers(self) -> None:
        for layer in self.call(self.vcenter, ListSnapshots(MACHINE)).layers:
            key = layer.key_id.key_id if layer.key_id else "none"
            self.detail(f"{layer.file:<20} locked by {key}")

    def _rekey(self) -> None:
        self.step("A deep rekey is refused; a shallow one gives all layers the new key")
        try:
            self.call(self.vcenter, RecryptVM(MACHINE, deep=True))
        except InvalidState as refusal:
            self.detail(f"refused: {refusal.message}")
        else:
            require(False, "a deep rekey needs a machine without snapshots")
        self.call(self.vcenter, RecryptVM(MACHINE))
        self._show_layers()

    def _revert(self) -> None:
        self.step("The upgrade has failed: back to the snapshot")
        tree = self.call(self.vcenter, RevertToSnapshot(MACHINE, UPGRADE))
        for line in tree.tree:
            self.detail(line)
        self.read(self.host)

    def _link(self) -> None:
        self.step("A linked clone with a key of its own needs the keys of its parent as well")
        info = self.call(self.vcenter, CloneVM(MACHINE, CLONE, linked=True, key_provider=PROVIDER))
        for layer in info.layers:
            key = layer.key_id.key_id if layer.key_id else "none"
            self.detail(f"{layer.file:<20} locked by {key}")
        [event] = self.call(self.vcenter, QueryEvents(event_type_id="vm.crypto.Diskchain"))
        self.detail(f"{event.event_type_id}: {event.message}")
        self.read(self.host, CLONE)
        requests: tuple[Request[Any], ...] = (
            DestroyVM(MACHINE),
            RemoveAllSnapshots(MACHINE),
            RecryptVM(MACHINE),
        )
        for request in requests:
            try:
                self.call(self.vcenter, request)
            except (InvalidState, ResourceInUse) as refusal:
                self.detail(f"refused: {refusal.message}")
            else:
                require(False, "a linked clone needs the layers of its parent")

    def _reboot(self) -> None:
        self.step("The host reboots; vCenter brings the keys of all layers")
        self.reboot_host()
        self.call(self.vcenter, ReconnectHost(HOST, *self.host.address))
        # The background of vCenter may be at work on one of them.
        wait_for("the machine is unlocked", lambda: self.read(self.host))
        wait_for("the clone is unlocked", lambda: self.read(self.host, CLONE))

    def _move(self) -> None:
        self.step("Without the clone, the machine moves to another host with its snapshot")
        self.call(self.vcenter, DestroyVM(CLONE))
        self.lab.add_role(SECOND_HOST)
        other = self.start("host esx02", self.lab.host_command(SECOND_HOST))
        self.call(self.vcenter, AddHost(SECOND_HOST, *other.address))
        self.call(self.vcenter, MigrateVM(MACHINE, SECOND_HOST))
        self.ask(other, SECOND_HOST, GUEST, WriteDisk(MACHINE, OFFSET, b"again".ljust(len(PLAIN))))
        self.call(self.vcenter, RevertToSnapshot(MACHINE, UPGRADE))
        self.read(other, name=SECOND_HOST)
        tree = self.call(self.vcenter, RemoveAllSnapshots(MACHINE))
        require(len(tree.layers) == 1, "one layer is left")
        self.read(other, name=SECOND_HOST)
