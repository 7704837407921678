"""Machines, as their hosts describe them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.calls.machines import (
    DiskDescription,
    DiskLayer,
    MachineInfo,
    MachineState,
    PowerState,
)
from kmipkit_vsphere.model.records import HostRecord, MachineRecord
from kmipkit_vsphere.web_services.faults import key_id
from kmipkit_vsphere.web_services.inventory import datastore_name, settings_path
from kmipkit_vsphere.web_services.managed import prop
from kmipkit_vsphere.web_services.objects.entity import status_of
from kmipkit_vsphere.web_services.objects.snapshot_tasks import SnapshotTasks
from kmipkit_vsphere.web_services.reconfiguration import FIRST_DISK_KEY
from kmipkit_vsphere.web_services.vim25 import devices, machines, states
from kmipkit_vsphere.web_services.vim25.basics import Description
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.guests import GuestInfo

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

GUEST_ID: Final = "otherGuest64"
GUEST_NAME: Final = "Other (64-bit)"
HARDWARE_VERSION: Final = "vmx-21"
CPUS: Final = 1
MEMORY_MB: Final = 1024
"""What each machine claims to have: nothing in the laboratory depends on it."""
CONTROLLER_KEY: Final = 1000
TPM_KEY: Final = 11000
_OTHER_FOLDER: Final = "../"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_POWER: Final = {
    PowerState.ON: states.VirtualMachinePowerState.POWERED_ON,
    PowerState.OFF: states.VirtualMachinePowerState.POWERED_OFF,
}


class VirtualMachine(SnapshotTasks):
    """A machine."""

    @property
    def record(self) -> MachineRecord:
        """The machine as vCenter knows it."""
        assert isinstance(self.node.record, MachineRecord)
        return self.node.record

    @property
    def path(self) -> str:
        """The file with its settings."""
        return settings_path(self.record)

    @property
    def _folder(self) -> str:
        return settings_path(self.record).rpartition("/")[0] + "/"

    @prop()
    async def runtime(self, call: "Call") -> machines.VirtualMachineRuntimeInfo:
        """Where it runs and whether it is locked."""
        return self._runtime(call, await call.machine(self.record))

    def _runtime(
        self, call: "Call", info: MachineInfo | None
    ) -> machines.VirtualMachineRuntimeInfo:
        connection = states.VirtualMachineConnectionState
        is_invalid = info is not None and info.crypto_state is MachineState.INVALID
        return machines.VirtualMachineRuntimeInfo(
            host=call.inventory.host_ref(self.record.host),
            connection_state=(
                connection.DISCONNECTED
                if info is None
                else connection.INVALID
                if is_invalid
                else connection.CONNECTED
            ),
            power_state=_POWER.get(
                info.power_state if info is not None else PowerState.OFF,
                states.VirtualMachinePowerState.POWERED_OFF,
            ),
            fault_tolerance_state=states.VirtualMachineFaultToleranceState.NOT_CONFIGURED,
            tools_installer_mounted=False,
            num_mks_connections=0,
            record_replay_state=states.VirtualMachineRecordReplayState.INACTIVE,
            online_standby=False,
            consolidation_needed=info is not None and info.consolidation_needed,
            crypto_state=_crypto_state(info),
        )

    @prop()
    async def summary(self, call: "Call") -> machines.VirtualMachineSummary:
        """What lists of machines show."""
        info = await call.machine(self.record)
        return machines.VirtualMachineSummary(
            vm=self.ref,
            runtime=self._runtime(call, info),
            guest=machines.VirtualMachineGuestSummary(
                guest_id=GUEST_ID, guest_full_name=GUEST_NAME
            ),
            config=machines.VirtualMachineConfigSummary(
                name=self.node.name,
                template=False,
                vm_path_name=self.path,
                memory_size_mb=MEMORY_MB,
                num_cpu=CPUS,
                num_ethernet_cards=0,
                num_virtual_disks=0 if info is None else len(info.disks),
                uuid=self.record.uuid,
                instance_uuid=self.record.uuid,
                guest_id=GUEST_ID,
                guest_full_name=GUEST_NAME,
                tpm_present=info.has_tpm if info is not None else None,
            ),
            storage=machines.VirtualMachineStorageSummary(
                committed=0, uncommitted=0, unshared=0, timestamp=call.vcenter.clock()
            ),
            quick_stats=machines.VirtualMachineQuickStats(
                overall_cpu_usage=0,
                guest_memory_usage=0,
                host_memory_usage=0,
                guest_heartbeat_status=states.ManagedEntityStatus.GRAY,
                uptime_seconds=0,
            ),
            overall_status=status_of(call, self.node),
        )

    @prop()
    async def config(self, call: "Call") -> machines.VirtualMachineConfigInfo | None:
        """Its settings; not set for a machine whose files are damaged.

        ``keyId`` is set for an encrypted machine. Where its host does not answer, no devices are
        known.
        """
        info = await call.machine(self.record)
        if info is not None and info.crypto_state is MachineState.INVALID:
            return None
        return machines.VirtualMachineConfigInfo(
            change_version="1",
            modified=_EPOCH,
            name=self.node.name,
            guest_full_name=GUEST_NAME,
            version=HARDWARE_VERSION,
            uuid=self.record.uuid,
            instance_uuid=self.record.uuid,
            template=False,
            guest_id=GUEST_ID,
            alternate_guest_name="",
            files=machines.VirtualMachineFileInfo(
                vm_path_name=self.path,
                snapshot_directory=self._folder,
                log_directory=self._folder,
            ),
            tools=machines.ToolsConfigInfo(tools_version=0),
            flags=machines.VirtualMachineFlagInfo(),
            default_power_ops=machines.VirtualMachineDefaultPowerOpInfo(),
            hardware=machines.VirtualHardware(
                num_cpu=CPUS,
                num_cores_per_socket=1,
                memory_mb=MEMORY_MB,
                device=[] if info is None else self._devices(call, info),
            ),
            key_id=None if self.record.key_id is None else key_id(self.record.key_id),
            migrate_encryption=None if info is None else info.migrate_encryption or None,
            ft_encryption_mode="ftEncryptionOpportunistic",
        )

    def _devices(self, call: "Call", info: MachineInfo) -> list[devices.VirtualDevice]:
        """A controller with the disks, and a virtual TPM if there is one."""
        found: list[devices.VirtualDevice] = []
        if info.disk_descriptions:
            found.append(_controller(info))
            found += [self._disk(call, disk) for disk in info.disk_descriptions]
        if info.has_tpm:
            description = Description(label="Virtual TPM", summary="Trusted Platform Module")
            found.append(devices.VirtualTPM(key=TPM_KEY, device_info=description))
        return found

    def _disk(self, call: "Call", disk: DiskDescription) -> devices.VirtualDisk:
        files: list[DiskLayer | DiskDescription] = [*reversed(disk.parents), disk]
        backing = None
        for layer in files:
            backing = devices.VirtualDiskFlatVer2BackingInfo(
                file_name=self._path_of(layer.file),
                datastore=call.inventory.datastore_of(self.record.host),
                disk_mode="persistent",
                thin_provisioned=True,
                parent=backing,
                key_id=None if layer.key_id is None else key_id(layer.key_id),
            )
        return devices.VirtualDisk(
            key=FIRST_DISK_KEY + disk.number,
            device_info=Description(
                label=f"Hard disk {disk.number + 1}", summary=f"{disk.size} bytes"
            ),
            backing=backing,
            controller_key=CONTROLLER_KEY,
            unit_number=disk.number,
            capacity_in_kb=disk.size >> 10,
            capacity_in_bytes=disk.size,
        )

    def _path_of(self, file: str) -> str:
        """The path of a layer, which may be in the folder of the parent of a linked clone."""
        if not file.startswith(_OTHER_FOLDER):
            return f"{self._folder}{file}"
        return f"[{datastore_name(self.record.host)}] {file.removeprefix(_OTHER_FOLDER)}"

    @prop()
    def resource_pool(self, call: "Call") -> Ref | None:
        """The resource pool of its host or cluster."""
        host = call.inventory.find(call.inventory.host_ref(self.record.host))
        if host is None or not isinstance(host.record, HostRecord):
            return None
        return call.inventory.resources_of(host.record)

    @prop()
    def datastore(self, call: "Call") -> Sequence[Ref]:
        """The datastore of its host."""
        return [call.inventory.datastore_of(self.record.host)]

    @prop()
    def network(self, _call: "Call") -> Sequence[Ref]:
        """Machines of the laboratory have no network cards."""
        return []

    @prop()
    async def guest(self, call: "Call") -> GuestInfo:
        """What is known of the guest."""
        info = await call.machine(self.record)
        is_off = info is not None and info.power_state is PowerState.OFF
        return GuestInfo(
            tools_version_status2="guestToolsNotInstalled",
            tools_running_status="guestToolsNotRunning",
            guest_id=GUEST_ID,
            guest_full_name=GUEST_NAME,
            guest_state="notRunning" if is_off else "unknown",
        )

    @prop()
    def guest_heartbeat_status(self, _call: "Call") -> states.ManagedEntityStatus:
        """There are no tools in the guest."""
        return states.ManagedEntityStatus.GRAY


def _controller(info: MachineInfo) -> devices.ParaVirtualSCSIController:
    """The controller of the disks."""
    return devices.ParaVirtualSCSIController(
        key=CONTROLLER_KEY,
        device_info=Description(label="SCSI controller 0", summary="VMware paravirtual SCSI"),
        bus_number=0,
        device=[FIRST_DISK_KEY + disk.number for disk in info.disk_descriptions],
        hot_add_remove=True,
        shared_bus=devices.VirtualSCSISharing.NO_SHARING,
        scsi_ctlr_unit_number=7,
    )


def _crypto_state(info: MachineInfo | None) -> str | None:
    """``unlocked`` or ``locked``; not set for a machine that is not encrypted."""
    if info is None or info.crypto_state not in (MachineState.LOCKED, MachineState.UNLOCKED):
        return None
    return str(info.crypto_state)
