"""Snapshots of machines: their tree, and the methods that take, revert to and remove them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from kmipkit_vsphere.calls.machines import MachineInfo, PowerState, SnapshotInfo
from kmipkit_vsphere.model import errors
from kmipkit_vsphere.vcenter.calls import snapshots as snapshot_calls
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.managed import method, prop
from kmipkit_vsphere.web_services.objects.machine_tasks import MachineTasks
from kmipkit_vsphere.web_services.requests import request as request_of
from kmipkit_vsphere.web_services.vim25 import specs
from kmipkit_vsphere.web_services.vim25.declaration import Ref, Since
from kmipkit_vsphere.web_services.vim25.faults import ManagedObjectNotFound, NotSupported
from kmipkit_vsphere.web_services.vim25.machines import (
    VirtualMachineSnapshotInfo,
    VirtualMachineSnapshotTree,
)
from kmipkit_vsphere.web_services.vim25.states import VirtualMachinePowerState

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class SnapshotTasks(MachineTasks, mixin=True):
    """The snapshots of a machine."""

    # Properties -----------------------------------------------------------------------------------

    @prop()
    async def snapshot(self, call: "Call") -> VirtualMachineSnapshotInfo | None:
        """All snapshots as a tree, and the one that the present state follows; unset without any."""
        info = await call.machine(self._record)
        if info is None or not info.snapshots:
            return None
        current = [known.snapshot_id for known in info.snapshots if known.is_current]
        return VirtualMachineSnapshotInfo(
            current_snapshot=self._ref_of(call, current[0]) if current else None,
            root_snapshot_list=self._trees(call, info.snapshots),
        )

    def _trees(
        self, call: "Call", snapshots: Sequence[SnapshotInfo]
    ) -> tuple[VirtualMachineSnapshotTree, ...]:
        """The trees of all first snapshots; made from the last one on, without recursion."""
        children: dict[int | None, list[VirtualMachineSnapshotTree]] = {}
        for known in reversed(snapshots):  # what follows a snapshot is after it in the list
            states = VirtualMachinePowerState
            tree = VirtualMachineSnapshotTree(
                snapshot=self._ref_of(call, known.snapshot_id),
                vm=self.ref,
                name=known.name,
                description=known.description,
                id=known.snapshot_id,
                create_time=datetime.fromisoformat(known.created),
                state=states.POWERED_ON if known.has_memory else states.POWERED_OFF,
                quiesced=False,
                child_snapshot_list=tuple(children.pop(known.snapshot_id, ())),
            )
            children.setdefault(known.parent, []).insert(0, tree)
        return tuple(children.get(None, ()))

    @prop()
    async def root_snapshot(self, call: "Call") -> Sequence[Ref]:
        """The snapshots that follow no other one."""
        return await self.snapshots_after(call, None)

    async def snapshots_after(self, call: "Call", parent: int | None) -> Sequence[Ref]:
        """The snapshots that follow one, or none."""
        info = await call.machine(self._record)
        snapshots = info.snapshots if info is not None else ()
        return [self._ref_of(call, s.snapshot_id) for s in snapshots if s.parent == parent]

    def _ref_of(self, call: "Call", number: int) -> Ref:
        return call.inventory.snapshot_ref(self._record, number)

    # Methods --------------------------------------------------------------------------------------

    @method("CreateSnapshot_Task")
    async def create_snapshot(
        self, call: "Call", name: str, description: str | None, memory: bool, quiesce: bool
    ) -> Ref:
        """Take a snapshot, which is the result; there is no software in the guest to quiesce."""
        del quiesce
        return self._create(call, "createSnapshot", name, description, memory=memory)

    @method("CreateSnapshotEx_Task", since="6.5")
    async def create_snapshot_ex(
        self,
        call: "Call",
        name: str,
        description: str | None,
        memory: bool,
        quiesce_spec: specs.VirtualMachineGuestQuiesceSpec | None,
    ) -> Ref:
        """As :meth:`create_snapshot`."""
        del quiesce_spec
        return self._create(call, "createSnapshotEx", name, description, memory=memory)

    def _create(
        self, call: "Call", title: str, name: str, description: str | None, *, memory: bool
    ) -> Ref:
        """One that is powered off has no memory, so that ``memory`` has no effect."""
        members = {"name": self._record.name, "snapshot": name, "description": description or ""}
        names = {"snapshot": "name"}
        request = request_of(snapshot_calls.CreateSnapshot, members, names)

        async def work() -> Ref:
            is_on = (await self._info(call)).power_state is PowerState.ON
            members_now = {**members, "memory": memory and is_on}
            taken = await call.run(request_of(snapshot_calls.CreateSnapshot, members_now, names))
            return self._ref_of(call, taken.snapshot_id)

        return self._start(call, title, work, request)

    @method("RevertToCurrentSnapshot_Task")
    async def revert_to_current(
        self, call: "Call", host: Ref | None, suppress_power_on: bool | None
    ) -> Ref:
        """Return to the snapshot that the present state follows."""
        del host
        info = await self._info(call)
        current = [known.snapshot_id for known in info.snapshots if known.is_current]
        request = self._reversion(current[0] if current else 0, suppress_power_on)

        async def work() -> None:
            if not current:
                raise errors.NotFound(f"{self._record.name} has no snapshot")
            await call.run(request)

        return self._start(call, "revertToCurrentSnapshot", work, request)

    def _reversion(
        self, number: int, suppress_power_on: bool | None
    ) -> snapshot_calls.RevertToSnapshot:
        return snapshot_calls.RevertToSnapshot(self._record.name, number, bool(suppress_power_on))

    @method("RemoveAllSnapshots_Task")
    async def remove_all_snapshots(
        self,
        call: "Call",
        consolidate: bool | None,
        spec: Annotated[specs.SnapshotSelectionSpec | None, Since("8.0.3.0")],
    ) -> Ref:
        """Remove all snapshots; layers that nothing needs any more are always merged."""
        del consolidate
        if spec is not None and spec.retention_days is not None:
            raise Fault(NotSupported(), "snapshots are not selected by their age")
        request = snapshot_calls.RemoveAllSnapshots(self._record.name)
        return self._run_as_task(call, "removeAllSnapshots", request)

    @method("ConsolidateVMDisks_Task")
    async def consolidate_disks(self, call: "Call") -> Ref:
        """Merge layers of disks that nothing needs any more."""
        request = snapshot_calls.ConsolidateDisks(self._record.name)
        return self._run_as_task(call, "consolidateDisks", request)

    def _run_as_task(self, call: "Call", title: str, request: VCenterRequest[Any]) -> Ref:
        async def work() -> None:
            await call.run(request)

        return self._start(call, title, work, request)

    # One snapshot ---------------------------------------------------------------------------------

    async def check_snapshot(self, call: "Call", ref: Ref, number: int) -> None:
        """ManagedObjectNotFound for a snapshot that was removed."""
        info: MachineInfo = await self._info(call)
        if all(known.snapshot_id != number for known in info.snapshots):
            raise Fault(
                ManagedObjectNotFound(obj=ref), f"{self._record.name} has no snapshot {number} now"
            )

    def revert_to(self, call: "Call", number: int, suppress_power_on: bool | None) -> Ref:
        """Return to a snapshot."""
        request = self._reversion(number, suppress_power_on)
        return self._run_as_task(call, "revertToSnapshot", request)

    def remove_snapshot(self, call: "Call", number: int, *, children: bool) -> Ref:
        """Remove a snapshot."""
        request = snapshot_calls.RemoveSnapshot(self._record.name, number, children)
        return self._run_as_task(call, "removeSnapshot", request)
