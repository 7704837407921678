"""The ESXi-host role: encryption mode, keys, and the machines on one datastore.

A host never speaks to a key server of a standard provider. It is given keys by vCenter, keeps them
in memory, and with them unlocks the machines whose files are on its datastore; keys of native and
trusted providers it gets by itself (:mod:`kmipkit_vsphere.host.key_sources`). Everything here is plain,
blocking code; :mod:`kmipkit_vsphere.host.service` puts it behind the channel to vCenter.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from kmipkit_vsphere.host.core_dumps import CoreDumps, DumpInfo
from kmipkit_vsphere.host.crypto import CryptoManagerHost, CryptoState
from kmipkit_vsphere.host.key_persistence import KeyPersistence
from kmipkit_vsphere.host.key_sources import KeySources
from kmipkit_vsphere.host.machine import Machine, MachineProgress, OpenMachine, check_name
from kmipkit_vsphere.host.machine_info import MachineInfo, MachineState, PowerState
from kmipkit_vsphere.host.trusted_host import TrustedHost
from kmipkit_vsphere.host.volume import NewKey
from kmipkit_vsphere.host.vsan import VsanEncryption
from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.model.crypto_spec import OPERATIONS, CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NotFound,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.files import ROLE_FILE, write_durably
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.sealed_config import SealedConfig, Sealer
from kmipkit_vsphere.vmotion.hosting import Migrations
from kmipkit_vsphere.vmotion.transfer import Outgoing

"""Marks the folder of a Trust Authority host, which is never a host of machines too (R43)."""
MIGRATE_ENCRYPTION: Final = "migrate.encryptionMode"
MEMORY_SIZE: Final = 64 * 1024
"""Bytes of a machine's memory, enough to see what becomes of it."""

_HOST_KEY: Final = "hostKey"


@dataclass(slots=True)
class RunningMachine:
    """A machine that is powered on: its memory, as guests write it."""

    memory: bytearray


