"""The vCenter role: it alone speaks to the key servers, and keeps nothing of a key but its id.

Which connections it opens, and in which order, is what was seen of a real vCenter (vsphere.md
§3.4): the messages are in :mod:`kmipkit_vsphere.providers.conversation`, the jobs in the provider,
and the order of the jobs that encrypt a machine in :meth:`VCenter.encrypt_machine`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import uuid4

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.concurrency import together
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    EncryptionKeyRequired,
    InvalidArgument,
    InvalidState,
    NoSpace,
    NotFound,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.migration_spec import EncryptionMode, decide
from kmipkit_vsphere.model.records import ROOT, HostRecord, MachineRecord, ManagementType
from kmipkit_vsphere.providers.base import KeyProvider
from kmipkit_vsphere.providers.kmip_access import KmipAccess
from kmipkit_vsphere.providers.owner import VIRTUAL_MACHINE, VSAN_CLUSTER, Owner
from kmipkit_vsphere.providers.vsan_config import VsanConfig
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.events import Entity
from kmipkit_vsphere.vcenter.host_manager import HostDialer, HostManager, MayRegister, anybody
from kmipkit_vsphere.vcenter.key_providers import ServerDialer
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.migration_manager import MigrationManager
from kmipkit_vsphere.vcenter.native_providers import NativeProviders
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.trust_authority import TrustAuthorityCluster
from kmipkit_vsphere.vcenter.trusted_clusters import TrustedClusters

_INSTANCE: Final = "instance"


class VCenter:
    """One vCenter: key management, hosts, and the machines on them.

    ``user`` in the calls is who asks, for the events; ``may`` raises NoPermission where a host must
    be switched into encryption mode and the user may not do that (vsphere.md §6).
    """

    def __init__(
        self,
        store: Store,
        *,
        key_server: ServerDialer,
        host: HostDialer,
        clock: Clock,
        trust: Trust | None = None,
    ) -> None:
        self.store = store
        self.now = clock
        self._inventory = store.inventory
        self.crypto = CryptoManagerKmip(store, key_server, clock, trust)
        self.hosts = HostManager(store, self.crypto, host)
        self.trust_authority = TrustAuthorityCluster(
            store,
            lambda: self.instance_id,
            self.hosts.call,
            lambda provider: self.access(provider).to_json(),
        )
        self.trusted_clusters = TrustedClusters(
            store,
            lambda: self.instance_id,
            self.hosts.call,
            lambda: self.trust_authority.is_configured,
            self.crypto.event_log,
        )
        self.migrations = MigrationManager(store, self.hosts)
        self.natives = NativeProviders(store, clock, self.crypto.event_log, self.hosts.call)

    @property
    def instance_id(self) -> str:
        """The id of this vCenter, made at its first use; no two are alike (R27)."""
        known = self.store.providers.setting(_INSTANCE)
        if known is None:
            known = str(uuid4())
            self.store.providers.set_setting(_INSTANCE, known)
        return known

    # Machines ------------------------------------------------------------------------------------

    async def create_machine(
        self,
        host_name: str,
        name: str,
        disk_size: int,
        sector_size: int = 512,
        folder: str = ROOT,
    ) -> dict[str, Any]:
        """Make a plain machine on a host and take it into the inventory."""
        self._check_free(name)
        self._inventory.place(folder)
        host = self._inventory.host(host_name)
        params = {"name": name, "diskSize": disk_size, "sectorSize": sector_size}
        info = await self.hosts.call(host, "CreateMachine", params)
        self._inventory.put_machine(MachineRecord(info["uuid"], name, host_name, None, folder))
        return dict(info)

    def _check_free(self, name: str) -> None:
        if any(machine.name == name for machine in self._inventory.machines()):
            raise AlreadyExists(f"there is a machine {name} already")

    async def encrypt_machine(
        self,
        user: str,
        name: str,
        provider_id: str | None = None,
        parts: Sequence[str] | None = None,
        may: MayRegister = anybody,
    ) -> CryptoKeyId:
        """Encrypt a machine with a new key of a provider; returns the key's id.

        The provider is the one that is named, else the nearest default. The host is put into
        encryption mode first if it is not. Where an earlier call failed after the key was made, its
        key is used again.
        """
        machine = self._inventory.machine(name)
        entity = Entity("machine", name, machine.uuid)
        with self.crypto.audited(user, "Encrypt", machine.key_id, entity, failure=_no_room):
            key_id = await self._encrypt(user, machine, provider_id, parts, may)
        self.crypto.note(user, "Encrypt", key_id, entity)
        return key_id

    async def _encrypt(
        self,
        user: str,
        machine: MachineRecord,
        provider_id: str | None,
        parts: Sequence[str] | None,
        may: MayRegister,
    ) -> CryptoKeyId:
        host = self._inventory.host(machine.host)
        key_id = await self._machine_key(user, machine, provider_id, may)
        await self.hosts.push_to_cluster(user, host, key_id, may)
        params = {"name": machine.name, "kind": CryptoSpecKind.ENCRYPT, "keyId": key_id.to_json()}
        info = await self.hosts.call(host, "ReconfigureCrypto", _with(params, parts))
        return await self._own(machine, key_id, info)

    async def _own(
        self, machine: MachineRecord, key_id: CryptoKeyId, info: dict[str, Any]
    ) -> CryptoKeyId:
        """Keep the id of the key that a machine has now, and mark the key with its owner."""
        if not key_id.key_id:  # the host has made it
            key_id = _ids(info["keyIds"])[-1]
        self._inventory.put_machine(replace(machine, key_id=key_id))
        provider = self.crypto.provider(key_id.provider_id)
        await provider.tag_owner(key_id, Owner(machine.uuid, VIRTUAL_MACHINE, machine.name))
        return key_id

    async def _machine_key(
        self, user: str, machine: MachineRecord, provider_id: str | None, may: MayRegister
    ) -> CryptoKeyId:
        """A key for the machine, its id in the inventory, and a host that is safe."""
        if machine.key_id is not None:
            await self.hosts.configure_crypto_key(user, machine.host, may=may)
            return machine.key_id
        provider = self._provider(machine, provider_id)
        host = self._inventory.host(machine.host)
        if host.key_id is None:
            may(host)  # before a key is made for nothing
        key_id = await self.crypto.create_key(user, provider)
        if key_id.key_id:
            # The id is kept before anything is encrypted: after a crash the key can be found again.
            self._inventory.put_machine(replace(machine, key_id=key_id))
        await together(
            partial(provider.tag_product, key_id),
            partial(self.hosts.configure_crypto_key, user, machine.host, may=may),
        )
        return key_id

    def _provider(self, machine: MachineRecord, provider_id: str | None) -> KeyProvider:
        host = self._inventory.host(machine.host)
        provider = self.crypto.providers.for_new_key(host.parent, provider_id)
        if provider.management_type is ManagementType.NATIVE:
            self.natives.check_usable(provider.provider_id)
        return provider

    async def recrypt_machine(
        self,
        user: str,
        name: str,
        *,
        deep: bool = False,
        provider_id: str | None = None,
        parts: Sequence[str] | None = None,
    ) -> CryptoKeyId:
        """Give a machine a new key; ``deep``: also new data keys, all data written anew (§2.3).

        A call that failed half way is repeated and goes on with the key that it made then.
        """
        machine = self._inventory.machine(name)
        if machine.key_id is None:
            raise InvalidState(f"the machine {name} is not encrypted")
        kind = CryptoSpecKind.DEEP_RECRYPT if deep else CryptoSpecKind.SHALLOW_RECRYPT
        entity = Entity("machine", name, machine.uuid)
        with self.crypto.audited(user, kind, machine.key_id, entity, failure=_rekey_failure):
            host = self._inventory.host(machine.host)
            key_id = await self._next_key(user, machine, host, provider_id)
            params = {"name": name, "kind": kind, "keyId": key_id.to_json()}
            info = await self.hosts.call(host, "ReconfigureCrypto", _with(params, parts))
            key_id = await self._own(machine, key_id, info)
            self._remember_next(name, None)
        self.crypto.note(user, kind, key_id, entity)
        return key_id

    async def _next_key(
        self, user: str, machine: MachineRecord, host: HostRecord, provider_id: str | None
    ) -> CryptoKeyId:
        """The key that replaces a machine's; one that was made for it before is used."""
        await self.hosts.push(user, host, machine.key_id or CryptoKeyId("", ""))
        for known in self._keys_on(await self.hosts.call(host, "ListMachines"), machine.name):
            await self.hosts.push(user, host, known)
        begun = self.store.providers.setting(_next(machine.name))
        if begun is not None:
            provider_of, _, key = begun.partition("/")
            key_id = CryptoKeyId(provider_of, key)
        else:
            provider = self._provider(machine, provider_id)
            key_id = await self.crypto.create_key(user, provider)
            if key_id.key_id:
                self._remember_next(machine.name, key_id)
            await provider.tag_product(key_id)
        await self.hosts.push_to_cluster(user, host, key_id)
        return key_id

    def _remember_next(self, name: str, key_id: CryptoKeyId | None) -> None:
        value = f"{key_id.provider_id}/{key_id.key_id}" if key_id else None
        self.store.providers.set_setting(_next(name), value)

    def _keys_on(self, machines: list[dict[str, Any]], name: str) -> list[CryptoKeyId]:
        return [
            key
            for info in machines
            if info["name"] == name
            for key in _ids([*info["keyIds"], *info["pendingKeyIds"]])
        ]

    async def decrypt_machine(
        self, user: str, name: str, parts: Sequence[str] | None = None
    ) -> None:
        """Write a machine's plain text back; its key stays on the key server (§3.4)."""
        machine = self._inventory.machine(name)
        entity = Entity("machine", name, machine.uuid)
        with self.crypto.audited(user, "Decrypt", machine.key_id, entity, failure=_no_room):
            host = self._inventory.host(machine.host)
            for key_id in self._keys_on(await self.hosts.call(host, "ListMachines"), name):
                await self.hosts.push(user, host, key_id)
            params = {"name": name, "kind": CryptoSpecKind.DECRYPT}
            info = await self.hosts.call(host, "ReconfigureCrypto", _with(params, parts))
        if not info["keyIds"]:
            self._inventory.put_machine(replace(machine, key_id=None))
        self.crypto.note(user, "Decrypt", machine.key_id, entity)

    async def clone_machine(self, user: str, name: str, new_name: str) -> dict[str, Any]:
        """Clone a machine on its host, with the same keys (§2.3)."""
        machine = self._inventory.machine(name)
        self._check_free(new_name)
        host = self._inventory.host(machine.host)
        entity = Entity("machine", new_name)
        with self.crypto.audited(user, "Clone", machine.key_id, entity):
            if machine.key_id is not None:
                await self.hosts.push(user, host, machine.key_id)
            params = {"name": name, "newName": new_name}
            info = await self.hosts.call(host, "CloneMachine", params)
        self._inventory.put_machine(replace(machine, uuid=info["uuid"], name=new_name))
        if machine.key_id is not None:
            self.crypto.note(user, "Clone", machine.key_id, entity)
        return dict(info)

    async def add_disk(
        self,
        user: str,
        name: str,
        size: int,
        sector_size: int = 512,
        provider_id: str | None = None,
    ) -> dict[str, Any]:
        """Add a disk; in an encrypted machine it is encrypted, with the machine's key or another."""
        machine = self._inventory.machine(name)
        host = self._inventory.host(machine.host)
        entity = Entity("machine", name, machine.uuid)
        params: dict[str, Any] = {"name": name, "diskSize": size, "sectorSize": sector_size}
        key_id = machine.key_id
        if provider_id is not None:
            key_id = await self.crypto.create_key(user, self._provider(machine, provider_id))
        with self.crypto.audited(user, "AddDisk", key_id, entity):
            if key_id is not None:
                await self.hosts.push(user, host, key_id)
                params["keyId"] = key_id.to_json()
            info = await self.hosts.call(host, "AddDisk", params)
        if key_id is not None:
            self.crypto.note(user, "AddDisk", key_id, entity)
        return dict(info)

    async def list_machines(self) -> list[dict[str, Any]]:
        """All machines in the inventory, as their hosts describe them."""
        on = {machine.name: machine.host for machine in self._inventory.machines()}
        return [
            {**info, "host": host.name}
            for host in self._inventory.hosts()
            if host.name in on.values()
            for info in await self.hosts.call(host, "ListMachines")
            if on.get(info["name"]) == host.name
        ]

    async def unlock_machine(self, user: str, name: str, may: MayRegister = anybody) -> None:
        """CryptoUnlock_Task: see that the host has the machine's keys, then unlock the machine."""
        machine = self._inventory.machine(name)
        host = self._inventory.host(machine.host)
        if machine.key_id is None:
            raise InvalidState(f"the machine {name} is not encrypted")
        await self.hosts.configure_crypto_key(user, host.name, may=may)
        for key_id in self._keys_on(await self.hosts.call(host, "ListMachines"), name):
            await self.hosts.push(user, host, key_id)
        await self.hosts.unlock(user, host, name)

    async def register_machine(
        self, user: str, host_name: str, name: str, folder: str = ROOT, may: MayRegister = anybody
    ) -> dict[str, Any]:
        """RegisterVM: take a machine into the inventory whose files lie on a host's datastore.

        Keys are sent to the host by the ids in the machine's files, under the provider ids that
        stand there (§2.5). A machine that stays locked is registered all the same.
        """
        self._check_free(name)
        self._inventory.place(folder)
        host = self._inventory.host(host_name)
        found = [one for one in await self.machines_on(host_name) if one["name"] == name]
        if not found:
            raise InvalidArgument(f"there is no machine {name} on the datastore of {host_name}")
        keys = _ids(found[0]["keyIds"])
        entity = Entity("machine", name, found[0]["uuid"])
        record = MachineRecord(found[0]["uuid"], name, host_name, keys[0] if keys else None, folder)
        with self.crypto.audited(user, "Register", record.key_id, entity):
            self._inventory.put_machine(record)
            if keys:
                await self.hosts.configure_crypto_key(user, host_name, may=may)
            for key_id in keys:
                await self.hosts.push_to_cluster(user, host, key_id, may)
            if keys:
                found[0] = await self.hosts.unlock(user, host, name)
        if keys:
            self.crypto.note(user, "Register", record.key_id, entity)
        return dict(found[0])

    async def machines_on(self, host_name: str) -> list[dict[str, Any]]:
        """The machines whose files lie on a host's datastore, registered or not."""
        return list(await self.hosts.call(self._inventory.host(host_name), "ListMachines"))

    async def unregister_machine(self, name: str) -> None:
        """UnregisterVM: forget a machine; its files stay where they are, locked or not."""
        machine = self._inventory.machine(name)
        await self.hosts.call(
            self._inventory.host(machine.host), "UnregisterMachine", {"name": name}
        )
        self._inventory.remove_machine(name)

    async def power(self, user: str, name: str, *, on: bool) -> dict[str, Any]:
        """PowerOnVM, PowerOffVM. Before power-on the host is brought the keys that it lacks."""
        machine = self._inventory.machine(name)
        host = self._inventory.host(machine.host)
        if not on:
            return dict(await self.hosts.call(host, "PowerOff", {"name": name}))
        try:
            return dict(await self.hosts.call(host, "PowerOn", {"name": name}))
        except EncryptionKeyRequired as locked:
            for key_id in _ids(locked.required_key):
                await self.hosts.push(user, host, key_id)
            return dict(await self.hosts.call(host, "PowerOn", {"name": name}))

    async def remove_keys(
        self, user: str, key_ids: Sequence[CryptoKeyId], *, force: bool = False
    ) -> list[dict[str, Any]]:
        """RemoveKeys: from vCenter and from the hosts, never from the key server (§3.4)."""
        results = []
        for key_id in key_ids:
            result: dict[str, Any] = {"keyId": key_id.to_json(), "success": True}
            try:
                self.crypto.remove_key(user, key_id, force=force)
            except VSphereError as fault:
                result |= {"success": False, "reason": fault.message, "fault": type(fault).__name__}
            else:
                for host in self._inventory.hosts():
                    if host.key_id is not None:
                        await self.hosts.take(host, key_id)
            results.append(result)
        return results

    async def migrate_machine(
        self, user: str, name: str, target_name: str, may: MayRegister = anybody
    ) -> dict[str, Any]:
        """MigrateVM: move a machine, with its files and its memory, to another host (§2.6).

        An encrypted machine moves encrypted; its keys are brought to the target first. Where the
        migration fails, the machine is on the source as before.
        """
        machine = self._inventory.machine(name)
        source, target = self._inventory.host(machine.host), self._inventory.host(target_name)
        if source.name == target.name:
            raise InvalidArgument(f"the machine {name} is on host {target_name} already")
        entity = Entity("machine", name, machine.uuid)
        with self.crypto.audited(user, "Migrate", machine.key_id, entity):
            info = await self._info(source, name)
            if info["keyIds"]:
                await self.hosts.configure_crypto_key(user, target.name, may=may)
                for key_id in _ids(info["keyIds"]):
                    await self.hosts.push(user, target, key_id)
            encrypted = await self._is_encrypted_migration(info, source, target)
            await self.migrations.move(name, source, target, encrypted=encrypted)
        if encrypted:
            hot = info["powerState"] == "poweredOn"
            self.crypto.event_log.add(
                "vm.VmHotMigratingWithEncryptionEvent"
                if hot
                else "vm.VmMigratingWithEncryptionEvent",
                f"{name} moved encrypted from {source.name} to {target.name}",
                user=user,
                operation="Migrate",
                key_id=machine.key_id,
                entity=entity,
            )
        return await self._info(target, name)

    async def _info(self, host: HostRecord, name: str) -> dict[str, Any]:
        for info in await self.machines_on(host.name):
            if info["name"] == name:
                return info
        raise NotFound(f"host {host.name} has no machine {name}")

    async def _is_encrypted_migration(
        self, info: dict[str, Any], source: HostRecord, target: HostRecord
    ) -> bool:
        mode = EncryptionMode(info["migrateEncryption"])
        if info["keyIds"]:
            mode = EncryptionMode.REQUIRED  # and cannot be turned off
        can = [
            (await self.hosts.call(one, "HostInfo"))["encryptedVMotion"] for one in (source, target)
        ]
        return decide(mode, *can)

    async def encrypt_vsan(
        self,
        user: str,
        cluster: str,
        provider_id: str | None = None,
        *,
        rekey: bool = False,
        deep: bool = False,
    ) -> CryptoKeyId:
        """Encrypt the disk groups of a cluster's hosts, which fetch the key themselves (vSAN).

        The provider's client certificate is pushed to the hosts with it. Repeated, it configures
        hosts that came later; with ``rekey`` all get a new key.
        """
        entity = Entity("cluster", cluster)
        self._inventory.cluster(cluster)
        hosts = [one for one in self._inventory.hosts() if one.parent == f"cluster/{cluster}"]
        kept = self.store.providers.setting(f"vsan/{cluster}")
        with self.crypto.audited(user, "EncryptVsan", None, entity):
            if kept is None or rekey:
                key_id = await self._vsan_key(user, cluster, provider_id)
            else:
                provider_of, _, key = kept.partition("/")
                key_id = CryptoKeyId(provider_of, key)
            config = self._vsan_config(cluster, key_id)
            for host in hosts:
                params = {"config": config.to_json(), "deep": deep}
                await self.hosts.call(host, "ConfigureVsan", params)
        self.crypto.note(user, "EncryptVsan", key_id, entity)
        return key_id

    async def _vsan_key(self, user: str, cluster: str, provider_id: str | None) -> CryptoKeyId:
        chosen = self.crypto.providers.for_new_key(f"cluster/{cluster}", provider_id)
        provider = self.crypto.providers.standard(chosen.provider_id)
        key_id = await self.crypto.create_key(user, provider)
        await provider.tag_product(key_id)
        await provider.tag_owner(key_id, Owner(self.instance_id, VSAN_CLUSTER, cluster))
        (await provider.fetch(key_id)).key_data.erase()  # which activates it
        self.store.providers.set_setting(f"vsan/{cluster}", str(key_id))
        return key_id

    def _vsan_config(self, cluster: str, key_id: CryptoKeyId) -> VsanConfig:
        return VsanConfig(cluster, key_id, self.access(key_id.provider_id))

    def access(self, provider_id: str) -> KmipAccess:
        """What a vSAN or Trust Authority host needs to reach the key servers of a provider."""
        pushed = self.crypto.providers.trust.to_push(provider_id)
        return KmipAccess(tuple(self.store.providers.servers(provider_id)), *pushed)


def _next(machine: str) -> str:
    return f"nextKey/{machine}"


def _ids(found: Sequence[dict[str, str]]) -> list[CryptoKeyId]:
    return [CryptoKeyId(key["providerId"], key["keyId"]) for key in found]


def _with(params: dict[str, Any], parts: Sequence[str] | None) -> dict[str, Any]:
    return params if parts is None else {**params, "parts": list(parts)}


def _no_room(fault: VSphereError) -> str:
    return "vm.crypto.NoDiskSpace" if isinstance(fault, NoSpace) else "crypto.Operation"


def _rekey_failure(fault: VSphereError) -> str:
    return "vm.crypto.NoDiskSpace" if isinstance(fault, NoSpace) else "vm.crypto.RekeyFail"
