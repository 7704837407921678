"""Encrypting, decrypting and rekeying machines: the order of the jobs, and their events.

The key of a machine is recorded before anything is encrypted with it, so that after a crash, or an
error half way, the same key is used again (vsphere.md §2.3, §3.4).
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from kmipkit_vsphere.calls.machines import ListMachines, MachineInfo, ReconfigureCrypto
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    InvalidArgument,
    InvalidState,
    NoSpace,
    NotFound,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import HostRecord, MachineRecord, ManagementType
from kmipkit_vsphere.providers.base import KeyProvider
from kmipkit_vsphere.providers.owner import VIRTUAL_MACHINE, Owner
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.calls.hosts import UnlockResult
from kmipkit_vsphere.vcenter.calls.policies import StoragePolicy
from kmipkit_vsphere.vcenter.crypto_manager import DISABLED, CryptoManagerKmip, is_disabled
from kmipkit_vsphere.vcenter.host_manager import HostManager, all_keys
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.native_providers import NativeProviders
from kmipkit_vsphere.vcenter.policies import Policies
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
        policies: Policies,
    ) -> None:
        self._store = store
        self._inventory = store.inventory
        self._crypto = crypto
        self._hosts = hosts
        self._natives = natives
        self._locks = locks
        self._policies = policies

    # Encrypt -------------------------------------------------------------------------------------

    async def encrypt(
        self,
        caller: Caller,
        name: str,
        provider_id: str | None = None,
        parts: Sequence[str] | None = None,
        *,
        policy: StoragePolicy | None = None,
        require_policy: bool = False,
        key_id: CryptoKeyId | None = None,
    ) -> CryptoKeyId:
        """Encrypt a machine with a new key of a provider, or with ``key_id``; returns the key's id.

        The provider is the explicit one, else the nearest default. Encryption mode is enabled on
        the host if necessary. What an earlier call has encrypted stays as it is: a disk that is
        encrypted later gets the machine's key, or with an explicit provider a key of its own.

        What is encrypted gets ``policy``, or the encryption policy if it has none that requires it.
        With ``require_policy`` it must have one.
        """
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(
                caller.user, "Encrypt", machine.key_id, entity, failure=space_failure
            ):
                host = self._inventory.host(machine.host)
                await self._hosts.check_may_enable(caller, host)
                before = await self._info(host, name)
                if require_policy:
                    self._policies.check_requires_encryption(before, parts or before.parts)
                if key_id is None:
                    key_id = await self._new_key(caller, machine, before, provider_id, parts)
                else:
                    await self._use_key(caller, machine, host, before, key_id)
                with self._crypto.in_use(key_id, f"the encryption of {name}"):
                    await self._hosts.push_to_cluster(caller, host, key_id, enable=True)
                    info = await self._reconfigure(
                        host, name, CryptoSpecKind.ENCRYPT, parts, key_id=key_id
                    )
                    key_id = await self._record_key(name, key_id, before, info)
            self._policies.note_encrypted(info, parts or info.parts, policy)
            self._crypto.note(caller.user, "Encrypt", key_id, entity)
            return key_id

    async def check_encryption(
        self, caller: Caller, host_name: str, provider_id: str | None = None
    ) -> None:
        """Raise what would keep a new machine from being encrypted on a host (R24, R40)."""
        host = self._inventory.host(host_name)
        await self._hosts.check_may_enable(caller, host)
        self._provider_on(host, provider_id)

    async def _info(self, host: HostRecord, name: str) -> MachineInfo:
        machines = await self._hosts.call(host, ListMachines())
        for machine in machines:
            if machine.name == name:
                return machine
        raise NotFound(f"host {host.name} has no machine {name}")

    async def _new_key(
        self,
        caller: Caller,
        machine: MachineRecord,
        info: MachineInfo,
        provider_id: str | None,
        parts: Sequence[str] | None,
    ) -> CryptoKeyId:
        """A key for the machine, recorded in the inventory; the host is in encryption mode."""
        if machine.key_id is not None and self._goes_on(machine, info, provider_id, parts):
            await self._hosts.configure_crypto_key(caller, machine.host)
            return machine.key_id
        provider = self.provider_for(machine, provider_id)
        key_id = await self._crypto.create_key(caller.user, provider)
        # The key of an encrypted machine is that of its home, whatever other keys its disks have.
        if key_id.key_id and not info.key_ids:
            self._inventory.put_machine(replace(machine, key_id=key_id))
        with self._crypto.in_use(key_id, f"the encryption of {machine.name}"):
            await run_all(
                partial(provider.tag_product, key_id),
                partial(self._hosts.configure_crypto_key, caller, machine.host),
            )
        return key_id

    async def _use_key(
        self,
        caller: Caller,
        machine: MachineRecord,
        host: HostRecord,
        info: MachineInfo,
        key_id: CryptoKeyId,
    ) -> None:
        """Give the key that the caller has chosen to the host, and record it if there is such a key."""
        self._check_usable(machine, key_id)
        with self._crypto.in_use(key_id, f"the encryption of {machine.name}"):
            await self._hosts.configure_crypto_key(caller, machine.host)
            await self._hosts.push(caller, host, key_id)
            if not info.key_ids:
                self._inventory.put_machine(replace(machine, key_id=key_id))

    def _check_usable(self, machine: MachineRecord, key_id: CryptoKeyId) -> None:
        provider = self.provider_for(machine, key_id.provider_id)
        if not key_id.key_id:
            raise InvalidArgument(
                f"the key of {provider.provider_id} needs an id", invalid_property="keyId"
            )

    def _goes_on(
        self,
        machine: MachineRecord,
        info: MachineInfo,
        provider_id: str | None,
        parts: Sequence[str] | None,
    ) -> bool:
        """Whether the recorded key is the one to encrypt with.

        It is, after a call that failed half way, unless the caller names another provider. Then a
        key that encrypts nothing yet is replaced, and disks that are named get a key of their own;
        but one operation does not give the parts of a machine different keys without being asked.
        """
        recorded = machine.key_id
        if recorded is None or provider_id in (None, recorded.provider_id):
            return recorded is not None
        if recorded in info.key_ids and parts is None:
            raise InvalidState(
                f"{machine.name} is encrypted with key {recorded}, at least in part: go on without"
                f" another provider, or name the disks that shall have a key of {provider_id}"
            )
        return False

    def provider_for(self, machine: MachineRecord, provider_id: str | None) -> KeyProvider:
        """The provider for a new key of a machine; InvalidState if it cannot be used yet."""
        return self._provider_on(self._inventory.host(machine.host), provider_id)

    def _provider_on(self, host: HostRecord, provider_id: str | None) -> KeyProvider:
        provider = self._crypto.providers.for_new_key(host.parent, provider_id)
        if provider.management_type is ManagementType.NATIVE:
            self._natives.check_usable(provider.provider_id, host)
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
        self, name: str, key_id: CryptoKeyId, before: MachineInfo, after: MachineInfo
    ) -> CryptoKeyId:
        """Record the key of the machine's home, and mark the new key with its owner; returns it."""
        if not key_id.key_id:  # the host made the key
            made = [key for key in after.key_ids if key not in before.key_ids]
            key_id = (made or after.key_ids)[-1]
        # Only now: another call may have changed the record meanwhile, but not the key.
        machine = self._inventory.machine(name)
        self._inventory.put_machine(replace(machine, key_id=after.key_ids[0]))
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
        key_id: CryptoKeyId | None = None,
    ) -> CryptoKeyId:
        """Give a machine a new key; ``deep``: also new data keys, and write all data again (§2.3).

        The key is a new one of a provider, or ``key_id``.

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
                before = await self._info(host, name)
                await self._push_all(caller, host, [machine.key_id, *all_keys(before)])
                if key_id is None:
                    key_id = await self._next_key(caller, machine, provider_id)
                else:
                    self._check_usable(machine, key_id)
                    await self._hosts.push(caller, host, key_id)
                    self._store.inventory.set_next_key(machine.uuid, key_id)
                with self._crypto.in_use(key_id, f"the rekeying of {name}"):
                    # The hosts of the cluster that have this machine's keys have the mode already.
                    await self._hosts.push_to_cluster(caller, host, key_id)
                    try:
                        info = await self._reconfigure(host, name, kind, parts, key_id=key_id)
                    except VSphereError:
                        # Some layers may have the new key already.
                        with contextlib.suppress(VSphereError):
                            self._hosts.review(caller, await self._info(host, name))
                        raise
                    key_id = await self._record_key(name, key_id, before, info)
                self._store.inventory.set_next_key(machine.uuid, None)
            self._hosts.review(caller, info)
            self._crypto.note(caller.user, kind, key_id, entity)
            return key_id

    async def _next_key(
        self, caller: Caller, machine: MachineRecord, provider_id: str | None
    ) -> CryptoKeyId:
        """The key that replaces a machine's; one from an interrupted call is used again.

        Unless the caller names another provider: the host begins anew with its key.
        """
        begun = self._store.inventory.next_key(machine.uuid)
        if begun is not None and provider_id in (None, begun.provider_id):
            return begun
        provider = self.provider_for(machine, provider_id)
        key_id = await self._crypto.create_key(caller.user, provider)
        if key_id.key_id:
            self._store.inventory.set_next_key(machine.uuid, key_id)
        await provider.tag_product(key_id)
        return key_id

    async def _push_all(
        self, caller: Caller, host: HostRecord, keys: Sequence[CryptoKeyId]
    ) -> None:
        for key_id in dict.fromkeys(keys):
            await self._hosts.push(caller, host, key_id)

    # Decrypt and unlock --------------------------------------------------------------------------

    async def decrypt(self, caller: Caller, name: str, parts: Sequence[str] | None = None) -> None:
        """Decrypt a machine; its key stays on the key server (§3.4)."""
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            entity = Entity("machine", name, machine.uuid)
            with self._crypto.audited(
                caller.user, "Decrypt", machine.key_id, entity, failure=space_failure
            ):
                host = self._inventory.host(machine.host)
                before = await self._info(host, name)
                await self._push_all(caller, host, all_keys(before))
                info = await self._reconfigure(host, name, CryptoSpecKind.DECRYPT, parts)
            self._policies.note_decrypted(info, parts or info.parts)
            if not info.key_ids:
                self._inventory.put_machine(replace(machine, key_id=None))
                self._store.inventory.set_next_key(machine.uuid, None)
                self._hosts.alarms.end_all(entity)
            self._crypto.note(caller.user, "Decrypt", machine.key_id, entity)

    async def unlock(self, caller: Caller, name: str) -> UnlockResult:
        """CryptoUnlock_Task: give the host the machine's keys, then unlock the machine.

        A disk whose key cannot be had stays locked by itself; the result says so.
        """
        async with self._locks.machine(name):
            machine = self._inventory.machine(name)
            host = self._inventory.host(machine.host)
            info = await self._info(host, name)
            recorded = [machine.key_id] if machine.key_id is not None else []
            keys = list(dict.fromkeys([*recorded, *all_keys(info)]))
            if not keys:
                raise InvalidState(f"the machine {name} is not encrypted")
            await self._hosts.configure_crypto_key(caller, host.name)
            failures = await self._hosts.push_for(caller, host, keys)
            return await self._hosts.unlock(caller, host, name, failures)


def space_failure(fault: VSphereError) -> str:
    """The type of the event about a change of a machine that failed."""
    if is_disabled(fault):
        return DISABLED
    return "vm.crypto.NoDiskSpace" if isinstance(fault, NoSpace) else "crypto.Operation"


def _rekey_failure(fault: VSphereError) -> str:
    return "vm.crypto.NoDiskSpace" if isinstance(fault, NoSpace) else "vm.crypto.RekeyFail"
