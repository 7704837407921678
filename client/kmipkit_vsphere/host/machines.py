"""The machines of a host as vCenter manages them: create, encrypt, clone, change disks, unlock."""

import contextlib
import logging
from collections.abc import Iterable
from typing import Final
from uuid import UUID, uuid4

from kmipkit_vsphere.calls.machines import (
    DiskDescription,
    DiskLayer,
    MachineInfo,
    MachineState,
    PowerState,
    SnapshotInfo,
    TPMProvisionPolicy,
    part_of_disk,
)
from kmipkit_vsphere.host import consolidation, layers, virtual_tpm
from kmipkit_vsphere.host.copies import Cloning
from kmipkit_vsphere.host.crypto_operations import OPERATIONS
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.machine import Machine, MachineProgress
from kmipkit_vsphere.host.open_machine import OpenMachine
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.host.volume import Volume
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    AttestationFailed,
    DamagedData,
    InvalidArgument,
    InvalidPowerState,
    InvalidState,
    KeyServerUnreachable,
    NotAttested,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.migration_spec import EncryptionMode

MIGRATE_ENCRYPTION: Final = "migrate.encryptionMode"
"""The setting of the ``.vmx`` that holds ``migrateEncryption`` (vsphere.md §2.6)."""

log = logging.getLogger("kmipkit.vsphere.host")


