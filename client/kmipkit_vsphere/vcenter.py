"""The vCenter role: it alone speaks to the key servers, and keeps nothing of a key but its id.

Which connections it opens, and in which order, is what was seen of a real vCenter (vsphere.md
§3.4): the messages are in :mod:`kmipkit_vsphere.conversation`, the jobs in the provider, and the
order of the jobs that encrypt a machine in :meth:`VCenter.encrypt_machine`.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from kmipkit_vsphere.crypto_manager import CryptoManagerKmip, ServerDialer
from kmipkit_vsphere.errors import AlreadyExists, InvalidState
from kmipkit_vsphere.events import Clock, Entity
from kmipkit_vsphere.host_manager import HostDialer, HostManager
from kmipkit_vsphere.keys import CryptoKeyId
from kmipkit_vsphere.providers.standard import VIRTUAL_MACHINE, Owner
from kmipkit_vsphere.store import MachineRecord, Store
from kmipkit_vsphere.together import together


class VCenter:
    """One vCenter: key management, hosts, and the machines on them.

    ``user`` in the calls is who asks, for the events.
    """

    def __init__(
        self, store: Store, *, key_server: ServerDialer, host: HostDialer, clock: Clock
    ) -> None:
        self._store = store
        self.crypto = CryptoManagerKmip(store, key_server, clock)
        self.hosts = HostManager(store, self.crypto, host)

    async def create_machine(
        self, host_name: str, name: str, disk_size: int, sector_size: int = 512
    ) -> dict[str, Any]:
        """Make a plain machine on a host and take it into the inventory."""
        if any(machine.name == name for machine in self._store.machines()):
            raise AlreadyExists(f"there is a machine {name} already")
        host = self._store.host(host_name)
        params = {"name": name, "diskSize": disk_size, "sectorSize": sector_size}
        info = await self.hosts.call(host, "CreateMachine", params)
        self._store.put_machine(MachineRecord(info["uuid"], name, host_name))
        return dict(info)

    async def encrypt_machine(self, user: str, name: str) -> CryptoKeyId:
        """Encrypt a machine with a new key of the default provider; returns the key's id.

        The host is put into encryption mode first if it is not. Where an earlier call failed after
        the key was made, its key is used again.
        """
        machine = self._store.machine(name)
        entity = Entity("machine", name, machine.uuid)
        with self.crypto.audited(user, "Encrypt", machine.key_id, entity):
            key_id = await self._encrypt(user, machine)
        self.crypto.note(user, "Encrypt", key_id, entity)
        return key_id

    async def _encrypt(self, user: str, machine: MachineRecord) -> CryptoKeyId:
        host = self._store.host(machine.host)
        key_id = await self._machine_key(user, machine)
        await self.hosts.push(user, host, key_id)
        params = {"name": machine.name, "keyId": key_id.to_json()}
        await self.hosts.call(host, "EncryptMachine", params)
        provider = self.crypto.provider(key_id.provider_id)
        await provider.tag_owner(key_id, Owner(machine.uuid, VIRTUAL_MACHINE, machine.name))
        return key_id

    async def _machine_key(self, user: str, machine: MachineRecord) -> CryptoKeyId:
        """A key for the machine, its id in the inventory, and a host that is safe."""
        if machine.key_id is not None:
            await self.hosts.configure_crypto_key(user, machine.host)
            return machine.key_id
        provider = self.crypto.default_provider()
        key_id = await self.crypto.create_key(user, provider)
        # The id is kept before anything is encrypted: after a crash the key can be found again.
        self._store.put_machine(replace(machine, key_id=key_id))
        await together(
            partial(provider.tag_product, key_id),
            partial(self.hosts.configure_crypto_key, user, machine.host),
        )
        return key_id

    async def list_machines(self) -> list[dict[str, Any]]:
        """All machines in the inventory, as their hosts describe them."""
        names = {machine.name for machine in self._store.machines()}
        return [
            {**info, "host": host.name}
            for host in self._store.hosts()
            for info in await self.hosts.call(host, "ListMachines")
            if info["name"] in names
        ]

    async def unlock_machine(self, user: str, name: str) -> None:
        """CryptoUnlock_Task: see that the host has the machine's key, then unlock the machine."""
        machine = self._store.machine(name)
        host = self._store.host(machine.host)
        if machine.key_id is None:
            raise InvalidState(f"the machine {name} is not encrypted")
        await self.hosts.configure_crypto_key(user, host.name)
        await self.hosts.push(user, host, machine.key_id)
        await self.hosts.unlock(user, host, name)
