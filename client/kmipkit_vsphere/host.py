"""The ESXi-host role: encryption mode, key cache and the machines on one datastore.

A host never speaks to a key server. It is given keys by vCenter, keeps them in memory, and with
them unlocks the machines whose files are on its datastore. Everything here is plain, blocking code;
:mod:`kmipkit_vsphere.host_service` puts it behind the channel to vCenter.
"""

import contextlib
import json
import os
import threading
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from kmipkit_vsphere.crypto_host import CryptoManagerHost
from kmipkit_vsphere.descriptor import write_durably
from kmipkit_vsphere.errors import (
    DamagedData,
    EncryptionKeyRequired,
    InvalidState,
    NotFound,
)
from kmipkit_vsphere.keys import CryptoKeyId
from kmipkit_vsphere.machine import Machine, MachineProgress, OpenMachine, check_name


class MachineState(Enum):
    """``cryptoState`` of a machine (vsphere.md §2.5); ``plain`` for one that is not encrypted."""

    PLAIN = "plain"
    LOCKED = "locked"
    UNLOCKED = "unlocked"


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """What a host tells about a machine."""

    name: str
    uuid: str
    crypto_state: MachineState
    key_ids: list[CryptoKeyId]
    files: list[str]

    def to_json(self) -> dict[str, Any]:
        """Field names of the vSphere API where it has them."""
        return {
            "name": self.name,
            "uuid": self.uuid,
            "cryptoState": self.crypto_state.value,
            "keyIds": [key.to_json() for key in self.key_ids],
            "files": self.files,
        }


@dataclass(slots=True)
class Host:
    """One host. ``boot_id`` differs for every start, so that vCenter notices a restart."""

    name: str
    uuid: str
    datastore: Path
    boot_id: str = field(default_factory=lambda: str(uuid4()))
    crypto: CryptoManagerHost = field(default_factory=CryptoManagerHost)
    _open: dict[str, OpenMachine] = field(default_factory=dict)
    _busy: set[str] = field(default_factory=set)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, name: str, folder: Path) -> "Host":
        """Take a data folder into use: it keeps the hardware UUID and the datastore, never keys.

        Raises :class:`DamagedData` where ``host.json`` cannot be read as what it is.
        """
        datastore = folder / "datastore"
        datastore.mkdir(parents=True, exist_ok=True, mode=0o700)
        identity = folder / "host.json"
        if not identity.exists():
            write_durably(identity, json.dumps({"uuid": str(uuid4())}) + "\n")
        try:
            uuid = UUID(json.loads(identity.read_text())["uuid"])
        except (ValueError, KeyError, TypeError):
            raise DamagedData(f"{identity} does not hold this host's UUID") from None
        host = cls(name, str(uuid), datastore)
        host.recover()
        return host

    def recover(self) -> None:
        """Settle every encryption that a crash interrupted; a machine that is damaged is left."""
        for vmx in self.datastore.glob("*/*.vmx"):
            with contextlib.suppress(DamagedData):  # it will be reported when it is used
                Machine.load(vmx.parent).recover()

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
            "datastore": str(self.datastore),
        }

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
        files = [path for volume in machine.volumes for path in (volume.descriptor, volume.data)]
        return MachineInfo(
            name, machine.uuid, self._state(machine), machine.key_ids(), [str(f) for f in files]
        )

    def machines(self) -> list[MachineInfo]:
        """All machines on the datastore, by name."""
        names = sorted(path.parent.name for path in self.datastore.glob("*/*.vmx"))
        return [self.machine_info(name) for name in names]

    def _state(self, machine: Machine) -> MachineState:
        if not machine.is_encrypted():
            return MachineState.PLAIN
        return MachineState.UNLOCKED if machine.name in self._open else MachineState.LOCKED

    def encrypt_machine(
        self, name: str, key_id: CryptoKeyId, progress: MachineProgress | None = None
    ) -> MachineInfo:
        """CryptoSpec Encrypt: encrypt home and disk, both locked by this key, and unlock it.

        Raises :class:`InvalidState` unless the host is safe and the machine is not yet encrypted,
        :class:`EncryptionKeyRequired` if the key is not in the cache.
        """
        self.crypto.check("Encrypt")
        kek = self.crypto.key(key_id)
        machine = self.machine(name)
        self._check_idle(name)
        if all(volume.is_encrypted() for volume in machine.volumes):
            raise InvalidState(f"the machine {name} is encrypted already")
        self._busy.add(name)
        try:
            self._close(name)
            machine.recover()
            machine.encrypt(kek, key_id, progress)
        finally:
            self._busy.discard(name)
        return self.unlock(name)

    def _check_idle(self, name: str) -> None:
        if name in self._busy:
            raise InvalidState(f"the machine {name} is being encrypted; wait until this is done")

    def unlock(self, name: str) -> MachineInfo:
        """CryptoUnlock: open the machine with the cached keys.

        Raises :class:`EncryptionKeyRequired` with the missing keys: the machine stays locked.
        """
        self._opened(name)
        return self.machine_info(name)

    def unlock_all(self) -> list[str]:
        """Unlock every machine whose keys are here; returns the names of those that now are."""
        return [info.name for info in self.machines() if self._unlocks(info)]

    def _unlocks(self, info: MachineInfo) -> bool:
        if info.crypto_state is not MachineState.LOCKED:
            return False
        try:
            self.unlock(info.name)
        except (EncryptionKeyRequired, DamagedData):
            return False
        return True

    def _opened(self, name: str) -> OpenMachine:
        with self._opening:
            if name not in self._open:
                self._check_idle(name)
                self._open[name] = self.machine(name).open(self.crypto.keys())
            return self._open[name]

    def read_disk(self, name: str, offset: int, length: int) -> bytes:
        """Plain text of the machine's disk; :class:`EncryptionKeyRequired` while it is locked."""
        return self._opened(name).disk.read_at(offset, length)

    def write_disk(self, name: str, offset: int, data: bytes) -> None:
        """Write plain text to the machine's disk; durable on return."""
        disk = self._opened(name).disk
        disk.write_at(offset, data)
        disk.flush()

    def close(self) -> None:
        """Close all machines and erase all keys."""
        for name in list(self._open):
            self._close(name)
        self.crypto.forget()

    def _close(self, name: str) -> None:
        opened = self._open.pop(name, None)
        if opened:
            opened.close()