class MachineManager:
    """Operations on the machines of one datastore.

    An operation that changes files reserves the machine; see :class:`OpenMachines` for the lock.
    """

    def __init__(
        self, datastore: Datastore, keys: HostKeys, machines: OpenMachines, power: PowerControl
    ) -> None:
        self._datastore = datastore
        self._keys = keys
        self._machines = machines
        self._power = power
        self._released: set[str] = set()
        """Machines that vCenter removed from its inventory: the host opens none of them by itself."""

    # What there is -------------------------------------------------------------------------------

    def info(self, name: str) -> MachineInfo:
        """State, keys and files of a machine."""
        machine = self._datastore.machine(name)
        machine.check_whole()
        opened = self._machines.get(name)
        if not machine.is_encrypted():
            state = MachineState.PLAIN
        else:
            state = MachineState.LOCKED if opened is None else MachineState.UNLOCKED
        return MachineInfo(
            name=name,
            uuid=machine.uuid,
            crypto_state=state,
            power_state=PowerState.ON if self._power.is_on(name) else PowerState.OFF,
            key_ids=machine.key_ids(),
            pending_key_ids=machine.pending_key_ids(),
            disks=list(machine.disks),
            locked_disks=sorted(opened.locked) if opened else [],
            migrate_encryption=machine.setting(MIGRATE_ENCRYPTION) or EncryptionMode.OPPORTUNISTIC,
            files=[str(path) for path in machine.files()],
            disk_descriptions=[
                _described(machine, number, volume, machine.chains[number])
                for number, volume in machine.disks.items()
            ],
            encrypted_parts=_encrypted_parts(machine),
            locked_reasons=[missing.message for missing in opened.locked.values()]
            if opened
            else [],
            snapshots=_snapshots(machine),
            layers=_layers(machine),
            mixed_disks=layers.mixed(machine.chains),
            parents=machine.parents(),
            consolidation_needed=self._needs_consolidation(machine),
            has_tpm=machine.has_tpm,
            tpm_endorsement_key=_endorsement_key(machine, opened),
        )

    def _needs_consolidation(self, machine: Machine) -> bool:
        if not consolidation.is_needed(machine, ()):
            return False
        return consolidation.is_needed(machine, self._pinned(machine))

    def _pinned(self, machine: Machine) -> set[str]:
        """The layers of a machine on which linked clones stand."""
        clones = layers.dependents(self._datastore.folder, machine.name)
        return {file for used in clones.values() for file in used}

    def list_all(self) -> list[MachineInfo]:
        """All machines on the datastore, by name."""
        return [self._info_or_damage(name) for name in self._datastore.names()]

    def _info_or_damage(self, name: str) -> MachineInfo:
        # Whatever is wrong with one machine must not keep the others from being listed.
        try:
            return self.info(name)
        except VSphereError as damage:
            return MachineInfo.damaged(name, damage.message)
        except (OSError, ValueError) as error:
            return MachineInfo.damaged(name, f"its files cannot be read: {error}")

    def create(
        self, name: str, disk_size: int | None, sector_size: int = 512, uuid: UUID | None = None
    ) -> MachineInfo:
        """Create a plain machine; see :meth:`Machine.create`."""
        self._datastore.create(name, uuid or uuid4(), disk_size, sector_size)
        return self.info(name)

    # Encryption ----------------------------------------------------------------------------------

    def reconfigure(
        self,
        name: str,
        kind: CryptoSpecKind,
        key_id: CryptoKeyId | None = None,
        uses: Iterable[str] | None = None,
        progress: MachineProgress | None = None,
    ) -> MachineInfo:
        """Encrypt, decrypt or re-encrypt a machine, or the named ones of its home and disks.

        Raises :class:`InvalidState` unless the host is safe and the machine is in a state that
        allows the operation (§2.3), :class:`EncryptionKeyRequired` if a key is not available, and
        :class:`NoSpace` if the datastore is full. After a crash, repeat the call: it continues
        where it stopped.
        """
        self._keys.crypto.check("Encrypt")
        machine = self._datastore.machine(name)
        with self._machines.reserved(name):
            self._check(machine, kind, key_id)
            new = None if key_id is None else self._keys.new_key(key_id, machine.uuid)
            self._keys.fetch(machine.key_ids())
            if OPERATIONS[kind].needs_power_off:
                self._close_powered_off(name)
                machine.recover()
            machine.apply(kind, self._keys.crypto.keys(), new, uses, progress)
            if kind is CryptoSpecKind.ENCRYPT:
                # The setting remains when the machine is decrypted (§2.6).
                machine.set(MIGRATE_ENCRYPTION, EncryptionMode.REQUIRED)
        return self.unlock(name)

    def _check(self, machine: Machine, kind: CryptoSpecKind, key_id: CryptoKeyId | None) -> None:
        machine.check_whole()
        self._check_layers(machine, kind)
        operation = OPERATIONS[kind]
        if operation.needs_power_off and self._power.is_on(machine.name):
            raise InvalidPowerState(
                f"{kind} is possible only while {machine.name} is powered off", is_on=True
            )
        if operation.needs_new_key and key_id is None:
            raise InvalidArgument(f"{kind} needs the id of a key")
        if operation.is_for_encrypted and not machine.is_encrypted():
            raise InvalidState(f"the machine {machine.name} is not encrypted")
        is_complete = all(volume.is_encrypted() for volume in machine.volumes)
        if kind is CryptoSpecKind.ENCRYPT and is_complete:
            raise InvalidState(f"the machine {machine.name} is encrypted already")

    def _check_layers(self, machine: Machine, kind: CryptoSpecKind) -> None:
        """Snapshots, and linked clones, limit what can be done with keys (§2.3)."""
        name, parents = machine.name, machine.parents()
        if parents:
            raise InvalidState(
                f"{name} is a linked clone of {parents[0]}: {kind} is not possible; make a full clone"
                " of it (clone-vm), and use that"
            )
        if kind is not CryptoSpecKind.SHALLOW_RECRYPT:
            names = [snapshot.name for snapshot in machine.snapshots.snapshots.values()]
            if names:
                raise InvalidState(
                    f"{name} has snapshots ({', '.join(names)}): {kind} is not possible; remove them"
                    " first (remove-all-snapshots)"
                )
            if any(len(chain) > 1 for chain in machine.chains.values()):
                raise InvalidState(f"consolidate the disks of {name} first (consolidate-disks)")
            return
        clones = layers.dependents(self._datastore.folder, name)
        if clones:
            raise InvalidState(
                f"linked clones stand on the disks of {name} ({', '.join(sorted(clones))}): its keys"
                " cannot be changed"
            )
        if not machine.snapshots.is_line():
            raise InvalidState(
                f"the snapshots of {name} branch: {kind} is possible only along one line; remove the"
                " other branches first (remove-snapshot)"
            )

    def _close_powered_off(self, name: str) -> None:
        # Under one lock: nobody powers the machine on between the check and the closing.
        with self._machines.lock:
            self._power.check_off(name)
            self._machines.close(name)

    def set_migrate_encryption(self, name: str, mode: EncryptionMode) -> None:
        """Set ``migrateEncryption``; an encrypted machine accepts ``required`` only."""
        machine = self._datastore.machine(name)
        if machine.is_encrypted() and mode is not EncryptionMode.REQUIRED:
            raise InvalidState(f"{name} is encrypted: its migrations are always encrypted")
        machine.set(MIGRATE_ENCRYPTION, mode)

    # Copies and disks ----------------------------------------------------------------------------

    def clone(
        self,
        name: str,
        new_name: str,
        uuid: UUID | None = None,
        tpm: TPMProvisionPolicy = TPMProvisionPolicy.COPY,
        snapshot: str | int | None = None,
    ) -> MachineInfo:
        """Copy a machine with its keys, or one of its snapshots.

        One that is powered on is copied as well (§2.3); its guests wait.
        """
        machine = self._datastore.machine(name)
        self._keys.fetch(machine.key_ids())
        with self._machines.quiesced(name):
            chosen = None if snapshot is None else machine.snapshots.get(snapshot)
            keys = self._keys.crypto.keys()
            cloning = Cloning(machine, new_name, uuid or uuid4(), keys, tpm=tpm, snapshot=chosen)
            cloning.full()
        return self.info(new_name)

    def link(
        self,
        name: str,
        new_name: str,
        snapshot: str | int | None = None,
        key_id: CryptoKeyId | None = None,
        tpm: TPMProvisionPolicy = TPMProvisionPolicy.COPY,
    ) -> MachineInfo:
        """Make a linked clone of a snapshot, of the current one unless it is named.

        What the clone writes is locked by the keys of its parent, or by ``key_id``.
        """
        machine = self._datastore.machine(name)
        self._keys.fetch(machine.key_ids())
        base = machine.snapshots.current if snapshot is None else snapshot
        if base is None:
            raise InvalidState(
                f"a linked clone stands on a snapshot, and {name} has none: take one first"
                " (create-snapshot)"
            )
        uuid = uuid4()
        with self._machines.quiesced(name):
            chosen = machine.snapshots.get(base)
            new = None if key_id is None else self._keys.new_key(key_id, str(uuid))
            keys = self._keys.crypto.keys()
            Cloning(machine, new_name, uuid, keys, tpm=tpm, snapshot=chosen).linked(new)
        return self.info(new_name)

    def add_disk(
        self,
        name: str,
        size: int,
        sector_size: int,
        key_id: CryptoKeyId | None,
        *,
        plain: bool = False,
    ) -> MachineInfo:
        """Add an empty disk; that of an encrypted machine is encrypted with the named key.

        Without ``key_id`` this is the key of the machine's home, unless the disk is to be plain.
        """
        machine = self._datastore.machine(name)
        if machine.is_encrypted() and key_id is None and not plain:
            key_id = machine.home.key_ids()[0]
        if key_id is not None:
            self._keys.crypto.check("Encrypt")
        with self._machines.reserved(name):
            new = None if key_id is None else self._keys.new_key(key_id, machine.uuid)
            machine.add_disk(size, sector_size, new)
        return self.unlock(name)

    def remove_disk(self, name: str, disk: int) -> MachineInfo:
        """Remove a disk from a machine that is powered off; its files stay on the datastore."""
        self._power.check_off(name)
        with self._machines.reserved(name):
            self._close_powered_off(name)
            self._datastore.machine(name).remove_disk(disk)
        return self.info(name)

    def delete(self, name: str) -> None:
        """Delete a machine that is powered off, with its files, whether they are complete or not."""
        self._power.check_off(name)
        with self._machines.reserved(name):
            clones = layers.dependents(self._datastore.folder, name)
            if clones:
                raise ResourceInUse(
                    f"linked clones stand on the disks of {name}: {', '.join(sorted(clones))};"
                    " destroy them, or replace them by full clones, first"
                )
            self._close_powered_off(name)
            self._datastore.delete(name)

    def check_integrity(self, name: str) -> list[str]:
        """What is wrong with the encrypted files of a machine; :class:`EncryptionKeyRequired`."""
        machine = self._datastore.machine(name)
        machine.check_whole()
        self._keys.fetch(machine.key_ids())
        keys = self._keys.crypto.keys()
        problems = []
        for volume in machine.volumes:
            try:
                with volume.open(keys, machine.uuid) as file:
                    if volume is machine.home and machine.has_tpm:
                        virtual_tpm.read(file)
            except DamagedData as damage:
                problems.append(damage.message)
        for number, chain in () if problems else machine.chains.items():
            try:
                layers.open_chain(chain, keys).close()
            except DamagedData as damage:
                problems.append(f"disk {number}: {damage.message}")
        return problems

    # Locked and unlocked -------------------------------------------------------------------------

    def unlock(self, name: str) -> MachineInfo:
        """CryptoUnlock: open the machine with the keys that are available.

        Raises :class:`EncryptionKeyRequired` with the missing keys: the machine stays locked.
        """
        self._machines.open(name)
        self._released.discard(name)
        return self.info(name)

    def lock(self, name: str) -> None:
        """Close a machine that is powered off: its data keys are erased."""
        with self._machines.lock:
            self._machines.check_idle(name)
            self._close_powered_off(name)
            self._released.add(name)

    def unlock_all(self) -> list[str]:
        """Unlock every machine whose keys are available; returns the names of those."""
        unreachable: set[str] = set()
        return [info.name for info in self.list_all() if self._try_unlock(info, unreachable)]

    def _try_unlock(self, info: MachineInfo, unreachable: set[str]) -> bool:
        if info.crypto_state is not MachineState.LOCKED or info.name in self._released:
            return False
        if not self._fetch(info.key_ids, unreachable):
            return False
        try:
            self.unlock(info.name)
        except (VSphereError, OSError, ValueError) as failure:  # the others go on
            log.debug("%s stays locked: %s", info.name, failure)
            return False
        return True

    def _fetch(self, key_ids: Iterable[CryptoKeyId], unreachable: set[str]) -> bool:
        """Fetch keys before the lock is taken that opening needs: a service may take long to answer.

        False if a provider does not answer; its other keys are not asked for in this round.
        """
        missing = [key for key in key_ids if key.provider_id not in unreachable]
        failures = self._keys.try_fetch(missing)
        for key_id, failure in failures.items():
            if isinstance(failure, KeyServerUnreachable | NotAttested | AttestationFailed):
                unreachable.add(key_id.provider_id)
        return not any(key.provider_id in unreachable for key in key_ids)


