"""Encrypting, decrypting and rekeying machines: the order of the jobs, and their events.

The key of a machine is recorded before anything is encrypted with it, so that after a crash, or an
error half way, the same key is used again (vsphere.md §2.3, §3.4).
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from kmipkit_vsphere.calls.machines import ListMachines, MachineInfo, ReconfigureCrypto
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import InvalidState, NoSpace, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import HostRecord, MachineRecord, ManagementType
from kmipkit_vsphere.providers.base import KeyProvider
from kmipkit_vsphere.providers.owner import VIRTUAL_MACHINE, Owner
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.host_manager import HostManager, all_keys
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.native_providers import NativeProviders
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.store import Store


class MachineEncryption:
    """The encryption of the machines of one vCenter."""

    def __init__(
        self,
        store: Store,
        crypto: CryptoManagerKmip,
        hosts: HostManager,
        natives: NativeProviders,
        locks: Locks,
    ) -> None:
        self._settings = store.providers
        self._inventory = store.inventory
        self._crypto = crypto
        self._hosts = hosts
        self._natives = natives
        self._locks = locks

    # Encrypt -------------------------------------------------------------------------------------

    async def encrypt(
        self,
        caller: Caller,
        name: str,
        provider_id: str | None = None,
        parts: Sequence[str] | None = None,
    ) -> CryptoKeyId:
        """Encrypt a machine with a new key of a provider; returns the key's id.

        The provider is the explicit one, else the nearest default. Encryption mode is enabled on
        the host if necessary.
        """
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(
                caller.user, "Encrypt", machine.key_id, entity, failure=_space_failure
            ):
                host = self._inventory.host(machine.host)
                key_id = await self._new_key(caller, machine, provider_id)
                await self._hosts.push_to_cluster(caller, host, key_id)
                info = await self._reconfigure(
                    host, name, CryptoSpecKind.ENCRYPT, parts, key_id=key_id
                )
                key_id = await self._record_key(machine, key_id, info)
            self._crypto.note(caller.user, "Encrypt", key_id, entity)
            return key_id

    async def _new_key(
        self, caller: Caller, machine: MachineRecord, provider_id: str | None
    ) -> CryptoKeyId:
        """A key for the machine, recorded in the inventory; the host is in encryption mode."""
        if machine.key_id is not None:
            await self._hosts.configure_crypto_key(caller, machine.host)
            return machine.key_id
        provider = self.provider_for(machine, provider_id)
        host = self._inventory.host(machine.host)
        if host.key_id is None:
            # Before a key is made in vain.
            caller.require(Privilege.REGISTER_HOST, f"host/{host.name}")
        key_id = await self._crypto.create_key(caller.user, provider)
        if key_id.key_id:
            self._inventory.put_machine(replace(machine, key_id=key_id))
        await run_all(
            partial(provider.tag_product, key_id),
            partial(self._hosts.configure_crypto_key, caller, machine.host),
        )
        return key_id

    def provider_for(self, machine: MachineRecord, provider_id: str | None) -> KeyProvider:
        """The provider for a new key of a machine; InvalidState if it cannot be used yet."""
        host = self._inventory.host(machine.host)
        provider = self._crypto.providers.for_new_key(host.parent, provider_id)
        if provider.management_type is ManagementType.NATIVE:
            self._natives.check_usable(provider.provider_id)
        return provider

    async def _reconfigure(
        self,
        host: HostRecord,
        name: str,
        kind: CryptoSpecKind,
        parts: Sequence[str] | None,
        key_id: CryptoKeyId | None = None,
    ) -> MachineInfo:
        chosen = None if parts is None else list(parts)
        return await self._hosts.call(host, ReconfigureCrypto(name, kind, key_id, chosen))

    async def _record_key(
        self, machine: MachineRecord, key_id: CryptoKeyId, info: MachineInfo
    ) -> CryptoKeyId:
        """Record the key that a machine has now, and mark the key with its owner."""
        if not key_id.key_id:  # the host made the key
            key_id = info.key_ids[-1]
        self._inventory.put_machine(replace(machine, key_id=key_id))
        provider = self._crypto.provider(key_id.provider_id)
        await provider.tag_owner(key_id, Owner(machine.uuid, VIRTUAL_MACHINE, machine.name))
        return key_id

    # Rekey ---------------------------------------------------------------------------------------

    async def recrypt(
        self,
        caller: Caller,
        name: str,
        *,
        deep: bool = False,
        provider_id: str | None = None,
        parts: Sequence[str] | None = None,
    ) -> CryptoKeyId:
        """Give a machine a new key; ``deep``: also new data keys, and write all data again (§2.3).

        If a call fails half way, the next one continues with the key that the first one made.
        """
        kind = CryptoSpecKind.DEEP_RECRYPT if deep else CryptoSpecKind.SHALLOW_RECRYPT
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            if machine.key_id is None:
                raise InvalidState(f"the machine {name} is not encrypted")
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(
                caller.user, kind, machine.key_id, entity, failure=_rekey_failure
            ):
                host = self._inventory.host(machine.host)
                await self._hosts.push(caller, host, machine.key_id)
                await self.push_all_keys(caller, host, name)
                key_id = await self._next_key(caller, machine, provider_id)
                # The hosts of the cluster that have this machine's keys have the mode already.
                await self._hosts.push_to_cluster(caller.unchecked(), host, key_id)
                info = await self._reconfigure(host, name, kind, parts, key_id=key_id)
                key_id = await self._record_key(machine, key_id, info)
                self._set_next_key(name, None)
            self._crypto.note(caller.user, kind, key_id, entity)
            return key_id

    async def _next_key(
        self, caller: Caller, machine: MachineRecord, provider_id: str | None
    ) -> CryptoKeyId:
        """The key that replaces a machine's; one from an interrupted call is used again."""
        begun = self._settings.setting(_next_key_setting(machine.name))
        if begun is not None:
            begun_provider, _, begun_key = begun.partition("/")
            return CryptoKeyId(begun_provider, begun_key)
        provider = self.provider_for(machine, provider_id)
        key_id = await self._crypto.create_key(caller.user, provider)
        if key_id.key_id:
            self._set_next_key(machine.name, key_id)
        await provider.tag_product(key_id)
        return key_id

    def _set_next_key(self, name: str, key_id: CryptoKeyId | None) -> None:
        self._settings.set_setting(_next_key_setting(name), str(key_id) if key_id else None)

    async def push_all_keys(self, caller: Caller, host: HostRecord, name: str) -> None:
        """Give a host all keys that are named in the files of one of its machines."""
        for machine in await self._hosts.call(host, ListMachines()):
            if machine.name == name:
                for key_id in all_keys(machine):
                    await self._hosts.push(caller, host, key_id)

    # Decrypt and unlock --------------------------------------------------------------------------

    async def decrypt(self, caller: Caller, name: str, parts: Sequence[str] | None = None) -> None:
        """Decrypt a machine; its key stays on the key server (§3.4)."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(
                caller.user, "Decrypt", machine.key_id, entity, failure=_space_failure
            ):
                host = self._inventory.host(machine.host)
                await self.push_all_keys(caller, host, name)
                info = await self._reconfigure(host, name, CryptoSpecKind.DECRYPT, parts)
            if not info.key_ids:
                self._inventory.put_machine(replace(machine, key_id=None))
            self._crypto.note(caller.user, "Decrypt", machine.key_id, entity)

    async def unlock(self, caller: Caller, name: str) -> None:
        """CryptoUnlock_Task: give the host the machine's keys, then unlock the machine."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            if machine.key_id is None:
                raise InvalidState(f"the machine {name} is not encrypted")
            host = self._inventory.host(machine.host)
            await self._hosts.configure_crypto_key(caller, host.name)
            await self.push_all_keys(caller, host, name)
            await self._hosts.unlock(caller, host, name)


def _next_key_setting(machine: str) -> str:
    return f"nextKey/{machine}"


def _space_failure(fault: VSphereError) -> str:
    return "vm.crypto.NoDiskSpace" if isinstance(fault, NoSpace) else "crypto.Operation"


def _rekey_failure(fault: VSphereError) -> str:
    return "vm.crypto.NoDiskSpace" if isinstance(fault, NoSpace) else "vm.crypto.RekeyFail"
