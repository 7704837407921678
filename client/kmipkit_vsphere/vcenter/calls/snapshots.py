"""Snapshots of machines: taken, reverted to, and removed."""

from typing import Final

from kmipkit_vsphere.calls.machines import DiskLayer, SnapshotInfo, SnapshotName
from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.vcenter.calls.arguments import NAME
from kmipkit_vsphere.vcenter.command import MACHINE, Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege


class SnapshotTree(Message):
    """The snapshots of a machine, as a tree for people and one by one, and all layers of its disks."""

    tree: list[str]
    snapshots: list[SnapshotInfo]
    layers: list[DiskLayer]
    consolidation_needed: bool


class ListSnapshots(VCenterQuery[SnapshotTree]):
    """Show the snapshots of a machine, and which key locks which layer of its disks."""

    name: Text


class CreateSnapshot(VCenterRequest[SnapshotInfo]):
    """Take a snapshot of a machine."""

    name: Text
    snapshot: Text
    description: str = ""
    memory: bool = False


class RevertToSnapshot(VCenterRequest[SnapshotTree]):
    """Return a machine to a snapshot; what it did since is lost."""

    name: Text
    snapshot: SnapshotName
    suppress_power_on: bool = False


class RemoveSnapshot(VCenterRequest[SnapshotTree]):
    """Remove a snapshot; the present state of the machine stays."""

    name: Text
    snapshot: SnapshotName
    remove_children: bool = False


class RemoveAllSnapshots(VCenterRequest[SnapshotTree]):
    """Remove all snapshots of a machine; its present state stays."""

    name: Text


class ConsolidateDisks(VCenterRequest[SnapshotTree]):
    """Merge layers of disks that no snapshot needs any more."""

    name: Text


# Rows --------------------------------------------------------------------------------------------

_SNAPSHOT = Argument("SNAPSHOT", "snapshot")

ROWS: Final = (
    Row(ListSnapshots, Privilege.VIEW, MACHINE, "snapshots", (NAME,), "snapshots db1"),
    Row(
        CreateSnapshot,
        Privilege.CREATE_SNAPSHOT,
        MACHINE,
        "create-snapshot",
        (
            NAME,
            _SNAPSHOT,
            Argument("--description", "description", help="What it is for."),
            Argument("--memory", "memory", bool, help="Also save the memory."),
        ),
        'create-snapshot db1 "before the upgrade"',
    ),
    Row(
        RevertToSnapshot,
        Privilege.REVERT_TO_SNAPSHOT,
        MACHINE,
        "revert-snapshot",
        (
            NAME,
            _SNAPSHOT,
            Argument(
                "--suppress-power-on",
                "suppressPowerOn",
                bool,
                help="Leave it off even if the snapshot has its memory.",
            ),
        ),
        'revert-snapshot db1 "before the upgrade"',
    ),
    Row(
        RemoveSnapshot,
        Privilege.REMOVE_SNAPSHOT,
        MACHINE,
        "remove-snapshot",
        (NAME, _SNAPSHOT, Argument("--children", "removeChildren", bool, help="All that follow.")),
        "remove-snapshot db1 2",
    ),
    Row(
        RemoveAllSnapshots,
        Privilege.REMOVE_SNAPSHOT,
        MACHINE,
        "remove-all-snapshots",
        (NAME,),
        "remove-all-snapshots db1",
    ),
    Row(
        ConsolidateDisks,
        Privilege.REMOVE_SNAPSHOT,
        MACHINE,
        "consolidate-disks",
        (NAME,),
        "consolidate-disks db1",
    ),
)
