"""The machines of a host as vCenter manages them: create, encrypt, clone, change disks, unlock."""

import logging
from collections.abc import Iterable
from typing import Final
from uuid import UUID, uuid4

from kmipkit_vsphere.calls.machines import DiskDescription, MachineInfo, MachineState, PowerState
from kmipkit_vsphere.host.crypto_operations import OPERATIONS
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.machine import Machine, MachineProgress
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.host.volume import Volume
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    AttestationFailed,
    InvalidArgument,
    InvalidState,
    KeyServerUnreachable,
    NotAttested,
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
                _described(number, volume) for number, volume in machine.disks.items()
            ],
        )

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
        self, name: str, disk_size: int, sector_size: int = 512, uuid: UUID | None = None
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
        operation = OPERATIONS[kind]
        if operation.needs_power_off and self._power.is_on(machine.name):
            raise InvalidState(f"{kind} is possible only while {machine.name} is powered off")
        if operation.needs_new_key and key_id is None:
            raise InvalidArgument(f"{kind} needs the id of a key")
        if operation.is_for_encrypted and not machine.is_encrypted():
            raise InvalidState(f"the machine {machine.name} is not encrypted")
        is_complete = all(volume.is_encrypted() for volume in machine.volumes)
        if kind is CryptoSpecKind.ENCRYPT and is_complete:
            raise InvalidState(f"the machine {machine.name} is encrypted already")

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

    def clone(self, name: str, new_name: str, uuid: UUID | None = None) -> MachineInfo:
        """Copy a machine with its keys, also one that is powered on (§2.3)."""
        machine = self._datastore.machine(name)
        self._keys.fetch(machine.key_ids())
        with self._machines.reserved(name):
            machine.clone(new_name, uuid or uuid4(), self._keys.crypto.keys())
        return self.info(new_name)

    def add_disk(
        self, name: str, size: int, sector_size: int, key_id: CryptoKeyId | None
    ) -> MachineInfo:
        """Add an empty disk; that of an encrypted machine is encrypted with the named key.

        Without ``key_id`` this is the key of the machine's home.
        """
        machine = self._datastore.machine(name)
        if machine.is_encrypted() and key_id is None:
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
            self._close_powered_off(name)
            self._datastore.delete(name)

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


def _described(number: int, volume: Volume) -> DiskDescription:
    """A disk without looking into it; the size is that of its file."""
    keys = volume.key_ids()
    size = volume.data.stat().st_size if volume.data.exists() else 0
    return DiskDescription(number, volume.descriptor.name, size, keys[0] if keys else None)
