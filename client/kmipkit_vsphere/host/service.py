"""The host role behind the channel: which calls it serves, and to whom.

``management`` is vCenter: only it brings keys and requests encryption. ``guest`` stands for what
runs inside the machines and reads and writes their disks and memory; it never gets a key. Work runs
in threads, so that the host answers other calls during a long encryption, and because the event
loop must not wait for the lock of the machines (:mod:`kmipkit_vsphere.host.open_machines`).
"""

from functools import partial
from typing import Final, TypeVar

from trio.to_thread import run_sync as in_thread

from kmipkit_vsphere.calls import guest, host, key_providers, machines
from kmipkit_vsphere.calls.host import HostAttestation
from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.rpc.call import Row, Rows, table
from kmipkit_vsphere.trust_authority import host_calls as image_calls
from kmipkit_vsphere.trust_authority.measurements import Image

MANAGEMENT: Final = "management"
GUEST: Final = "guest"

T = TypeVar("T")


def host_calls(served: Host) -> Rows:
    """Every call of a host but those of migrations (:mod:`kmipkit_vsphere.vmotion.service`)."""
    return table(
        *HostCalls(served).rows(), *MachineCalls(served).rows(), *GuestCalls(served).rows()
    )


class HostCalls:
    """vCenter's calls about the host itself: encryption mode, keys, providers, core dumps."""

    def __init__(self, served: Host) -> None:
        self._host = served
        self._keys = served.keys

    def rows(self) -> tuple[Row, ...]:
        """Method, role and handler."""
        return (
            host.HostInfo.row(MANAGEMENT, self.info),
            host.CryptoManagerHostPrepare.row(MANAGEMENT, self.prepare),
            host.CryptoManagerHostEnable.row(MANAGEMENT, self.enable),
            host.CryptoManagerHostDisable.row(MANAGEMENT, self.disable),
            host.ChangeKey.row(MANAGEMENT, self.change_key),
            host.AddKey.row(MANAGEMENT, self.add_key),
            host.AddKeys.row(MANAGEMENT, self.add_keys),
            host.RemoveKey.row(MANAGEMENT, self.remove_key),
            host.ListKeys.row(MANAGEMENT, self.list_keys),
            host.GetCryptoKeyStatus.row(MANAGEMENT, self.key_status),
            host.ListKeyReferences.row(MANAGEMENT, self.key_references),
            host.SetKeyPersistence.row(MANAGEMENT, self.set_persistence),
            key_providers.SetKeyProvider.row(MANAGEMENT, self.set_provider),
            key_providers.RemoveKeyProvider.row(MANAGEMENT, self.remove_provider),
            key_providers.ConfigureVsan.row(MANAGEMENT, self.configure_vsan),
            image_calls.BootedImage.row(MANAGEMENT, self.booted_image),
            image_calls.PrepareUpgrade.row(MANAGEMENT, self.prepare_upgrade),
            host.ConfigureTrustedHost.row(MANAGEMENT, self.configure_trusted),
            host.AttestationStatus.row(MANAGEMENT, self.attestation),
            host.DumpCore.row(MANAGEMENT, self.dump_core),
            host.ListCoreDumps.row(MANAGEMENT, self.list_dumps),
            host.ExportCoreDump.row(MANAGEMENT, self.export_dump),
        )

    async def info(self, _request: host.HostInfo) -> host.HostDescription:
        return self._host.info()

    async def prepare(self, _request: host.CryptoManagerHostPrepare) -> None:
        self._keys.crypto.prepare()

    async def enable(self, request: host.CryptoManagerHostEnable) -> CryptoKeyId:
        if request.initial_key is not None:
            await in_thread(self._keys.enable, request.initial_key)
            return request.initial_key.key_id
        return await in_thread(self._keys.enable_from_source, _required(request.key_id, "keyId"))

    async def disable(self, _request: host.CryptoManagerHostDisable) -> None:
        await in_thread(self._host.disable_encryption)

    async def change_key(self, request: host.ChangeKey) -> host.ChangeKeyResult:
        if request.new_key is not None:
            return await in_thread(self._host.change_key, request.new_key)
        key_id = _required(request.key_id, "keyId")
        return await in_thread(self._change_own_key, key_id)

    def _change_own_key(self, key_id: CryptoKeyId) -> host.ChangeKeyResult:
        """A key that this host gets itself: that of the id, or a new one if the id is empty."""
        source = self._keys.sources.get(key_id.provider_id)
        key = source.key(key_id) if key_id.key_id else source.new_key()
        return self._host.change_key(key)

    async def add_key(self, request: host.AddKey) -> None:
        await in_thread(self._keys.add, request.key)

    async def add_keys(self, request: host.AddKeys) -> list[host.CryptoKeyResult]:
        return [await in_thread(self._try_add, key) for key in request.keys]

    def _try_add(self, key: CryptoKeyPlain) -> host.CryptoKeyResult:
        try:
            self._keys.add(key)
        except VSphereError as fault:
            name = type(fault).__name__
            return host.CryptoKeyResult(key.key_id, False, fault.message, name)
        return host.CryptoKeyResult(key.key_id, True)

    async def remove_key(self, request: host.RemoveKey) -> None:
        await in_thread(partial(self._keys.remove, request.key_id, force=request.force))

    async def list_keys(self, _request: host.ListKeys) -> list[CryptoKeyId]:
        return self._keys.crypto.list_keys()

    async def key_status(self, request: host.GetCryptoKeyStatus) -> list[host.KeyPresence]:
        cached = set(self._keys.crypto.list_keys())
        return [
            host.KeyPresence(
                key_id,
                key_id in cached,
                "internal" if self._keys.sources.has(key_id.provider_id) else "external",
            )
            for key_id in request.keys
        ]

    async def key_references(self, _request: host.ListKeyReferences) -> list[host.KeyReference]:
        return await in_thread(self._host.key_references)

    async def set_persistence(self, request: host.SetKeyPersistence) -> None:
        if request.enable:
            await in_thread(self._keys.enable_persistence)
            return
        remove = request.remove_all_stored_keys
        await in_thread(partial(self._keys.disable_persistence, remove_all_stored_keys=remove))

    async def set_provider(self, request: key_providers.SetKeyProvider) -> list[str]:
        await in_thread(self._keys.sources.set_native, request.spec)
        return await in_thread(self._host.restore)

    async def remove_provider(self, request: key_providers.RemoveKeyProvider) -> None:
        await in_thread(self._keys.sources.remove, request.provider)

    async def configure_vsan(self, request: key_providers.ConfigureVsan) -> None:
        await self._host.vsan.configure(request.config, deep=request.deep)

    async def configure_trusted(self, request: host.ConfigureTrustedHost) -> list[str]:
        await in_thread(self._trusted().configure, request.services)
        return await in_thread(self._host.restore)

    async def booted_image(self, _request: image_calls.BootedImage) -> Image:
        return self._trusted().booted_image()

    async def prepare_upgrade(self, request: image_calls.PrepareUpgrade) -> None:
        await in_thread(self._trusted().prepare_upgrade, request.image)

    async def attestation(self, _request: host.AttestationStatus) -> HostAttestation:
        return await self._trusted().attest()

    def _trusted(self) -> TrustedHost:
        if self._host.trusted is None:
            raise InvalidState("a trusted host needs a TPM 2.0, and this host has none")
        return self._host.trusted

    async def dump_core(self, request: host.DumpCore) -> host.DumpInfo:
        return await in_thread(self._host.dumper.dump, request.world, request.data)

    async def list_dumps(self, _request: host.ListCoreDumps) -> list[host.DumpInfo]:
        return await in_thread(self._host.dumps.all)

    async def export_dump(self, request: host.ExportCoreDump) -> bytes:
        keys = self._keys.crypto.keys()
        return await in_thread(
            self._host.dumps.export, request.file, keys, request.password.reveal().decode()
        )


