"""The virtual TPMs of the machines of a host: added, removed, and used by guests."""

from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.host import virtual_tpm
from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.machine import TPM_SETTING
from kmipkit_vsphere.host.machines import MachineManager
from kmipkit_vsphere.host.open_machines import OpenMachines
from kmipkit_vsphere.host.power import PowerControl
from kmipkit_vsphere.host.virtual_tpm import TPMState
from kmipkit_vsphere.model.errors import AlreadyExists, InvalidState, NotFound


class VirtualTPMs:
    """Adds virtual TPMs to machines that are powered off, and removes them."""

    def __init__(
        self,
        datastore: Datastore,
        keys: HostKeys,
        opened: OpenMachines,
        power: PowerControl,
        machines: MachineManager,
    ) -> None:
        self._datastore = datastore
        self._keys = keys
        self._open = opened
        self._power = power
        self._machines = machines

    def add(self, name: str) -> MachineInfo:
        """Add a new virtual TPM.

        Raises :class:`InvalidState` unless the machine is powered off and its home is encrypted,
        which alone protects the secrets of the TPM, and :class:`AlreadyExists` if it has one.
        """
        self._power.check_off(name)
        self._keys.crypto.check("Encrypt")
        machine = self._datastore.machine(name)
        if machine.has_tpm:
            raise AlreadyExists(f"the machine {name} has a virtual TPM already")
        if not machine.home.is_encrypted():
            raise InvalidState(
                f"the home of {name} is not encrypted: encrypt it first (encrypt-vm --part home)"
            )
        self._keys.fetch(machine.home.key_ids())
        with self._open.reserved(name):
            self._close_powered_off(name)
            with machine.home.open(self._keys.crypto.keys(), machine.uuid) as home:
                virtual_tpm.write(home, TPMState.new())
            machine.set(TPM_SETTING, "TRUE")
        return self._machines.unlock(name)

    def remove(self, name: str) -> MachineInfo:
        """Remove the virtual TPM: what it has sealed cannot be unsealed any more."""
        self._power.check_off(name)
        machine = self._datastore.machine(name)
        if not machine.has_tpm:
            raise NotFound(f"the machine {name} has no virtual TPM")
        self._keys.fetch(machine.home.key_ids())
        with self._open.reserved(name):
            self._close_powered_off(name)
            # The state first: after a crash in between, the call is repeated.
            with machine.home.open(self._keys.crypto.keys(), machine.uuid) as home:
                virtual_tpm.erase(home)
            machine.unset(TPM_SETTING)
        return self._machines.unlock(name)

    def _close_powered_off(self, name: str) -> None:
        with self._open.lock:
            self._power.check_off(name)
            self._open.close(name)

    def seal(self, name: str, data: bytes) -> bytes:
        """Seal data for a guest; see :meth:`TPMState.seal`."""
        return self._state(name).seal(data)

    def unseal(self, name: str, data: bytes) -> bytes:
        """Unseal data for a guest; see :meth:`TPMState.unseal`."""
        return self._state(name).unseal(data)

    def _state(self, name: str) -> TPMState:
        if not self._datastore.machine(name).has_tpm:
            raise NotFound(f"the machine {name} has no virtual TPM")
        return virtual_tpm.read(self._open.open(name).home)