def _described(
    machine: Machine, number: int, volume: Volume, chain: layers.Chain
) -> DiskDescription:
    """A disk without looking into it; the size of one whose file is missing is not known."""
    keys, size = volume.key_ids(), 0
    with contextlib.suppress(FileNotFoundError):
        size = layers.capacity_of(chain)
    key_id = keys[0] if keys else None
    parents = [_layer(machine, number, layer) for layer in chain[1:]]
    return DiskDescription(number, volume.descriptor.name, size, key_id, parents)


def _endorsement_key(machine: Machine, opened: OpenMachine | None) -> str | None:
    """What identifies the virtual TPM of an unlocked machine."""
    if opened is None or not machine.has_tpm:
        return None
    with contextlib.suppress(DamagedData, InvalidState):  # it may be closed meanwhile
        return virtual_tpm.read(opened.home).endorsement_key()
    return None


def _encrypted_parts(machine: Machine) -> list[str]:
    disks = [part_of_disk(n) for n, volume in machine.disks.items() if volume.is_encrypted()]
    return ["home", *disks] if machine.home.is_encrypted() else disks


def _snapshots(machine: Machine) -> list[SnapshotInfo]:
    """The snapshots, each after the one that it follows."""
    return [
        SnapshotInfo(
            snapshot_id=snapshot.id,
            name=snapshot.name,
            description=snapshot.description,
            created=snapshot.created,
            parent=snapshot.parent,
            is_current=snapshot.id == machine.snapshots.current,
            has_memory=snapshot.has_memory,
            key_ids=machine.state_of(snapshot).key_ids(),
        )
        for snapshot in machine.snapshots.in_order()
    ]


def _layers(machine: Machine) -> list[DiskLayer]:
    """All layers of all disks; those of the present state first, from the top down."""
    chains = [*machine.chains.items(), *((key[1], chain) for key, chain in machine.frozen.items())]
    found = {
        layer.volume.descriptor: _layer(machine, disk, layer)
        for disk, chain in chains
        for layer in chain
    }
    return list(found.values())


def _layer(machine: Machine, disk: int, layer: layers.Layer) -> DiskLayer:
    file = layer.file if machine.has(layer) else _shared_file(layer)
    return DiskLayer(disk=disk, file=file, key_id=layer.key_id())


def _shared_file(layer: layers.Layer) -> str:
    return f"../{layer.volume.descriptor.parent.name}/{layer.file}"
