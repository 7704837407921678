"""The machines of a vCenter: creating, cloning, registering, moving, and their power."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from msgspec import structs

from kmipkit_vsphere.calls import machines as host_calls
from kmipkit_vsphere.calls.host import HostInfo
from kmipkit_vsphere.calls.machines import (
    MachineInfo,
    MachineState,
    PowerState,
    TPMProvisionPolicy,
    part_of_disk,
)
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NotFound,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.migration_spec import EncryptionMode, decide
from kmipkit_vsphere.model.records import ROOT, HostRecord, MachineRecord
from kmipkit_vsphere.providers.owner import VIRTUAL_MACHINE, Owner
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.calls.machines import ListedMachine
from kmipkit_vsphere.vcenter.calls.policies import StoragePolicy
from kmipkit_vsphere.vcenter.clones import CloneRecord, Clones
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.encryption import MachineEncryption, space_failure
from kmipkit_vsphere.vcenter.host_manager import HostManager, all_keys
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.migrations import MigrationManager
from kmipkit_vsphere.vcenter.policies import DATASTORE_DEFAULT, ENCRYPTION_POLICY, Policies
from kmipkit_vsphere.vcenter.store import Store

log = logging.getLogger("kmipkit.vsphere.vcenter")


@dataclass(frozen=True, slots=True)
class CloneSpec:
    """What to clone: the present state or a snapshot; and how.

    ``provider_id`` names the provider of a new key for a linked clone.
    """

    name: str
    new_name: str
    tpm: TPMProvisionPolicy = TPMProvisionPolicy.COPY
    snapshot: host_calls.SnapshotName | None = None
    is_linked: bool = False
    provider_id: str | None = None
    folder: str | None = None

    def request(self, key_id: CryptoKeyId | None) -> Request[MachineInfo]:
        """The request to the host."""
        if self.is_linked:
            return host_calls.LinkMachine(self.name, self.new_name, self.snapshot, key_id, self.tpm)
        return host_calls.CloneMachine(self.name, self.new_name, self.tpm, self.snapshot)


class Machines:
    """The machines of one vCenter. Each call holds the lock of its machine."""

    def __init__(
        self,
        store: Store,
        crypto: CryptoManagerKmip,
        hosts: HostManager,
        encryption: MachineEncryption,
        migrations: MigrationManager,
        locks: Locks,
        clock: Clock,
        policies: Policies,
    ) -> None:
        self._clock = clock
        self._inventory = store.inventory
        self._crypto = crypto
        self._hosts = hosts
        self._encryption = encryption
        self._migrations = migrations
        self._locks = locks
        self._clones = Clones(store)
        self._policies = policies

    async def create(
        self,
        host_name: str,
        name: str,
        disk_size: int | None,
        sector_size: int = 512,
        folder: str = ROOT,
        policy: StoragePolicy = DATASTORE_DEFAULT,
    ) -> MachineInfo:
        """Create a plain machine on a host and add it to the inventory."""
        async with self._locks.machine(name):
            self._check_unused(name)
            self._inventory.place(folder)
            host = self._inventory.host(host_name)
            create = host_calls.CreateMachine(name, disk_size, sector_size)
            info = await self._hosts.call(host, create)
            self._inventory.put_machine(MachineRecord(info.uuid, name, host_name, None, folder))
            self._policies.assign(info.uuid, info.parts, policy)
            return info

    def _check_unused(self, name: str) -> None:
        if any(machine.name == name for machine in self._inventory.machines()):
            raise AlreadyExists(f"there is a machine {name} already")

    async def change(
        self, caller: Caller, name: str, operation: str, request: Request[MachineInfo]
    ) -> MachineInfo:
        """Have the host change a machine, for which it gets the machine's keys; with its event."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            host = self._inventory.host(machine.host)
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(
                caller.user, operation, machine.key_id, entity, failure=space_failure
            ):
                await self._give_keys(caller, host, await self._get(host, name))
                info = await self._hosts.call(host, request)
            self._crypto.note(caller.user, operation, machine.key_id, entity)
            self._hosts.review(caller, info)
            return info

    async def check_integrity(self, caller: Caller, name: str) -> list[str]:
        """What is wrong with the encrypted files of a machine; with its event."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            host = self._inventory.host(machine.host)
            info = await self._get(host, name)
            if info.crypto_state is MachineState.INVALID:
                problems = [info.problem or "its files cannot be read"]
            else:
                await self._give_keys(caller, host, info)
                problems = await self._hosts.call(host, host_calls.CheckIntegrity(name))
            self._hosts.report_integrity(caller, info, problems)
            return problems

    async def _give_keys(self, caller: Caller, host: HostRecord, machine: MachineInfo) -> None:
        failures = await self._hosts.push_for(caller, host, machine.key_ids)
        for failure in failures.values():
            raise failure

    async def clone(self, caller: Caller, spec: CloneSpec) -> MachineInfo:
        """Clone a machine on its host, with the same keys (§2.3).

        The clone is recorded before it begins: if vCenter ends in the middle, the next round of the
        background looks whether the host has completed it. A linked clone may get a new key for what
        it writes itself.
        """
        name, new_name = spec.name, spec.new_name
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            self._check_unused(new_name)
            self._inventory.place(spec.folder or machine.parent)
            host = self._inventory.host(machine.host)
            info = await self._get(host, name)
            entity = Entity("machine", new_name)
            with self._crypto.audited(caller.user, "Clone", machine.key_id, entity):
                await self._give_keys(caller, host, info)
                async with self._key_of_clone(caller, machine, host, info, spec) as key_id:
                    keys = [*info.key_ids, *filter(None, [key_id])]
                    record = CloneRecord(name, new_name, host.name, keys, self._clock())
                    with self._clones.running(record):
                        copy = await self._hosts.call(host, spec.request(key_id))
                        self._add_clone(name, copy, spec.folder)
            if machine.key_id is not None:
                self._crypto.note(caller.user, "Clone", copy.key_ids[0], entity)
            self._hosts.review(caller, copy)
            return copy

    @asynccontextmanager
    async def _key_of_clone(
        self,
        caller: Caller,
        machine: MachineRecord,
        host: HostRecord,
        info: MachineInfo,
        spec: CloneSpec,
    ) -> AsyncIterator[CryptoKeyId | None]:
        """The new key of a linked clone, if it is to have one; marked with its owner afterwards."""
        if spec.provider_id is None:
            yield None
            return
        if not info.key_ids:
            raise InvalidState(f"{machine.name} is not encrypted: its linked clones have no keys")
        provider = self._encryption.provider_for(machine, spec.provider_id)
        key_id = await self._crypto.create_key(caller.user, provider)
        with self._crypto.in_use(key_id, f"the clone {spec.new_name}"):
            await provider.tag_product(key_id)
            await self._hosts.push(caller, host, key_id)
            yield key_id
        copy = self._inventory.machine(spec.new_name)
        if copy.key_id is not None:
            await provider.tag_owner(copy.key_id, Owner(copy.uuid, VIRTUAL_MACHINE, copy.name))

    def _add_clone(self, source: str, copy: MachineInfo, folder: str | None = None) -> None:
        machine = self._inventory.machine(source)
        key_id = copy.key_ids[0] if copy.key_ids else None
        record = replace(machine, uuid=copy.uuid, name=copy.name, key_id=key_id)
        self._inventory.put_machine(replace(record, parent=folder or machine.parent))
        self._policies.copy(machine.uuid, copy.uuid)

    async def settle_clones(self) -> None:
        """Add the copies to the inventory that a host completed after vCenter had ended."""
        for record in self._clones.interrupted():
            with contained(log, f"the clone {record.new_name}"):
                host = self._inventory.host(record.host)
                copy = await self._find(host, record.new_name)
                names = {machine.name for machine in self._inventory.machines()}
                if copy is not None and record.source in names and record.new_name not in names:
                    self._add_clone(record.source, copy)
                if copy is not None or self._clones.is_over(record, self._clock()):
                    self._clones.end(record)

    async def add_disk(
        self,
        caller: Caller,
        name: str,
        size: int,
        sector_size: int = 512,
        provider_id: str | None = None,
        policy: StoragePolicy | None = None,
    ) -> MachineInfo:
        """Add a disk; in an encrypted machine it is encrypted, with the machine's key or another.

        A disk whose policy does not require encryption is plain. In a plain machine none can be
        encrypted: add it first, then encrypt both (§2.3).
        """
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            host = self._inventory.host(machine.host)
            entity = Entity("machine", name, machine.uuid)
            is_plain = policy is not None and not policy.encrypts
            key_id = None if is_plain else machine.key_id
            needs_key = provider_id is not None or (policy is not None and policy.encrypts)
            if needs_key and not (await self._get(host, name)).key_ids:
                raise InvalidState(
                    f"{name} is not encrypted: an encrypted disk cannot be added to it; add it, and"
                    " set its policy afterwards (set-policy)"
                )
            if provider_id is not None:
                if is_plain:
                    raise InvalidArgument("a disk that is not encrypted needs no key provider")
                provider = self._encryption.provider_for(machine, provider_id)
                key_id = await self._crypto.create_key(caller.user, provider)
            with (
                self._crypto.audited(caller.user, "AddDisk", key_id, entity),
                self._crypto.in_use(key_id, f"a new disk of {name}"),
            ):
                if key_id is not None:
                    await self._hosts.push(caller, host, key_id)
                before = await self._get(host, name)
                add = host_calls.AddDisk(name, size, sector_size, key_id, is_plain)
                info = await self._hosts.call(host, add)
            new = [part for part in info.parts if part not in before.parts]
            encrypts = any(part in info.encrypted_parts for part in new)
            default = ENCRYPTION_POLICY if encrypts else DATASTORE_DEFAULT
            self._policies.assign(info.uuid, new, policy or default)
            if key_id is not None:
                self._crypto.note(caller.user, "AddDisk", key_id, entity)
            return info

    async def remove_disk(self, name: str, disk: int) -> MachineInfo:
        """Remove a disk from a machine; its files stay on the datastore."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            host = self._inventory.host(machine.host)
            info = await self._hosts.call(host, host_calls.RemoveDisk(name, disk))
            self._policies.forget(machine.uuid, part_of_disk(disk))
            return info

    async def set_migrate_encryption(self, name: str, mode: EncryptionMode) -> None:
        """Set whether a machine moves encrypted."""
        async with self._locks.machine(name):
            host = self._inventory.host(self._inventory.machine(name).host)
            await self._hosts.call(host, host_calls.SetMigrateEncryption(name, mode))

    async def all(self) -> list[ListedMachine]:
        """All machines in the inventory, as their hosts describe them.

        What a host does not say, because it does not answer or has no such machine, is unknown.
        """
        listed: list[ListedMachine] = []
        for host in self._inventory.hosts():
            records = [record for record in self._inventory.machines() if record.host == host.name]
            if not records:
                continue
            problem = f"host {host.name} has no such machine"
            infos: dict[str, MachineInfo] = {}
            try:
                infos = {info.name: info for info in await self._hosts.machines_on(host.name)}
            except VSphereError as failure:
                problem = failure.message
            for record in records:
                info = infos.get(record.name) or _unknown(record, problem)
                policies = self._policies.of(record.uuid)
                names = {part: policy.name for part, policy in policies.items()}
                fields = {**structs.asdict(info), "uuid": record.uuid}
                listed.append(ListedMachine(**fields, host=host.name, policies=names))
        return listed

    def record(self, name: str) -> MachineRecord:
        """The record of a machine in the inventory."""
        return self._inventory.machine(name)

    async def info(self, name: str) -> MachineInfo:
        """A machine in the inventory, as its host describes it."""
        return await self._get(self.host_of(name), name)

    def host_of(self, name: str) -> HostRecord:
        """The host of a machine."""
        return self._inventory.host(self.record(name).host)

    async def register(
        self, caller: Caller, host_name: str, name: str, folder: str = ROOT
    ) -> MachineInfo:
        """RegisterVM: add a machine whose files are on a host's datastore to the inventory.

        Keys are sent to the host by the ids in the machine's files, with the provider ids that are
        there (§2.5). A machine that stays locked is registered anyway.
        """
        async with self._locks.machine(name):
            self._check_unused(name)
            self._inventory.place(folder)
            host = self._inventory.host(host_name)
            info = await self._find(host, name)
            if info is None:
                raise InvalidArgument(f"there is no machine {name} on the datastore of {host_name}")
            keys = info.key_ids
            if keys:
                await self._hosts.check_may_enable(caller, host)
            entity = Entity("machine", name, info.uuid)
            record = MachineRecord(info.uuid, name, host_name, keys[0] if keys else None, folder)
            with self._crypto.audited(caller.user, "Register", record.key_id, entity):
                self._inventory.put_machine(record)
                if keys:
                    await self._hosts.configure_crypto_key(caller, host_name)
                    # Each key by itself: one that only a disk needs does not keep the home locked.
                    failures = await self._hosts.push_for(caller, host, all_keys(info))
                    await self._hosts.unlock(caller, host, name, failures)
                    for key_id in keys:
                        if key_id not in failures:
                            await self._hosts.push_to_cluster(caller, host, key_id, enable=True)
                    info = await self._get(host, name)
            if keys:
                self._crypto.note(caller.user, "Register", record.key_id, entity)
            self._hosts.review(caller, info)
            return info

    async def _find(self, host: HostRecord, name: str) -> MachineInfo | None:
        machines = await self._hosts.machines_on(host.name)
        return next((machine for machine in machines if machine.name == name), None)

    async def unregister(self, name: str) -> None:
        """UnregisterVM: remove a machine from the inventory; its files stay, locked or not."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            host = self._inventory.host(machine.host)
            await self._hosts.call(host, host_calls.UnregisterMachine(name))
            self._inventory.remove_machine(name)
            self._policies.forget(machine.uuid)
            self._hosts.alarms.end_all(Entity("machine", name, machine.uuid))

    async def destroy(self, user: str, name: str) -> None:
        """Destroy_Task: delete a machine that is powered off, with its files."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            host = self._inventory.host(machine.host)
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(user, "Destroy", machine.key_id, entity):
                await self._hosts.call(host, host_calls.DeleteMachine(name))
            self._inventory.remove_machine(name)
            self._policies.forget(machine.uuid)
            self._hosts.alarms.end_all(entity)
            self._crypto.note(user, "Destroy", machine.key_id, entity)

    async def delete_files(self, user: str, host_name: str, name: str) -> None:
        """Delete the files of a machine on a datastore that no inventory has, such as a broken copy."""
        async with self._locks.machine(name):
            host = self._inventory.host(host_name)
            if any(
                record.name == name and record.host == host_name
                for record in self._inventory.machines()
            ):
                raise ResourceInUse(f"{name} is registered; delete it with destroy-vm")
            entity = Entity("machine", name)
            with self._crypto.audited(user, "DeleteFiles", None, entity):
                await self._hosts.call(host, host_calls.DeleteMachine(name))
            self._crypto.note(user, "DeleteFiles", None, entity)

    async def power_on(self, caller: Caller, name: str) -> MachineInfo:
        """PowerOnVM; gives the host the keys that it lacks."""
        async with self._locks.machine(name):
            host = self._inventory.host(self._inventory.machine(name).host)
            try:
                return await self._hosts.call(host, host_calls.PowerOn(name))
            except EncryptionKeyRequired as locked:
                failures = await self._hosts.push_for(caller, host, locked.required_key)
                for failure in failures.values():
                    raise failure from None
            except InvalidState as refusal:
                await self._hosts.note_disabled(caller, host, name, refusal)
                raise
            return await self._hosts.call(host, host_calls.PowerOn(name))

    async def power_off(self, name: str) -> MachineInfo:
        """PowerOffVM."""
        async with self._locks.machine(name):
            host = self._inventory.host(self._inventory.machine(name).host)
            return await self._hosts.call(host, host_calls.PowerOff(name))

    async def migrate(self, caller: Caller, name: str, target_name: str) -> MachineInfo:
        """MigrateVM: move a machine, with its files and its memory, to another host (§2.6).

        An encrypted machine moves encrypted; the target is given its keys first. If the migration
        fails, the machine is on the source as before.
        """
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            source, target = self._inventory.host(machine.host), self._inventory.host(target_name)
            if source.name == target.name:
                raise InvalidArgument(f"the machine {name} is on host {target_name} already")
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(caller.user, "Migrate", machine.key_id, entity):
                info = await self._get(source, name)
                await self._check_not_linked(source, info)
                if await self._find(target, name) is not None:
                    raise AlreadyExists(f"host {target_name} has another machine {name}")
                if info.key_ids:
                    await self._hosts.configure_crypto_key(caller, target.name)
                    for key_id in info.key_ids:
                        await self._hosts.push(caller, target, key_id)
                encrypted = await self._is_encrypted_migration(info, source, target)
                await self._migrations.move(name, source, target, encrypted=encrypted)
            if encrypted:
                is_hot = info.power_state is PowerState.ON
                self._crypto.event_log.add(
                    "vm.VmHotMigratingWithEncryptionEvent"
                    if is_hot
                    else "vm.VmMigratingWithEncryptionEvent",
                    f"{name} moved encrypted from {source.name} to {target.name}",
                    user=caller.user,
                    operation="Migrate",
                    key_id=machine.key_id,
                    entity=entity,
                )
            return await self._get(target, name)

    async def _check_not_linked(self, host: HostRecord, machine: MachineInfo) -> None:
        """InvalidState if a machine cannot move because it shares disks with another one."""
        if machine.parents:
            raise InvalidState(
                f"{machine.name} is a linked clone of {machine.parents[0]}, whose disks stay on"
                f" {host.name}: make a full clone of it (clone-vm), and move that"
            )
        others = await self._hosts.machines_on(host.name)
        clones = [other.name for other in others if machine.name in other.parents]
        if clones:
            raise InvalidState(
                f"linked clones stand on the disks of {machine.name}: {', '.join(clones)}; it cannot"
                " move away from them"
            )

    async def _get(self, host: HostRecord, name: str) -> MachineInfo:
        info = await self._find(host, name)
        if info is None:
            raise NotFound(f"host {host.name} has no machine {name}")
        return info

    async def _is_encrypted_migration(
        self, info: MachineInfo, source: HostRecord, target: HostRecord
    ) -> bool:
        # An encrypted machine always moves encrypted, whatever its setting (§2.6).
        mode = EncryptionMode.REQUIRED if info.key_ids else EncryptionMode(info.migrate_encryption)
        can_source, can_target = [
            (await self._hosts.call(host, HostInfo())).encrypted_vmotion
            for host in (source, target)
        ]
        return decide(mode, can_source, can_target)


def _unknown(record: MachineRecord, problem: str) -> MachineInfo:
    """A machine of which only the record in the inventory is known."""
    keys = [record.key_id] if record.key_id is not None else []
    return MachineInfo(
        name=record.name,
        uuid=record.uuid,
        crypto_state=MachineState.UNKNOWN,
        power_state=PowerState.UNKNOWN,
        key_ids=keys,
        pending_key_ids=[],
        disks=[],
        locked_disks=[],
        migrate_encryption="",
        files=[],
        problem=problem,
    )
