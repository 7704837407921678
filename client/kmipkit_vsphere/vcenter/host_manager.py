"""vCenter's side of the hosts: encryption mode, and keys for hosts that need them.

A key passes through memory here between its fetching and the call that hands it to a host, and is
erased after that. A host that restarted has forgotten its keys; vCenter notices by the id of its
boot, fetches them again by their ids, hands them over and unlocks the machines (vsphere.md §2.8).
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol

import trio

from kmipkit_vsphere.model.concurrency import together
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    EncryptionKeyRequired,
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    ResourceInUse,
    RPCError,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.records import ROOT, HostRecord
from kmipkit_vsphere.providers.base import KeyProvider
from kmipkit_vsphere.providers.owner import ESXI_SERVER, Owner
from kmipkit_vsphere.rpc.params import key_plain_to_json
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip, because
from kmipkit_vsphere.vcenter.events import Entity
from kmipkit_vsphere.vcenter.store import Store

AT_ONCE: Final = 16
"""Hosts that are looked after at the same time."""

log = logging.getLogger("kmipkit.vsphere.vcenter")


class HostChannel(Protocol):
    """Calls to one host; see :class:`kmipkit_vsphere.rpc.channel.Client`."""

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Call a method of the host and return its result, or raise its fault."""


HostDialer = Callable[[HostRecord], AbstractAsyncContextManager[HostChannel]]
"""Opens a channel to a host; raises RPCError where it does not answer."""

MayRegister = Callable[[HostRecord], None]
"""Raises NoPermission unless the user may switch this host into encryption mode (§6)."""


def anybody(_host: HostRecord) -> None:
    return None


