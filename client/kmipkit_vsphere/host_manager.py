"""vCenter's side of the hosts: encryption mode, and keys for hosts that need them.

A key passes through memory here between its fetching and the call that hands it to a host, and is
erased after that. A host that restarted has forgotten its keys; vCenter notices by the id of its
boot, fetches them again by their ids, hands them over and unlocks the machines (vsphere.md §2.8).
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol

from kmipkit_vsphere.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.errors import HostUnreachable, InvalidArgument, RPCError, VSphereError
from kmipkit_vsphere.events import Entity
from kmipkit_vsphere.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.params import key_plain_to_json
from kmipkit_vsphere.providers.standard import ESXI_SERVER, Owner
from kmipkit_vsphere.store import HostRecord, Store

log = logging.getLogger("kmipkit.vsphere.vcenter")


class HostChannel(Protocol):
    """Calls to one host; see :class:`kmipkit_vsphere.rpc.Client`."""

    async def call(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Call a method of the host and return its result, or raise its fault."""


HostDialer = Callable[[HostRecord], AbstractAsyncContextManager[HostChannel]]
"""Opens a channel to a host; raises RPCError where it does not answer."""


class HostManager:
    """The hosts of one vCenter. ``user`` is who asks, for the events."""

    def __init__(self, store: Store, crypto: CryptoManagerKmip, dial: HostDialer) -> None:
        self._store = store
        self._crypto = crypto
        self._dial = dial
        self._boots: dict[str, str] = {}

    async def add(self, name: str, address: str, port: int) -> dict[str, Any]:
        """AddHost: take a host into the inventory; returns what it says about itself."""
        known = {host.name: host for host in self._store.hosts()}.get(name)
        record = known or HostRecord(name, "", address, port)
        record = replace(record, address=address, port=port)
        info = await self.call(record, "HostInfo")
        self._store.put_host(replace(record, uuid=str(info["uuid"])))
        return dict(info)

    async def reconnect(
        self, user: str, name: str, address: str | None = None, port: int | None = None
    ) -> list[str]:
        """ReconnectHost: connect again, at another address perhaps, and give the host its keys.

        Returns the names of the machines that were unlocked. Raises :class:`InvalidArgument` where
        another host answers there.
        """
        host = self._store.host(name)
        moved = replace(host, address=address or host.address, port=port or host.port)
        info = await self.call(moved, "HostInfo")
        if info["uuid"] != host.uuid:
            raise InvalidArgument(f"the host at {moved.address}:{moved.port} is not {name}")
        self._store.put_host(moved)
        return await self.synchronise(user, name)

    async def look_after_all(self) -> None:
        """Give its keys to every host that restarted since the last look.

        A host that does not answer, or whose keys cannot be had, is looked after the next time.
        """
        for host in self._store.hosts():
            try:
                await self._look_after(host)
            except VSphereError as failure:
                log.warning("host %s: %s", host.name, failure.message)

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
        host = self._store.host(name)
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
        known = [one.key_id for one in self._store.machines() if one.host == host.name]
        named = [
            CryptoKeyId(key["providerId"], key["keyId"])
            for machine in machines
            for key in machine["keyIds"]
        ]
        return list(dict.fromkeys([key for key in known if key] + named))

    async def unlock(self, user: str, host: HostRecord, machine: str) -> None:
        """CryptoUnlock: the host opens the machine with the keys it has."""
        entity = Entity("machine", machine)
        with self._crypto.audited(
            user, "CryptoUnlock", None, entity, failure="vm.Crypto.VMLocked.KeyMissingOnHost"
        ):
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

    async def configure_crypto_key(self, user: str, name: str) -> CryptoKeyId:
        """ConfigureCryptoKey: a host's encryption mode, with a new host key if it has none.

        The order of jobs is that of vsphere.md §3.4, steps 3 to 6.
        """
        host = self._store.host(name)
        if host.key_id is not None:
            await self._make_safe(user, host, host.key_id)
            return host.key_id
        provider = self._crypto.default_provider()
        key_id = await self._crypto.create_key(user, provider)
        host = replace(host, key_id=key_id)
        self._store.put_host(host)
        info = await self._make_safe(user, host, key_id)
        self._boots[name] = info["bootId"]
        await provider.tag_product(key_id)
        await provider.tag_owner(key_id, Owner(host.uuid, ESXI_SERVER, host.name))
        return key_id

    async def _make_safe(self, user: str, host: HostRecord, key_id: CryptoKeyId) -> dict[str, Any]:
        """Put a host into encryption mode if it is not; what it said about itself before."""
        info = await self.call(host, "HostInfo")
        if info["cryptoState"] == "safe":
            return dict(info)
        entity = Entity("host", host.name, host.uuid)
        with self._crypto.audited(
            user, "EnableCrypto", key_id, entity, failure="host.Crypto.SendKeyError.HostError"
        ):
            async with self._fetched(key_id) as key:
                if info["cryptoState"] == "incapable":
                    await self.call(host, "CryptoManagerHostPrepare")
                params = {"initialKey": key_plain_to_json(key)}
                await self.call(host, "CryptoManagerHostEnable", params)
        self._crypto.event_log.add(
            "host.Crypto.Enabled",
            f"encryption mode is on for host {host.name}",
            user=user,
            operation="EnableCrypto",
            key_id=key_id,
            entity=entity,
        )
        return dict(info)

    async def push(self, user: str, host: HostRecord, key_id: CryptoKeyId) -> None:
        """Hand a key to a host that does not have it yet (requirement R38)."""
        [status] = await self.call(host, "GetCryptoKeyStatus", {"keys": [key_id.to_json()]})
        if status["present"]:
            return
        entity = Entity("host", host.name, host.uuid)
        with self._crypto.audited(
            user, "AddKey", key_id, entity, failure="kms.crypto.SendKeyError.KMSClusterError"
        ):
            async with self._fetched(key_id) as key:
                await self.call(host, "AddKey", {"key": key_plain_to_json(key)})
        self._crypto.note(user, "AddKey", key_id, entity)

    @asynccontextmanager
    async def _fetched(self, key_id: CryptoKeyId) -> AsyncIterator[CryptoKeyPlain]:
        """A key from its provider, erased afterwards."""
        key = await self._crypto.provider(key_id.provider_id).fetch(key_id)
        try:
            yield key
        finally:
            key.key_data.erase()

    async def call(
        self, host: HostRecord, method: str, params: dict[str, Any] | None = None
    ) -> Any:
        """Call a method of a host; :class:`HostUnreachable` where it does not answer."""
        try:
            async with self._dial(host) as channel:
                return await channel.call(method, params)
        except RPCError as failure:
            raise HostUnreachable(f"host {host.name}: {failure.message}") from None