class MachineCalls:
    """vCenter's calls about the machines on the host."""

    def __init__(self, served: Host) -> None:
        self._machines = served.machines
        self._power = served.power
        self._tpms = served.tpms
        self._snapshots = served.snapshots

    def rows(self) -> tuple[Row, ...]:
        """Method, role and handler."""
        return (
            machines.CreateMachine.row(MANAGEMENT, self.create),
            machines.ReconfigureCrypto.row(MANAGEMENT, self.reconfigure),
            machines.CloneMachine.row(MANAGEMENT, self.clone),
            machines.AddDisk.row(MANAGEMENT, self.add_disk),
            machines.RemoveDisk.row(MANAGEMENT, self.remove_disk),
            machines.SetMigrateEncryption.row(MANAGEMENT, self.set_migrate_encryption),
            machines.LinkMachine.row(MANAGEMENT, self.link),
            machines.CreateSnapshot.row(MANAGEMENT, self.create_snapshot),
            machines.RevertToSnapshot.row(MANAGEMENT, self.revert),
            machines.RemoveSnapshot.row(MANAGEMENT, self.remove_snapshot),
            machines.RemoveAllSnapshots.row(MANAGEMENT, self.remove_all_snapshots),
            machines.ConsolidateDisks.row(MANAGEMENT, self.consolidate),
            machines.CheckIntegrity.row(MANAGEMENT, self.check_integrity),
            machines.AddVirtualTPM.row(MANAGEMENT, self.add_tpm),
            machines.RemoveVirtualTPM.row(MANAGEMENT, self.remove_tpm),
            machines.CryptoUnlock.row(MANAGEMENT, self.unlock),
            machines.UnregisterMachine.row(MANAGEMENT, self.unregister),
            machines.DeleteMachine.row(MANAGEMENT, self.delete),
            machines.PowerOn.row(MANAGEMENT, self.power_on),
            machines.PowerOff.row(MANAGEMENT, self.power_off),
            machines.ListMachines.row(MANAGEMENT, self.list_all),
        )

    async def create(self, request: machines.CreateMachine) -> MachineInfo:
        return await in_thread(
            self._machines.create,
            request.name,
            request.disk_size,
            request.sector_size,
            request.uuid,
        )

    async def reconfigure(self, request: machines.ReconfigureCrypto) -> MachineInfo:
        return await in_thread(
            self._machines.reconfigure,
            request.name,
            request.kind,
            request.key_id,
            request.parts,
        )

    async def clone(self, request: machines.CloneMachine) -> MachineInfo:
        clone = partial(
            self._machines.clone, tpm=request.tpm_provision_policy, snapshot=request.snapshot
        )
        return await in_thread(clone, request.name, request.new_name)

    async def link(self, request: machines.LinkMachine) -> MachineInfo:
        return await in_thread(
            self._machines.link,
            request.name,
            request.new_name,
            request.snapshot,
            request.key_id,
            request.tpm_provision_policy,
        )

    async def create_snapshot(self, request: machines.CreateSnapshot) -> MachineInfo:
        create = partial(self._snapshots.create, memory=request.memory)
        return await in_thread(create, request.name, request.snapshot, request.description)

    async def revert(self, request: machines.RevertToSnapshot) -> MachineInfo:
        revert = partial(self._snapshots.revert, suppress_power_on=request.suppress_power_on)
        return await in_thread(revert, request.name, request.snapshot)

    async def remove_snapshot(self, request: machines.RemoveSnapshot) -> MachineInfo:
        remove = partial(self._snapshots.remove, children=request.remove_children)
        return await in_thread(remove, request.name, request.snapshot)

    async def remove_all_snapshots(self, request: machines.RemoveAllSnapshots) -> MachineInfo:
        return await in_thread(self._snapshots.remove_all, request.name)

    async def consolidate(self, request: machines.ConsolidateDisks) -> MachineInfo:
        return await in_thread(self._snapshots.consolidate, request.name)

    async def add_disk(self, request: machines.AddDisk) -> MachineInfo:
        return await in_thread(
            partial(self._machines.add_disk, plain=request.plain),
            request.name,
            request.disk_size,
            request.sector_size,
            request.key_id,
        )

    async def remove_disk(self, request: machines.RemoveDisk) -> MachineInfo:
        return await in_thread(self._machines.remove_disk, request.name, request.disk)

    async def set_migrate_encryption(self, request: machines.SetMigrateEncryption) -> None:
        mode = request.migrate_encryption
        await in_thread(self._machines.set_migrate_encryption, request.name, mode)

    async def check_integrity(self, request: machines.CheckIntegrity) -> list[str]:
        return await in_thread(self._machines.check_integrity, request.name)

    async def add_tpm(self, request: machines.AddVirtualTPM) -> MachineInfo:
        return await in_thread(self._tpms.add, request.name)

    async def remove_tpm(self, request: machines.RemoveVirtualTPM) -> MachineInfo:
        return await in_thread(self._tpms.remove, request.name)

    async def unlock(self, request: machines.CryptoUnlock) -> MachineInfo:
        return await in_thread(self._machines.unlock, request.name)

    async def unregister(self, request: machines.UnregisterMachine) -> None:
        await in_thread(self._machines.lock, request.name)

    async def delete(self, request: machines.DeleteMachine) -> None:
        await in_thread(self._machines.delete, request.name)

    async def power_on(self, request: machines.PowerOn) -> MachineInfo:
        await in_thread(self._power.power_on, request.name)
        return await in_thread(self._machines.info, request.name)

    async def power_off(self, request: machines.PowerOff) -> MachineInfo:
        await in_thread(self._power.power_off, request.name)
        return await in_thread(self._machines.info, request.name)

    async def list_all(self, _request: machines.ListMachines) -> list[MachineInfo]:
        return await in_thread(self._machines.list_all)


