"""Machines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.basics import OptionValue
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Long, Name, Ref, Since
from kmipkit_vsphere.web_services.vim25.devices import VirtualDevice
from kmipkit_vsphere.web_services.vim25.keys import CryptoKeyId
from kmipkit_vsphere.web_services.vim25.states import (
    ManagedEntityStatus,
    VirtualMachineConnectionState,
    VirtualMachineFaultToleranceState,
    VirtualMachinePowerState,
    VirtualMachineRecordReplayState,
)


class VirtualHardware(DataObject):
    num_cpu: Annotated[int, Name("numCPU")]
    num_cores_per_socket: int | None = None
    memory_mb: Annotated[int, Name("memoryMB")]
    device: Sequence[VirtualDevice] = ()


class VirtualMachineFileInfo(DataObject):
    vm_path_name: str | None = None
    snapshot_directory: str | None = None
    suspend_directory: str | None = None
    log_directory: str | None = None
    ft_metadata_directory: str | None = None


class VirtualMachineFlagInfo(DataObject):
    """Flags of a machine."""


class VirtualMachineDefaultPowerOpInfo(DataObject):
    """What its power buttons do."""


class ToolsConfigInfo(DataObject):
    """What the tools in the guest do; there are none."""

    tools_version: int | None = None
    after_power_on: bool | None = None
    after_resume: bool | None = None
    before_guest_standby: bool | None = None
    before_guest_shutdown: bool | None = None


class VirtualMachineConfigInfo(DataObject):
    """The settings of a machine; with keyId it is encrypted."""

    change_version: str
    modified: datetime
    name: str
    guest_full_name: str
    version: str
    uuid: str
    create_date: Annotated[datetime | None, Since("6.7")] = None
    instance_uuid: str | None = None
    template: bool
    guest_id: str
    alternate_guest_name: str
    files: VirtualMachineFileInfo
    tools: ToolsConfigInfo | None = None
    flags: VirtualMachineFlagInfo
    default_power_ops: VirtualMachineDefaultPowerOpInfo
    hardware: VirtualHardware
    extra_config: Sequence[OptionValue] = ()
    key_id: CryptoKeyId | None = None
    migrate_encryption: str | None = None
    ft_encryption_mode: Annotated[str | None, Since("7.0.2.0")] = None


class VirtualMachineSnapshotTree(DataObject):
    """A snapshot, and those that follow it."""

    snapshot: Ref
    vm: Ref
    name: str
    description: str
    id: int
    create_time: datetime
    state: VirtualMachinePowerState
    quiesced: bool
    child_snapshot_list: Sequence["VirtualMachineSnapshotTree"] = ()


class VirtualMachineSnapshotInfo(DataObject):
    """The snapshots of a machine."""

    current_snapshot: Ref | None = None
    root_snapshot_list: Sequence[VirtualMachineSnapshotTree] = ()


class VirtualMachineRuntimeInfo(DataObject):
    host: Ref | None = None
    connection_state: VirtualMachineConnectionState
    power_state: VirtualMachinePowerState
    fault_tolerance_state: VirtualMachineFaultToleranceState
    tools_installer_mounted: bool
    boot_time: datetime | None = None
    num_mks_connections: int
    record_replay_state: VirtualMachineRecordReplayState
    online_standby: bool
    consolidation_needed: bool
    crypto_state: Annotated[str | None, Since("6.7")] = None


class VirtualMachineGuestSummary(DataObject):
    guest_id: str | None = None
    guest_full_name: str | None = None


class VirtualMachineConfigSummary(DataObject):
    name: str
    template: bool
    vm_path_name: str
    memory_size_mb: Annotated[int | None, Name("memorySizeMB")] = None
    num_cpu: int | None = None
    num_ethernet_cards: int | None = None
    num_virtual_disks: int | None = None
    uuid: str | None = None
    instance_uuid: str | None = None
    guest_id: str | None = None
    guest_full_name: str | None = None
    tpm_present: Annotated[bool | None, Since("6.7")] = None


class VirtualMachineStorageSummary(DataObject):
    committed: Long
    uncommitted: Long
    unshared: Long
    timestamp: datetime


class VirtualMachineQuickStats(DataObject):
    overall_cpu_usage: int | None = None
    guest_memory_usage: int | None = None
    host_memory_usage: int | None = None
    guest_heartbeat_status: ManagedEntityStatus
    uptime_seconds: int | None = None


class VirtualMachineSummary(DataObject):
    """What lists of machines show."""

    vm: Ref | None = None
    runtime: VirtualMachineRuntimeInfo
    guest: VirtualMachineGuestSummary | None = None
    config: VirtualMachineConfigSummary
    storage: VirtualMachineStorageSummary | None = None
    quick_stats: VirtualMachineQuickStats
    overall_status: ManagedEntityStatus
