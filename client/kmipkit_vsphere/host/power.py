"""The power state of machines, and the memory of those that are on."""

from typing import Final

from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.model.crypto_spec import CryptoState
from kmipkit_vsphere.model.errors import EncryptionKeyRequired, InvalidPowerState, InvalidState

MEMORY_SIZE: Final = 64 * 1024
"""Bytes of a machine's memory: enough to observe what happens to it."""


class PowerControl:
    """Powers machines on and off. Changes are made under the lock of :class:`OpenMachines`."""

    def __init__(self, datastore: Datastore, keys: HostKeys, machines: OpenMachines) -> None:
        self._datastore = datastore
        self._keys = keys
        self._machines = machines
        self._memories: dict[str, bytearray] = {}

    def is_on(self, name: str) -> bool:
        """Whether the machine is powered on."""
        return name in self._memories

    def check_off(self, name: str) -> None:
        """Raise :class:`InvalidState` if the machine is powered on."""
        if self.is_on(name):
            raise InvalidPowerState(f"the machine {name} is powered on", is_on=True)

    def memory(self, name: str) -> bytearray:
        """The memory of a machine; :class:`InvalidState` while it is powered off."""
        memory = self._memories.get(name)
        if memory is None:
            raise InvalidPowerState(f"the machine {name} is powered off", is_on=False)
        return memory

    def power_on(self, name: str) -> None:
        """PowerOn; :class:`EncryptionKeyRequired` while the machine or a disk of it is locked."""
        with self._machines.lock:
            opened = self._machines.open(name)
            for number, missing in opened.locked.items():
                raise EncryptionKeyRequired(
                    f"disk {number} of {name} is encrypted and a required key was not found:"
                    f" {missing.message}",
                    required_key=missing.required_key,
                )
            is_safe = self._keys.crypto.state is CryptoState.SAFE
            if not is_safe and self._datastore.machine(name).is_encrypted():
                raise InvalidState(
                    "the host is not in encryption mode: it runs no encrypted machine"
                )
            self._memories.setdefault(name, bytearray(MEMORY_SIZE))

    def power_off(self, name: str) -> None:
        """PowerOff: the memory is erased. Does nothing for a machine that is off."""
        with self._machines.lock:
            self._machines.check_idle(name)
            self.discard(name)

    def restore(self, name: str, memory: bytes) -> None:
        """Let a machine that was running on another host continue with its memory."""
        with self._machines.lock:
            self._memories[name] = bytearray(memory)

    def discard(self, name: str) -> None:
        """Erase the memory of a machine, also of one that is reserved."""
        with self._machines.lock:
            memory = self._memories.pop(name, None)
            if memory is not None:
                memory[:] = bytes(len(memory))

    def discard_all(self) -> None:
        """Erase the memory of all machines."""
        for name in list(self._memories):
            self.discard(name)
