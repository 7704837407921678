"""Virtual TPMs of machines: their secrets are in the home, which must be encrypted."""

from kmipkit_vsphere.calls import machines as host_calls
from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.encryption import MachineEncryption
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.machines import Machines
from kmipkit_vsphere.vcenter.privileges import Privilege


class VirtualTPMs:
    """The virtual TPMs of one vCenter."""

    def __init__(
        self,
        crypto: CryptoManagerKmip,
        hosts: HostManager,
        machines: Machines,
        encryption: MachineEncryption,
        locks: Locks,
    ) -> None:
        self._crypto = crypto
        self._hosts = hosts
        self._machines = machines
        self._encryption = encryption
        self._locks = locks

    async def add(
        self, caller: Caller, name: str, *, encrypt: bool = False, provider_id: str | None = None
    ) -> MachineInfo:
        """Add a virtual TPM; with ``encrypt``, the home of a plain machine is encrypted first."""
        if encrypt and "home" not in (await self._machines.info(name)).encrypted_parts:
            caller.require(Privilege.ENCRYPT, f"machine/{name}")
            await self._encryption.encrypt(caller, name, provider_id, ["home"])
        return await self._change(caller, name, "AddTPM", host_calls.AddVirtualTPM(name))

    async def remove(self, caller: Caller, name: str) -> MachineInfo:
        """Remove the virtual TPM of a machine."""
        return await self._change(caller, name, "RemoveTPM", host_calls.RemoveVirtualTPM(name))

    async def _change(
        self, caller: Caller, name: str, operation: str, request: Request[MachineInfo]
    ) -> MachineInfo:
        async with self._locks.machine(name):
            record = self._machines.record(name)
            entity = Entity("machine", name, record.uuid)
            with self._crypto.audited(caller.user, operation, record.key_id, entity):
                info = await self._machines.info(name)
                await self._give_keys(caller, self._machines.host_of(name), info)
                info = await self._hosts.call(self._machines.host_of(name), request)
            self._crypto.note(caller.user, operation, record.key_id, entity)
            return info

    async def _give_keys(self, caller: Caller, host: HostRecord, machine: MachineInfo) -> None:
        failures = await self._hosts.push_for(caller, host, machine.key_ids)
        for failure in failures.values():
            raise failure