class HostManager:
    """The hosts of one vCenter. ``user`` is who asks, for the events."""

    def __init__(self, store: Store, crypto: CryptoManagerKmip, dial: HostDialer) -> None:
        self._store = store
        self._inventory = store.inventory
        self._crypto = crypto
        self._dial = dial
        self._boots: dict[str, str] = {}

    # The inventory -------------------------------------------------------------------------------

    async def add(
        self, user: str, name: str, address: str, port: int, parent: str = ROOT
    ) -> dict[str, Any]:
        """AddHost: take a host into the inventory; returns what it says about itself.

        In a cluster with ``forceEnable``, or whose hosts are all safe, it is made safe too (§6).
        """
        known = {host.name: host for host in self._inventory.hosts()}.get(name)
        if known is not None:
            raise AlreadyExists(f"there is a host {name} already; reconnect it (reconnect-host)")
        record = HostRecord(name, "", address, port, None, parent)
        self._inventory.place(parent)
        info = await self.call(record, "HostInfo")
        record = replace(record, uuid=str(info["uuid"]))
        self._inventory.put_host(record)
        if self._shall_be_safe(record):
            await self.configure_crypto_key(user, name)
        return dict(info)

    def _shall_be_safe(self, host: HostRecord) -> bool:
        cluster = self._inventory.cluster_of(host)
        if cluster is None:
            return False
        others = [one for one in self._inventory.hosts_beside(host) if one.name != host.name]
        all_safe = bool(others) and all(one.key_id is not None for one in others)
        return cluster.crypto_mode == "forceEnable" or all_safe

    def remove(self, name: str) -> None:
        """RemoveHost: forget a host; ResourceInUse while machines are registered on it."""
        users = [one.name for one in self._inventory.machines() if one.host == name]
        if users:
            raise ResourceInUse(f"machines are registered on host {name}: {', '.join(users)}")
        self._inventory.remove_host(name)

    async def reconnect(
        self, user: str, name: str, address: str | None = None, port: int | None = None
    ) -> list[str]:
        """ReconnectHost: connect again, at another address perhaps, and give the host its keys.

        Returns the names of the machines that were unlocked. Raises :class:`InvalidArgument` where
        another host answers there.
        """
        host = self._inventory.host(name)
        moved = replace(host, address=address or host.address, port=port or host.port)
        info = await self.call(moved, "HostInfo")
        if info["uuid"] != host.uuid:
            raise InvalidArgument(f"the host at {moved.address}:{moved.port} is not {name}")
        self._inventory.put_host(moved)
        return await self.synchronise(user, name)

    # Keys for hosts that restarted ---------------------------------------------------------------

    async def look_after_all(self) -> None:
        """Give its keys to every host that restarted since the last look.

        A host that does not answer, or whose keys cannot be had, is looked after the next time.
        """
        places = trio.CapacityLimiter(AT_ONCE)

        async def one(host: HostRecord) -> None:
            async with places:
                try:
                    await self._look_after(host)
                except VSphereError as failure:
                    log.warning("host %s: %s", host.name, failure.message)

        await together(*(partial(one, host) for host in self._inventory.hosts()))

    async def _look_after(self, host: HostRecord) -> None:
        if host.key_id is None:
            return
        info = await self.call(host, "HostInfo")
        if info["bootId"] != self._boots.get(host.name):
            await self.synchronise("vCenter", host.name)

    async def synchronise(self, user: str, name: str) -> list[str]:
        """Host key first, then the keys of the host's machines, then unlock them.

        Does nothing for a host that never was in encryption mode. Returns the names of the machines
        that were unlocked.
        """
        host = self._inventory.host(name)
        if host.key_id is None:
            return []
        info = await self._make_safe(user, host, host.key_id)
        machines = await self.call(host, "ListMachines")
        for key_id in self._keys_for(host, machines):
            await self.push(user, host, key_id)
        locked = [one["name"] for one in machines if one["cryptoState"] == "locked"]
        for machine in locked:
            await self.unlock(user, host, machine)
        self._boots[name] = info["bootId"]
        return locked

    def _keys_for(self, host: HostRecord, machines: Iterable[dict[str, Any]]) -> list[CryptoKeyId]:
        """Keys of the machines on a host: those in the inventory and those in their files."""
        known = [one.key_id for one in self._inventory.machines() if one.host == host.name]
        named = [
            CryptoKeyId(key["providerId"], key["keyId"])
            for machine in machines
            for key in (*machine["keyIds"], *machine["pendingKeyIds"])
        ]
        return list(dict.fromkeys([key for key in known if key and key.key_id] + named))

    async def unlock(self, user: str, host: HostRecord, machine: str) -> dict[str, Any]:
        """CryptoUnlock: the host opens the machine with the keys it has."""
        entity = Entity("machine", machine)
        with self._crypto.audited(user, "CryptoUnlock", None, entity, failure=_why_locked):
            info = await self.call(host, "CryptoUnlock", {"name": machine})
        for key in info["keyIds"]:
            self._crypto.event_log.add(
                "vm.Crypto.VMUnlocked",
                f"the machine {machine} is unlocked",
                user=user,
                operation="CryptoUnlock",
                key_id=CryptoKeyId(key["providerId"], key["keyId"]),
                entity=entity,
            )
        return dict(info)

    # Encryption mode -----------------------------------------------------------------------------

    async def configure_crypto_key(
        self,
        user: str,
        name: str,
        key_id: CryptoKeyId | None = None,
        may: MayRegister = anybody,
    ) -> CryptoKeyId:
        """ConfigureCryptoKey: a host's encryption mode, with a new host key if it has none.

        Without ``key_id`` it is the host's own key, else its cluster's, else a new one of the
        default provider (§6). The order of jobs is that of vsphere.md §3.4, steps 3 to 6.
        """
        host = self._inventory.host(name)
        if host.key_id is not None:
            info = await self.call(host, "HostInfo")
            if info["cryptoState"] != "safe":
                may(host)
                await self._make_safe(user, host, host.key_id)
            return host.key_id
        may(host)
        cluster = self._inventory.cluster_of(host)
        shared = key_id or (cluster.key_id if cluster else None)
        provider = self._crypto.default_provider(host.parent)
        key_id = shared or await self._crypto.create_key(user, provider)
        if key_id.key_id:
            self._inventory.put_host(replace(host, key_id=key_id))
        info = await self._make_safe(user, host, key_id)
        self._boots[name] = info["bootId"]
        await provider.tag_product(key_id)
        await provider.tag_owner(key_id, Owner(host.uuid, ESXI_SERVER, host.name))
        return self._inventory.host(name).key_id or key_id

    async def _make_safe(self, user: str, host: HostRecord, key_id: CryptoKeyId) -> dict[str, Any]:
        """Put a host into encryption mode if it is not; what it said about itself before."""
        info = await self.call(host, "HostInfo")
        if info["cryptoState"] == "safe" and key_id.key_id:
            return dict(info)
        entity = Entity("host", host.name, host.uuid)
        failure = _host_key_failure
        with self._crypto.audited(user, "EnableCrypto", key_id, entity, failure=failure):
            async with self._key_for_host(key_id, "initialKey") as params:
                if info["cryptoState"] == "incapable" and "initialKey" in params:
                    await self.call(host, "CryptoManagerHostPrepare")
                answer = await self.call(host, "CryptoManagerHostEnable", params)
        key_id = CryptoKeyId(answer["providerId"], answer["keyId"])
        self._inventory.put_host(replace(self._inventory.host(host.name), key_id=key_id))
        self._crypto.event_log.add(
            "host.Crypto.Enabled",
            f"encryption mode is on for host {host.name}",
            user=user,
            operation="EnableCrypto",
            key_id=key_id,
            entity=entity,
        )
        return dict(info)

    async def change_key(self, user: str, name: str) -> dict[str, Any]:
        """ChangeKey_Task: a new host key of the default provider; core dumps are relocked."""
        host = self._inventory.host(name)
        if host.key_id is None:
            raise InvalidState(f"host {name} is not in encryption mode")
        provider = self._crypto.default_provider(host.parent)
        entity = Entity("host", host.name, host.uuid)
        key_id = await self._crypto.create_key(user, provider)
        await provider.tag_product(key_id)
        with self._crypto.audited(user, "ChangeKey", key_id, entity, failure=_host_key_failure):
            async with self._key_for_host(key_id, "newKey") as params:
                result = await self.call(host, "ChangeKey", params)
        key_id = CryptoKeyId(result["keyId"]["providerId"], result["keyId"]["keyId"])
        self._inventory.put_host(replace(host, key_id=key_id))
        await provider.tag_owner(key_id, Owner(host.uuid, ESXI_SERVER, host.name))
        self._crypto.event_log.add(
            "crypto.HostKeyUpdatedEvent",
            f"host {name} has a new host key",
            user=user,
            operation="ChangeKey",
            key_id=key_id,
            entity=entity,
        )
        return dict(result)

    async def disable(self, user: str, name: str) -> None:
        """CryptoManagerHostDisable; the host is incapable after its next reboot."""
        host = self._inventory.host(name)
        entity = Entity("host", host.name, host.uuid)
        with self._crypto.audited(user, "DisableCrypto", host.key_id, entity):
            await self.call(host, "CryptoManagerHostDisable")
        self._inventory.put_host(replace(host, key_id=None))
        self._crypto.note(user, "DisableCrypto", host.key_id, entity)

    async def core_dump(self, user: str, name: str, world: str) -> dict[str, Any]:
        """Have a core dump written, and the event about it: world, time, key id, file (§2.7)."""
        host = self._inventory.host(name)
        info = await self.call(host, "DumpCore", {"world": world})
        key = info["keyId"]
        self._crypto.event_log.add(
            f"esx.problem.{'hostd' if world == 'hostd' else 'application'}.core.dumped"
            + (".encrypted" if key else ""),
            f"core dump of {world} on host {name}: {info['file']}",
            user=user,
            operation="CoreDump",
            key_id=CryptoKeyId(key["providerId"], key["keyId"]) if key else None,
            entity=Entity("host", host.name, host.uuid),
            world=world,
            file=info["file"],
        )
        return dict(info)

    # Handing keys over ---------------------------------------------------------------------------

    async def push_to_cluster(
        self, user: str, host: HostRecord, key_id: CryptoKeyId, may: MayRegister = anybody
    ) -> None:
        """Give a machine's key to its host and to the other safe hosts of the cluster (§6).

        Hosts that are not safe are switched if some others are already; one that does not answer
        gets the key when it is looked after.
        """
        await self.push(user, host, key_id)
        for other in self._inventory.hosts_beside(host):
            if other.name == host.name:
                continue
            try:
                if other.key_id is None and self._shall_be_safe(other):
                    await self.configure_crypto_key(user, other.name, may=may)
                if self._inventory.host(other.name).key_id is not None:
                    await self.push(user, other, key_id)
            except HostUnreachable as failure:
                log.warning("host %s: %s", other.name, failure.message)

    async def push(self, user: str, host: HostRecord, key_id: CryptoKeyId) -> None:
        """Hand a key to a host that does not have it yet (requirement R38)."""
        if not key_id.key_id:
            return
        [status] = await self.call(host, "GetCryptoKeyStatus", {"keys": [key_id.to_json()]})
        if status["present"]:
            return
        entity = Entity("host", host.name, host.uuid)
        failure = because("kms.crypto.SendKeyError")
        with self._crypto.audited(user, "AddKey", key_id, entity, failure=failure):
            key = await self._fetch(key_id)
            if key is None:
                return  # hosts get it themselves (R45)
            try:
                await self.call(host, "AddKey", {"key": key_plain_to_json(key)})
            except AlreadyExists:
                return  # somebody else was faster
            finally:
                key.key_data.erase()
        self._crypto.note(user, "AddKey", key_id, entity)

    async def take(self, host: HostRecord, key_id: CryptoKeyId) -> None:
        """Remove a key from a host, whatever uses it; a host that does not answer has it until
        its next reboot."""
        try:
            await self.call(host, "RemoveKey", {"keyId": key_id.to_json(), "force": True})
        except HostUnreachable as failure:
            log.warning("host %s keeps key %s: %s", host.name, key_id, failure.message)

    @asynccontextmanager
    async def _key_for_host(self, key_id: CryptoKeyId, name: str) -> AsyncIterator[dict[str, Any]]:
        """Parameters that hand a key over, erased afterwards, or name one that the host gets."""
        key = await self._fetch(key_id)
        if key is None:
            yield {"keyId": key_id.to_json()}
            return
        try:
            yield {name: key_plain_to_json(key)}
        finally:
            key.key_data.erase()

    async def _fetch(self, key_id: CryptoKeyId) -> CryptoKeyPlain | None:
        provider: KeyProvider = self._crypto.provider(key_id.provider_id)
        return await provider.fetch(key_id)

    async def call(
        self, host: HostRecord, method: str, params: dict[str, Any] | None = None
    ) -> Any:
        """Call a method of a host; :class:`HostUnreachable` where it does not answer."""
        try:
            async with self._dial(host) as channel:
                return await channel.call(method, params)
        except RPCError as failure:
            raise HostUnreachable(f"host {host.name}: {failure.message}") from None


def _why_locked(fault: VSphereError) -> str:
    missing = isinstance(fault, EncryptionKeyRequired | HostUnreachable)
    return "vm.Crypto.VMLocked." + ("KeyMissingOnHost" if missing else "KMSClusterError")


def _host_key_failure(fault: VSphereError) -> str:
    if isinstance(fault, HostUnreachable):
        return "host.Crypto.SendKeyError.HostError"
    return because("host.Crypto.ReqEnable")(fault)
