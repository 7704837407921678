"""Snapshots of machines."""

from kmipkit_vsphere.calls import machines as host_calls
from kmipkit_vsphere.calls.machines import MachineInfo, SnapshotInfo
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.snapshots import (
    ConsolidateDisks,
    CreateSnapshot,
    ListSnapshots,
    RemoveAllSnapshots,
    RemoveSnapshot,
    RevertToSnapshot,
    SnapshotTree,
)
from kmipkit_vsphere.vcenter.vcenter import VCenter


@ListSnapshots.handler
async def list_all(vcenter: VCenter, _caller: Caller, request: ListSnapshots) -> SnapshotTree:
    return _tree(await vcenter.machines.info(request.name))


@CreateSnapshot.handler
async def create(vcenter: VCenter, caller: Caller, request: CreateSnapshot) -> SnapshotInfo:
    take = host_calls.CreateSnapshot(
        request.name, request.snapshot, request.description, request.memory
    )
    info = await vcenter.machines.change(caller, request.name, "CreateSnapshot", take)
    return next(snapshot for snapshot in info.snapshots if snapshot.is_current)


@RevertToSnapshot.handler
async def revert(vcenter: VCenter, caller: Caller, request: RevertToSnapshot) -> SnapshotTree:
    revert_to = host_calls.RevertToSnapshot(
        request.name, request.snapshot, request.suppress_power_on
    )
    return _tree(await vcenter.machines.change(caller, request.name, "RevertToSnapshot", revert_to))


@RemoveSnapshot.handler
async def remove(vcenter: VCenter, caller: Caller, request: RemoveSnapshot) -> SnapshotTree:
    remove_one = host_calls.RemoveSnapshot(request.name, request.snapshot, request.remove_children)
    return _tree(await vcenter.machines.change(caller, request.name, "RemoveSnapshot", remove_one))


@RemoveAllSnapshots.handler
async def remove_all(vcenter: VCenter, caller: Caller, request: RemoveAllSnapshots) -> SnapshotTree:
    remove_them = host_calls.RemoveAllSnapshots(request.name)
    return _tree(
        await vcenter.machines.change(caller, request.name, "RemoveAllSnapshots", remove_them)
    )


@ConsolidateDisks.handler
async def consolidate(vcenter: VCenter, caller: Caller, request: ConsolidateDisks) -> SnapshotTree:
    merge = host_calls.ConsolidateDisks(request.name)
    return _tree(await vcenter.machines.change(caller, request.name, "ConsolidateDisks", merge))


def _tree(machine: MachineInfo) -> SnapshotTree:
    depths: dict[int | None, int] = {None: -1}
    lines = []
    for snapshot in machine.snapshots:
        depths[snapshot.snapshot_id] = depth = depths[snapshot.parent] + 1
        mark = "  <- the present state follows this one" if snapshot.is_current else ""
        lines.append(f"{'  ' * depth}{snapshot.snapshot_id} {snapshot.name}{mark}")
    return SnapshotTree(lines, machine.snapshots, machine.layers, machine.consolidation_needed)