class GuestCalls:
    """The calls of guests: plain text of disks and memory, never a key."""

    def __init__(self, served: Host) -> None:
        self._guests = served.guests
        self._tpms = served.tpms
        self._vsan = served.vsan

    def rows(self) -> tuple[Row, ...]:
        """Method, role and handler."""
        return (
            guest.ReadDisk.row(GUEST, self.read_disk),
            guest.WriteDisk.row(GUEST, self.write_disk),
            guest.DiskInfo.row(GUEST, self.disk_info),
            guest.FlushDisk.row(GUEST, self.flush_disk),
            guest.ReadMemory.row(GUEST, self.read_memory),
            guest.WriteMemory.row(GUEST, self.write_memory),
            guest.SealWithTPM.row(GUEST, self.seal),
            guest.UnsealWithTPM.row(GUEST, self.unseal),
            guest.ReadVsan.row(GUEST, self.read_vsan),
            guest.WriteVsan.row(GUEST, self.write_vsan),
        )

    async def read_disk(self, request: guest.ReadDisk) -> bytes:
        return await in_thread(
            self._guests.read_disk, request.name, request.offset, request.length, request.disk
        )

    async def write_disk(self, request: guest.WriteDisk) -> None:
        await in_thread(
            self._guests.write_disk, request.name, request.offset, request.data, request.disk
        )

    async def disk_info(self, request: guest.DiskInfo) -> guest.DiskSize:
        return await in_thread(self._guests.disk_size, request.name, request.disk)

    async def flush_disk(self, request: guest.FlushDisk) -> None:
        # Every write is durable when it is answered: it only remains to check that there is a disk.
        await in_thread(self._guests.disk_size, request.name, request.disk)

    async def read_memory(self, request: guest.ReadMemory) -> bytes:
        return self._guests.read_memory(request.name, request.offset, request.length)

    async def write_memory(self, request: guest.WriteMemory) -> None:
        self._guests.write_memory(request.name, request.offset, request.data)

    async def seal(self, request: guest.SealWithTPM) -> bytes:
        return await in_thread(self._tpms.seal, request.name, request.data)

    async def unseal(self, request: guest.UnsealWithTPM) -> bytes:
        return await in_thread(self._tpms.unseal, request.name, request.data)

    async def read_vsan(self, request: guest.ReadVsan) -> bytes:
        return await in_thread(self._vsan.group().read_at, request.offset, request.length)

    async def write_vsan(self, request: guest.WriteVsan) -> None:
        group = self._vsan.group()
        await in_thread(group.write_at, request.offset, request.data)
        await in_thread(group.flush)


def _required(value: T | None, name: str) -> T:
    if value is None:
        raise InvalidArgument(f"the parameter {name} is missing")
    return value