class Host:
    """One host. ``boot_id`` differs for every start, so that vCenter notices a restart."""

    def __init__(
        self,
        name: str,
        uuid: str,
        folder: Path,
        sealer: Sealer | None = None,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self.name = name
        self.uuid = uuid
        self.datastore = folder / "datastore"
        self.boot_id = str(uuid4())
        self.crypto = CryptoManagerHost()
        self.config = SealedConfig(folder, sealer)
        self.sources = KeySources(self.config)
        self.persistence = KeyPersistence(self.config)
        self.dumps = CoreDumps(folder / "coredumps")
        self.migrations = Migrations(self)
        self.vsan = VsanEncryption(self.config, folder / "vsan")
        self.clock = clock
        self.trusted: TrustedHost | None = None
        self._running: dict[str, RunningMachine] = {}
        self._open: dict[str, OpenMachine] = {}
        self._busy: set[str] = set()
        self._opening = threading.RLock()

    @classmethod
    def start(cls, name: str, folder: Path, sealer: Sealer | None = None) -> "Host":
        """Take a data folder into use: it keeps the hardware UUID and the datastore.

        Raises :class:`DamagedData` where ``host.json`` cannot be read as what it is.
        """
        if (folder / ROLE_FILE).exists():
            raise InvalidState(
                f"{folder} belongs to a Trust Authority host: it cannot run machines (R43)"
            )
        (folder / "datastore").mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = folder / "host.json"
        if not identity.exists():
            write_durably(identity, json.dumps({"uuid": str(uuid4())}) + "\n")
        try:
            uuid = UUID(json.loads(identity.read_text())["uuid"])
        except (ValueError, KeyError, TypeError):
            raise DamagedData(f"{identity} does not hold this host's UUID") from None
        host = cls(name, str(uuid), folder, sealer)
        host.recover()
        return host

    def recover(self) -> None:
        """Settle every operation that a crash interrupted; a machine that is damaged is left."""
        for vmx in self.datastore.glob("*/*.vmx"):
            with contextlib.suppress(DamagedData):  # it will be reported when it is used
                Machine.load(vmx.parent).recover()

    def wake(self) -> list[str]:
        """After a reboot: be safe again and unlock what this host can without vCenter (R11).

        That is with keys of native and trusted providers, and with persisted ones. Returns the
        names of the machines that were unlocked.
        """
        kept = {key.key_id: key for key in self.persistence.kept()}
        found = self.config.get(_HOST_KEY)
        if found is not None and self.crypto.state is CryptoState.INCAPABLE:
            host_key = CryptoKeyId(found["providerId"], found["keyId"])
            try:
                key = kept.get(host_key) or self.sources.get(host_key.provider_id).key(host_key)
            except VSphereError:
                return []  # vCenter will bring it
            self.crypto.prepare()
            self.crypto.enable(key)
            self.crypto.add_keys(one for one in kept.values() if one.key_id != host_key)
        return self.unlock_all()

    def info(self) -> dict[str, Any]:
        """Identity and encryption mode."""
        key = self.crypto.host_key_id
        return {
            "name": self.name,
            "uuid": self.uuid,
            "bootId": self.boot_id,
            "processId": os.getpid(),
            "cryptoState": self.crypto.state.value,
            "cryptoKeyId": key.to_json() if key else None,
            "hasTpm": self.config.protection_mode == "tpm",
            "encryptedVMotion": self.migrations.can_encrypt,
            "keyPersistence": self.persistence.is_enabled,
            "keyProviders": self.sources.natives(),
            "datastore": str(self.datastore),
        }

    # Encryption mode and keys --------------------------------------------------------------------

    def enable(self, initial_key: CryptoKeyPlain) -> None:
        """CryptoManagerHostEnable; see :meth:`CryptoManagerHost.enable`."""
        self.crypto.enable(initial_key)
        self._keep_host_key(initial_key)

    def enable_with(self, provider_id: str, key_id: CryptoKeyId | None) -> CryptoKeyId:
        """The same with a key that this host gets itself; returns its id."""
        source = self.sources.get(provider_id)
        if self.crypto.state is CryptoState.SAFE and self.crypto.host_key_id is not None:
            return self.crypto.host_key_id
        if self.crypto.state is CryptoState.INCAPABLE:
            self.crypto.prepare()
        key = source.key(key_id) if key_id else source.new_key()
        self.enable(key)
        return key.key_id

    def change_key(self, new_key: CryptoKeyPlain) -> dict[str, Any]:
        """ChangeKey_Task: another host key; core dumps are relocked as far as possible (§2.7)."""
        self.crypto.change_key(new_key)
        self._keep_host_key(new_key)
        done, left = self.dumps.relock(self.crypto.keys(), new_key.key_id)
        return {"keyId": new_key.key_id.to_json(), "relocked": done, "left": left}

    def _keep_host_key(self, key: CryptoKeyPlain) -> None:
        """Remember the id of a host key that is here again after a reboot without vCenter."""
        self.persistence.keep([key])
        if self.persistence.is_enabled or self.sources.has(key.key_id.provider_id):
            self.config.set(_HOST_KEY, key.key_id.to_json())

    def disable(self) -> None:
        """CryptoManagerHostDisable: refused while encrypted machines are here (§6)."""
        users = [info.name for info in self.machines() if info.key_ids]
        if self.crypto.state is CryptoState.SAFE and users:
            raise ResourceInUse(f"move the encrypted machines away first: {', '.join(users)}")
        self.crypto.disable()
        self.config.set(_HOST_KEY, None)

    def add_key(self, key: CryptoKeyPlain) -> None:
        """AddKey; see :meth:`CryptoManagerHost.add_key`."""
        self.crypto.add_key(key)
        self.persistence.keep([key])

    def remove_key(self, key_id: CryptoKeyId, *, force: bool = False) -> None:
        """RemoveKey: from the cache, and from what is kept over a reboot."""
        self.crypto.remove_key(key_id, force=force)
        self.persistence.forget(key_id)

    def enable_persistence(self) -> None:
        """Keep all keys from now on, and those that are in the cache."""
        self.persistence.enable()
        self.persistence.keep(self.crypto.held())
        if self.crypto.host_key_id is not None:
            self.config.set(_HOST_KEY, self.crypto.host_key_id.to_json())

    def new_key(self, key_id: CryptoKeyId) -> CryptoKeyId:
        """The key for an encryption: as it is named, or a new internal one if the id is empty."""
        if key_id.key_id:
            self._bring([key_id])
            self.crypto.key(key_id)
            return key_id
        key = self.sources.get(key_id.provider_id).new_key()
        self.crypto.add_key(key)
        return key.key_id

    def _bring(self, key_ids: Iterable[CryptoKeyId]) -> None:
        """Get the keys that are not in the cache from their sources, as far as there are any."""
        if self.crypto.state is not CryptoState.SAFE:
            return
        cached = set(self.crypto.list_keys())
        for key_id in key_ids:
            if key_id not in cached and self.sources.has(key_id.provider_id):
                self.crypto.add_keys([self.sources.get(key_id.provider_id).key(key_id)])

    # Machines ------------------------------------------------------------------------------------

    def machine(self, name: str) -> Machine:
        """The files of a machine; :class:`NotFound` if there is none of this name."""
        check_name(name)
        folder = self.datastore / name
        if not (folder / f"{name}.vmx").is_file():
            raise NotFound(f"there is no machine {name} on host {self.name}")
        return Machine.load(folder)

    def create_machine(
        self, name: str, disk_size: int, sector_size: int = 512, uuid: UUID | None = None
    ) -> MachineInfo:
        """Make a plain machine; see :meth:`Machine.create`."""
        Machine.create(self.datastore, name, uuid or uuid4(), disk_size, sector_size)
        return self.machine_info(name)

    def machine_info(self, name: str) -> MachineInfo:
        """State, keys and files of a machine."""
        machine = self.machine(name)
        opened = self._open.get(name)
        files = [path for volume in machine.volumes for path in (volume.descriptor, volume.data)]
        return MachineInfo(
            name=name,
            uuid=machine.uuid,
            crypto_state=self._state(machine),
            power_state=PowerState.ON if name in self._running else PowerState.OFF,
            key_ids=machine.key_ids(),
            pending_key_ids=machine.pending_key_ids(),
            disks=list(machine.disks),
            locked_disks=sorted(opened.locked) if opened else [],
            migrate_encryption=machine.setting(MIGRATE_ENCRYPTION) or "opportunistic",
            files=[str(file) for file in files],
        )

    def machines(self) -> list[MachineInfo]:
        """All machines on the datastore, by name."""
        found = self.datastore.glob("[!.]*/*.vmx")
        names = sorted(path.stem for path in found if path.stem == path.parent.name)
        return [self._info_or_damage(name) for name in names]

    def _info_or_damage(self, name: str) -> MachineInfo:
        """One machine that is damaged must not keep the others from being listed."""
        try:
            return self.machine_info(name)
        except DamagedData as damage:
            return MachineInfo.damaged(name, damage.message)

    def _state(self, machine: Machine) -> MachineState:
        if not machine.is_encrypted():
            return MachineState.PLAIN
        return MachineState.UNLOCKED if machine.name in self._open else MachineState.LOCKED

    def encrypt_machine(
        self, name: str, key_id: CryptoKeyId, progress: MachineProgress | None = None
    ) -> MachineInfo:
        """CryptoSpec Encrypt for the home and all disks; see :meth:`reconfigure`."""
        return self.reconfigure(name, CryptoSpecKind.ENCRYPT, key_id, progress=progress)

    def reconfigure(
        self,
        name: str,
        kind: CryptoSpecKind,
        key_id: CryptoKeyId | None = None,
        uses: Iterable[str] | None = None,
        progress: MachineProgress | None = None,
    ) -> MachineInfo:
        """Encrypt, decrypt or re-encrypt a machine, or the named ones of its home and disks.

        Raises :class:`InvalidState` unless the host is safe and the machine in a state that allows
        it (§2.3), :class:`EncryptionKeyRequired` if a key is not to be had, :class:`NoSpace` where
        the datastore is full. After a crash the call is repeated and goes on where it stopped.
        """
        self.crypto.check("Encrypt")
        machine = self.machine(name)
        with self._working_on(name):
            self._check(machine, kind, key_id)
            new = self._new_key(machine, key_id)
            self._bring(machine.key_ids())
            if OPERATIONS[kind].needs_power_off:
                self._close(name)
                machine.recover()
            machine.apply(kind, self.crypto.keys(), new, uses, progress)
            if kind is CryptoSpecKind.ENCRYPT:
                machine.set(MIGRATE_ENCRYPTION, "required")  # and stays so when decrypted (§2.6)
        return self.unlock(name)

    def _check(self, machine: Machine, kind: CryptoSpecKind, key_id: CryptoKeyId | None) -> None:
        operation = OPERATIONS[kind]
        if operation.needs_power_off and machine.name in self._running:
            raise InvalidState(f"{kind} is possible only while {machine.name} is powered off")
        if operation.needs_new_key and key_id is None:
            raise InvalidArgument(f"{kind} needs the id of a key")
        if operation.is_for_encrypted and not machine.is_encrypted():
            raise InvalidState(f"the machine {machine.name} is not encrypted")
        if kind is CryptoSpecKind.ENCRYPT and all(one.is_encrypted() for one in machine.volumes):
            raise InvalidState(f"the machine {machine.name} is encrypted already")

    def _new_key(self, machine: Machine, key_id: CryptoKeyId | None) -> NewKey | None:
        if key_id is None:
            return None
        named = self.new_key(key_id)
        return NewKey(self.crypto.key(named), named, machine.uuid)

    @contextlib.contextmanager
    def _working_on(self, name: str) -> Iterator[None]:
        with self._opening:
            self._check_idle(name)
            self._busy.add(name)
        try:
            yield
        finally:
            self._busy.discard(name)

    def _check_idle(self, name: str) -> None:
        if name in self._busy:
            raise InvalidState(f"the machine {name} is being worked on; wait until this is done")

    def clone_machine(self, name: str, new_name: str, uuid: UUID | None = None) -> MachineInfo:
        """Clone: a copy with the same keys, also of a machine that is powered on (§2.3)."""
        machine = self.machine(name)
        self._bring(machine.key_ids())
        with self._working_on(name):
            machine.clone(new_name, uuid or uuid4(), self.crypto.keys())
        return self.machine_info(new_name)

    def add_disk(
        self, name: str, size: int, sector_size: int, key_id: CryptoKeyId | None
    ) -> MachineInfo:
        """Add an empty disk, in an encrypted machine one that is encrypted with the named key."""
        machine = self.machine(name)
        if machine.is_encrypted() and key_id is None:
            key_id = machine.home.key_ids()[0]
        if key_id is not None:
            self.crypto.check("Encrypt")
        with self._working_on(name):
            machine.add_disk(size, sector_size, self._new_key(machine, key_id))
        return self.unlock(name)

    def remove_disk(self, name: str, disk: int) -> MachineInfo:
        """Take a disk out of a machine that is powered off; its files stay."""
        self._check_off(name)
        with self._working_on(name):
            self._close(name)
            self.machine(name).remove_disk(disk)
        return self.machine_info(name)

    def set_migrate_encryption(self, name: str, mode: str) -> None:
        """``migrateEncryption`` of a machine; ``required`` cannot be left while it is encrypted."""
        machine = self.machine(name)
        if mode not in ("disabled", "opportunistic", "required"):
            raise InvalidArgument(f"{mode!r} is not disabled, opportunistic or required")
        if machine.is_encrypted() and mode != "required":
            raise InvalidState(f"{name} is encrypted: it moves encrypted, always")
        machine.set(MIGRATE_ENCRYPTION, mode)

    # Locked and unlocked, on and off -------------------------------------------------------------

    def unlock(self, name: str) -> MachineInfo:
        """CryptoUnlock: open the machine with the keys that are to be had.

        Raises :class:`EncryptionKeyRequired` with the missing keys: the machine stays locked.
        """
        self._opened(name)
        return self.machine_info(name)

    def lock(self, name: str) -> None:
        """Close a machine that is powered off: its data keys are gone from memory."""
        self._check_off(name)
        self._check_idle(name)
        self._close(name)

    def unlock_all(self) -> list[str]:
        """Unlock every machine whose keys are here; returns the names of those that now are."""
        return [info.name for info in self.machines() if self._unlocks(info)]

    def _unlocks(self, info: MachineInfo) -> bool:
        if info.crypto_state is not MachineState.LOCKED:
            return False
        try:
            self.unlock(info.name)
        except VSphereError:
            return False
        return True

    def _opened(self, name: str) -> OpenMachine:
        with self._opening:
            opened = self._open.get(name)
            if opened is None or opened.locked or len(opened.disks) < len(self.machine(name).disks):
                self._check_idle(name)
                machine = self.machine(name)
                self._bring(machine.key_ids())
                if opened is None:
                    opened = self._open[name] = machine.open(self.crypto.keys())
                else:
                    opened.open_disks(machine, self.crypto.keys())
            return opened

    def power_on(self, name: str) -> MachineInfo:
        """Run a machine; :class:`EncryptionKeyRequired` while it, or one of its disks, is locked."""
        opened = self._opened(name)
        for number, missing in opened.locked.items():
            raise EncryptionKeyRequired(
                f"disk {number} of {name} is encrypted and a required key was not found",
                required_key=missing.required_key,
            )
        if self.crypto.state is not CryptoState.SAFE and self.machine(name).is_encrypted():
            raise InvalidState("the host is not in encryption mode: it runs no encrypted machine")
        self._running.setdefault(name, RunningMachine(bytearray(MEMORY_SIZE)))
        return self.machine_info(name)

    def power_off(self, name: str) -> MachineInfo:
        """Stop a machine; its memory is gone."""
        self._check_idle(name)
        self.power_off_memory(name)
        return self.machine_info(name)

    def power_off_memory(self, name: str) -> None:
        """Forget a machine's memory."""
        running = self._running.pop(name, None)
        if running is not None:
            running.memory[:] = bytes(len(running.memory))

    def _check_off(self, name: str) -> None:
        if name in self._running:
            raise InvalidState(f"the machine {name} is powered on")

    def memory(self, name: str) -> bytearray:
        """The memory of a running machine."""
        if name not in self._running:
            raise InvalidState(f"the machine {name} is powered off")
        return self._running[name].memory

    def read_disk(self, name: str, offset: int, length: int, disk: int = 0) -> bytes:
        """Plain text of a disk; :class:`EncryptionKeyRequired` while it is locked."""
        return self._opened(name).disk(disk).read_at(offset, length)

    def write_disk(self, name: str, offset: int, data: bytes, disk: int = 0) -> None:
        """Write plain text to a disk; durable on return."""
        opened = self._opened(name).disk(disk)
        opened.write_at(offset, data)
        opened.flush()

    def disk_info(self, name: str, disk: int = 0) -> dict[str, int]:
        """Size and sector size of a disk, in bytes."""
        size = self._opened(name).disk(disk).size
        return {"size": size, "sectorSize": self.machine(name).volume(disk).sector_size()}

    # Moving to another host ----------------------------------------------------------------------

    def begin_leaving(self, name: str) -> Outgoing:
        """Stop guests from using a machine, and what must be sent of it."""
        machine = self.machine(name)
        with self._opening:
            self._check_idle(name)
            self._busy.add(name)
        self._close(name)
        running = self._running.get(name)
        files = [path for volume in machine.volumes for path in (volume.descriptor, volume.data)]
        return Outgoing(name, files, bytes(running.memory) if running else None)

    def stay(self, name: str) -> None:
        """The machine did not leave: guests may use it again."""
        self._busy.discard(name)
        with contextlib.suppress(VSphereError):  # it can be unlocked later
            self._opened(name)

    def forget_machine(self, name: str) -> None:
        """The machine left."""
        self._busy.discard(name)
        self.power_off_memory(name)

    def arrive(self, name: str, memory: bytes | None) -> None:
        """A machine came; one that ran goes on with its memory."""
        if memory is not None:
            self._running[name] = RunningMachine(bytearray(memory))
        self._opened(name)

    # Core dumps ----------------------------------------------------------------------------------

    def dump_core(self, world: str, data: bytes = b"") -> DumpInfo:
        """A core dump: of a machine its memory under its key, of others under the host key (§2.7)."""
        check_name(world)
        key = self.crypto.host_key()
        if world in self._running:
            data = bytes(self._running[world].memory)
            named = self.machine(world).home.key_ids()
            if named:
                key = (named[0], self.crypto.key(named[0]))
        return self.dumps.write(world, self.clock(), data, key)

    def close(self) -> None:
        """Close all machines and erase all keys."""
        self._running.clear()
        self.vsan.unmount()
        for name in list(self._open):
            self._close(name)
        self.crypto.forget()

    def _close(self, name: str) -> None:
        opened = self._open.pop(name, None)
        if opened:
            opened.close()
