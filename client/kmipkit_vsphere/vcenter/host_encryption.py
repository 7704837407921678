"""vCenter's side of the encryption mode of hosts, and of the keys that it gives them.

vCenter fetches a key, hands it to a host and erases it; it is in memory only in between. Whatever
looks at the state of a host and then changes it holds the host's lock. Otherwise the background task
and a user's call could both see an incapable host, and both prepare it.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Final, TypeVar

from kmipkit_vsphere.calls.host import (
    AddKey,
    ChangeKey,
    ChangeKeyResult,
    CryptoManagerHostDisable,
    CryptoManagerHostEnable,
    CryptoManagerHostPrepare,
    DumpCore,
    DumpInfo,
    GetCryptoKeyStatus,
    HostDescription,
    HostInfo,
    RemoveKey,
)
from kmipkit_vsphere.calls.machines import ListMachines, MachineInfo
from kmipkit_vsphere.model.crypto_spec import CryptoState
from kmipkit_vsphere.model.errors import (
    AlreadyExists,
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    KeyProviderError,
    NoPermission,
    RPCError,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.records import CryptoMode, HostRecord
from kmipkit_vsphere.providers.base import KeyProvider
from kmipkit_vsphere.providers.owner import ESXI_SERVER, Owner
from kmipkit_vsphere.rpc.call import Channel, Request
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip, key_failure
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.store import Store

A = TypeVar("A")

_AGENTS: Final = ("hostd", "vpxa")
"""The programs of a host whose core dumps have types of their own."""

log = logging.getLogger("kmipkit.vsphere.vcenter")

_ALGORITHM: Final = "AES-256"
_KEY_SIZE: Final = 32

POLICY: Final = "hostKeyProvider/"
"""Settings for the provider of the host keys of a cluster, by its name."""

HostDialer = Callable[[HostRecord], AbstractAsyncContextManager[Channel]]
"""Opens a channel to a host; raises RPCError if it does not answer."""


class HostEncryption:
    """Calls to the hosts of one vCenter: their encryption mode, and their keys."""

    def __init__(
        self, store: Store, crypto: CryptoManagerKmip, dial: HostDialer, locks: Locks
    ) -> None:
        self._inventory = store.inventory
        self._policies = store.providers
        self._crypto = crypto
        self._dial = dial
        self._locks = locks
        self._boots: dict[str, str] = {}

    async def call(self, host: HostRecord, request: Request[A]) -> A:
        """Make a call to a host; :class:`HostUnreachable` if it does not answer."""
        try:
            async with self._dial(host) as channel:
                return await channel.call(request)
        except RPCError as failure:
            raise HostUnreachable(f"host {host.name}: {failure.message}") from None

    async def machines_on(self, host_name: str) -> list[MachineInfo]:
        """The machines whose files are on a host's datastore, registered or not."""
        return await self.call(self._inventory.host(host_name), ListMachines())

    # Which hosts, and who may ---------------------------------------------------------------------

    def hosts_to_enable(self, caller: Caller, host: HostRecord) -> list[HostRecord]:
        """The hosts on which encryption mode is enabled before a machine of this host is encrypted.

        This host itself, if it is not safe. Where some hosts of its cluster are safe, or the
        cluster has ``forceEnable``, the rest of the cluster as well, as far as the caller has the
        right to: the key of the machine goes to all of them (§6).
        """
        cluster = self._inventory.cluster_of(host)
        beside = self._inventory.hosts_beside(host)
        everywhere = (
            cluster is not None and cluster.crypto_mode is CryptoMode.FORCE_ENABLE
        ) or any(other.key_id is not None for other in beside if other.name != host.name)
        others = [other for other in beside if other.name != host.name] if everywhere else []
        return [
            candidate
            for candidate in (host, *others)
            if candidate.key_id is None
            and (candidate.name == host.name or _may_enable(caller, candidate))
        ]

    async def check_may_enable(self, caller: Caller, host: HostRecord) -> None:
        """NoPermission if encryption mode must be enabled on a host, and the caller may not (R40).

        To be called before anything is made. A host that restarted has left the mode, too. On a host
        where the mode was disabled, only a call that says so enables it again (§6): InvalidState.
        """
        info = await self.call(host, HostInfo())
        if host.key_id is not None and info.crypto_state is CryptoState.SAFE:
            return
        if info.crypto_state is CryptoState.PENDING_INCAPABLE:
            raise InvalidState(
                f"encryption mode is disabled on host {host.name}; enable it (enable-encryption)",
                cryptoState=info.crypto_state.value,
                host=host.name,
            )
        caller.require(Privilege.REGISTER_HOST, f"host/{host.name}")

    # Encryption mode -----------------------------------------------------------------------------

    async def configure_crypto_key(
        self, caller: Caller, name: str, key_id: CryptoKeyId | None = None
    ) -> CryptoKeyId:
        """ConfigureCryptoKey: enable a host's encryption mode, with a new host key if it has none.

        Without ``key_id`` it is the host's own key, else its cluster's, else a new one of the
        default provider (§6). The order of jobs is that of vsphere.md §3.4, steps 3 to 6. The
        caller must be allowed to register the host if its mode has to be changed (R40).
        """
        async with self._locks.host(name):
            return await self._configure(caller, name, key_id)

    async def _configure(
        self, caller: Caller, name: str, key_id: CryptoKeyId | None = None
    ) -> CryptoKeyId:
        host = self._inventory.host(name)
        if host.key_id is not None:
            info = await self.call(host, HostInfo())
            if info.crypto_state is not CryptoState.SAFE:
                caller.require(Privilege.REGISTER_HOST, f"host/{name}")
                await self._make_safe(caller, host, host.key_id)
            return host.key_id
        caller.require(Privilege.REGISTER_HOST, f"host/{name}")
        cluster = self._inventory.cluster_of(host)
        shared = key_id or (cluster.key_id if cluster else None)
        provider = self._host_key_provider(host)
        key_id = shared or await self._crypto.create_key(caller.user, provider)
        if key_id.key_id:
            self._inventory.put_host(replace(host, key_id=key_id))
        info = await self._make_safe(caller, host, key_id)
        self._boots[name] = info.boot_id
        await self._tag_host_key(provider, host)
        return self._inventory.host(name).key_id or key_id

    async def prepare(self, caller: Caller, name: str) -> None:
        """CryptoManagerHostPrepare: from incapable to prepared."""
        async with self._locks.host(name):
            host = self._inventory.host(name)
            entity = Entity("host", host.name, host.uuid)
            with self._crypto.audited(caller.user, "PrepareCrypto", None, entity):
                await self.call(host, CryptoManagerHostPrepare())
            self._crypto.note(caller.user, "PrepareCrypto", None, entity)

    async def enable(self, caller: Caller, name: str, key: CryptoKeyPlain) -> None:
        """CryptoManagerHostEnable: set a host key that the caller has, on a host that is prepared."""
        try:
            async with self._locks.host(name):
                host = self._inventory.host(name)
                entity = Entity("host", host.name, host.uuid)
                with self._crypto.audited(caller.user, "EnableCrypto", key.key_id, entity):
                    await self.call(host, CryptoManagerHostEnable(initial_key=key))
                self._inventory.put_host(replace(host, key_id=key.key_id))
                self._boots[name] = (await self.call(host, HostInfo())).boot_id
                self._note_enabled(caller, host, key.key_id)
        finally:
            key.key_data.erase()

    async def replace_key(self, caller: Caller, name: str, key: CryptoKeyPlain) -> ChangeKeyResult:
        """ChangeKey_Task with a host key that the caller has."""
        try:
            async with self._locks.host(name):
                host = self._inventory.host(name)
                entity, failure = Entity("host", host.name, host.uuid), _host_key_failure
                with self._crypto.audited(
                    caller.user, "ChangeKey", key.key_id, entity, failure=failure
                ):
                    result = await self.call(host, ChangeKey(new_key=key))
                self._note_replaced(caller, host, result)
                return result
        finally:
            key.key_data.erase()

    def _note_replaced(self, caller: Caller, host: HostRecord, result: ChangeKeyResult) -> None:
        self._inventory.put_host(replace(host, key_id=result.key_id))
        self._crypto.event_log.add(
            "crypto.HostKeyUpdatedEvent",
            f"host {host.name} has a new host key",
            user=caller.user,
            operation="ChangeKey",
            key_id=result.key_id,
            entity=Entity("host", host.name, host.uuid),
        )

    def _note_enabled(self, caller: Caller, host: HostRecord, key_id: CryptoKeyId) -> None:
        self._crypto.event_log.add(
            "host.Crypto.Enabled",
            f"encryption mode is enabled on host {host.name}",
            user=caller.user,
            operation="EnableCrypto",
            key_id=key_id,
            entity=Entity("host", host.name, host.uuid),
        )

    async def _make_safe(
        self, caller: Caller, host: HostRecord, key_id: CryptoKeyId
    ) -> HostDescription:
        """Enable encryption mode unless it is on; returns the description from before."""
        info = await self.call(host, HostInfo())
        if info.crypto_state is CryptoState.SAFE and key_id.key_id:
            return info
        entity = Entity("host", host.name, host.uuid)
        with self._crypto.audited(
            caller.user,
            "EnableCrypto",
            key_id,
            entity,
            failure=_host_key_failure,
            once=caller.in_background,
        ):
            try:
                key_id = await self._enable(host, info, key_id)
            except (InvalidState, AlreadyExists):
                # The host may have returned to encryption mode by itself since it was asked.
                now = await self.call(host, HostInfo())
                if now.crypto_state is not CryptoState.SAFE or now.crypto_key_id != key_id:
                    raise
                return now
        self._inventory.put_host(replace(self._inventory.host(host.name), key_id=key_id))
        self._note_enabled(caller, host, key_id)
        return info

    async def _enable(
        self, host: HostRecord, info: HostDescription, key_id: CryptoKeyId
    ) -> CryptoKeyId:
        async with self._fetched(key_id) as key:
            if info.crypto_state is CryptoState.INCAPABLE and key is not None:
                await self.call(host, CryptoManagerHostPrepare())
            enable = (
                CryptoManagerHostEnable(key_id=key_id)
                if key is None
                else CryptoManagerHostEnable(initial_key=key)
            )
            return await self.call(host, enable)

    async def _renew_host_key(
        self, caller: Caller, host: HostRecord, cause: VSphereError
    ) -> HostDescription:
        """Give a host another host key, because the key server will not give the old one again.

        Without a host key it could not unlock any of its machines (§5.3, ``HostKey.NewKey``).
        """
        provider = self._host_key_provider(host)
        key_id = await self._crypto.create_key(caller.user, provider)
        self._crypto.event_log.add(
            key_failure("host.Crypto.HostKey.NewKey")(cause),
            f"host {host.name} gets a new host key: {cause.message}",
            user=caller.user,
            operation="EnableCrypto",
            key_id=key_id,
            entity=Entity("host", host.name, host.uuid),
            reason=cause.message,
        )
        if key_id.key_id:
            self._inventory.put_host(replace(host, key_id=key_id))
        info = await self._make_safe(caller, host, key_id)
        await self._tag_host_key(provider, host)
        return info

    async def _tag_host_key(self, provider: KeyProvider, host: HostRecord) -> None:
        key_id = self._inventory.host(host.name).key_id
        if key_id is not None:
            await provider.tag_product(key_id)
            await provider.tag_owner(key_id, Owner(host.uuid, ESXI_SERVER, host.name))

    async def change_key(
        self,
        caller: Caller,
        name: str,
        provider_id: str | None = None,
        shared: CryptoKeyId | None = None,
    ) -> ChangeKeyResult:
        """ChangeKey_Task: another host key; core dumps are relocked.

        It is the ``shared`` one of a cluster, or else a new one of a provider, by default the nearest
        default one.
        """
        async with self._locks.host(name):
            host = self._inventory.host(name)
            if host.key_id is None:
                raise InvalidState(f"host {name} is not in encryption mode")
            provider = (
                self._host_key_provider(host)
                if provider_id is None and shared is None
                else self._crypto.providers.for_new_key(
                    host.parent, provider_id if shared is None else shared.provider_id
                )
            )
            key_id = shared or await self._crypto.create_key(caller.user, provider)
            await provider.tag_product(key_id)
            entity = Entity("host", host.name, host.uuid)
            with self._crypto.audited(
                caller.user, "ChangeKey", key_id, entity, failure=_host_key_failure
            ):
                async with self._fetched(key_id) as key:
                    change = ChangeKey(key_id=key_id) if key is None else ChangeKey(new_key=key)
                    result = await self.call(host, change)
            self._note_replaced(caller, host, result)
            await provider.tag_owner(result.key_id, Owner(host.uuid, ESXI_SERVER, host.name))
            return result

    def _host_key_provider(self, host: HostRecord) -> KeyProvider:
        """The provider for host keys: that of the cluster's policy, or else the default (§6)."""
        cluster = self._inventory.cluster_of(host)
        chosen = self._policies.setting(POLICY + cluster.name) if cluster is not None else None
        if chosen is not None:
            return self._crypto.provider(chosen)
        return self._crypto.default_provider(host.parent)

    async def disable(self, caller: Caller, name: str) -> None:
        """CryptoManagerHostDisable; the host is incapable after its next reboot."""
        async with self._locks.host(name):
            host = self._inventory.host(name)
            entity = Entity("host", host.name, host.uuid)
            with self._crypto.audited(caller.user, "DisableCrypto", host.key_id, entity):
                await self.call(host, CryptoManagerHostDisable())
            self._inventory.put_host(replace(host, key_id=None))
            self._crypto.note(caller.user, "DisableCrypto", host.key_id, entity)

    async def core_dump(self, caller: Caller, name: str, world: str) -> DumpInfo:
        """Write a core dump, and the event about it: world, time, key id, file (§2.7)."""
        host = self._inventory.host(name)
        info = await self.call(host, DumpCore(world))
        self._crypto.event_log.add(
            f"esx.problem.{world if world in _AGENTS else 'application'}.core.dumped"
            + (".encrypted" if info.key_id else ""),
            f"core dump of {world} on host {name}: {info.file}",
            user=caller.user,
            operation="CoreDump",
            key_id=info.key_id,
            entity=Entity("host", host.name, host.uuid),
            world=world,
            file=info.file,
        )
        return info

    # Keys for machines ---------------------------------------------------------------------------

    async def push_to_cluster(
        self, caller: Caller, host: HostRecord, key_id: CryptoKeyId, *, enable: bool = False
    ) -> None:
        """Give a machine's key to its host and to the other safe hosts of the cluster (§6).

        With ``enable``, encryption mode is enabled first on those hosts of the cluster that
        :meth:`hosts_to_enable` names; otherwise on none. A host that does not answer gets the key
        when it is synchronised.
        """
        await self.push(caller, host, key_id)
        chosen = self.hosts_to_enable(caller, host) if enable else []
        for other in self._inventory.hosts_beside(host):
            if other.name == host.name:
                continue
            try:
                if other in chosen:
                    await self.configure_crypto_key(caller, other.name)
                if self._inventory.host(other.name).key_id is not None:
                    await self.push(caller, other, key_id)
            except HostUnreachable as failure:
                log.warning("host %s: %s", other.name, failure.message)

    async def push(self, caller: Caller, host: HostRecord, key_id: CryptoKeyId) -> None:
        """Hand a key to a host that does not have it yet (requirement R38)."""
        async with self._locks.host(host.name):
            await self._push(caller, host, key_id)

    async def _push(self, caller: Caller, host: HostRecord, key_id: CryptoKeyId) -> None:
        if not key_id.key_id:
            return
        [status] = await self.call(host, GetCryptoKeyStatus([key_id]))
        if status.present:
            return
        entity = Entity("host", host.name, host.uuid)
        with self._crypto.audited(
            caller.user,
            "AddKey",
            key_id,
            entity,
            failure=_push_failure,
            once=caller.in_background,
        ):
            async with self._fetched(key_id) as key:
                if key is None:
                    return  # hosts get it themselves (R45)
                try:
                    await self.call(host, AddKey(key))
                except AlreadyExists:
                    return  # another vCenter was faster
        self._crypto.note(caller.user, "AddKey", key_id, entity)

    async def add_key(self, caller: Caller, key: CryptoKeyPlain) -> None:
        """AddKey: hand a key that the caller has to every host in encryption mode.

        vCenter stores the id only (R22); with it, machines can be unlocked whose key the key server
        does not give any more. Raises :class:`AlreadyExists` if all hosts have the key,
        :class:`InvalidState` if no host is in encryption mode, and :class:`InvalidArgument` for a key
        that is not an AES-256 key of a standard provider, or differs from that on the key server.
        """
        try:
            with self._crypto.audited(caller.user, "AddKey", key.key_id):
                await self._check_key(key)
                await self._hand_out(key)
                self._crypto.record_key(key.key_id)
            self._crypto.note(caller.user, "AddKey", key.key_id)
        finally:
            key.key_data.erase()

    async def _check_key(self, key: CryptoKeyPlain) -> None:
        if not key.key_id.key_id:
            raise InvalidArgument("a key needs an id", invalid_property="key.keyId.keyId")
        if key.algorithm != _ALGORITHM:
            raise InvalidArgument(
                f"the algorithm of key {key.key_id} is {key.algorithm}, not {_ALGORITHM}",
                invalid_property="key.algorithm",
            )
        if len(key.key_data) != _KEY_SIZE:
            raise InvalidArgument(
                f"key {key.key_id} has {len(key.key_data)} bytes, not {_KEY_SIZE}",
                invalid_property="key.keyData",
            )
        provider = self._crypto.providers.standard(key.key_id.provider_id)
        try:
            known = await provider.fetch(key.key_id)
        except KeyProviderError:
            return  # the key server does not have it, or not any more
        differs = known.key_data != key.key_data
        known.key_data.erase()
        if differs:
            raise InvalidArgument(
                f"the key server has another key {key.key_id}", invalid_property="key.keyData"
            )

    async def _hand_out(self, key: CryptoKeyPlain) -> None:
        hosts = [host for host in self._inventory.hosts() if host.key_id is not None]
        if not hosts:
            raise InvalidState("no host is in encryption mode")
        failures: list[VSphereError] = []
        adding = AddKey(key)
        for host in hosts:
            try:
                async with self._locks.host(host.name):
                    await self.call(host, adding)
            except (AlreadyExists, InvalidState, HostUnreachable) as failure:
                failures.append(failure)
        if len(failures) == len(hosts):
            raise failures[0]

    async def note_disabled(
        self, caller: Caller, host: HostRecord, machine: str, refusal: VSphereError
    ) -> None:
        """Write an event if a machine is refused because its host is not in encryption mode."""
        info = await self.call(host, HostInfo())
        record = self._inventory.machine(machine)
        if info.crypto_state is CryptoState.SAFE or record.key_id is None:
            return
        self._crypto.event_log.add(
            "host.Crypto.HostCryptoDisabled",
            f"{machine} needs encryption mode, which is disabled on host {host.name}:"
            f" {refusal.message}",
            user=caller.user,
            operation="PowerOn",
            key_id=record.key_id,
            entity=Entity("host", host.name, host.uuid),
            failed=True,
        )

    async def remove_key(self, host: HostRecord, key_id: CryptoKeyId) -> None:
        """Remove a key from a host, even if it is in use.

        A host that does not answer keeps it until its next reboot.
        """
        try:
            async with self._locks.host(host.name):
                await self.call(host, RemoveKey(key_id, force=True))
        except HostUnreachable as failure:
            log.warning("host %s keeps key %s: %s", host.name, key_id, failure.message)

    @asynccontextmanager
    async def _fetched(self, key_id: CryptoKeyId) -> AsyncIterator[CryptoKeyPlain | None]:
        """A key, erased afterwards; None for one that hosts get themselves."""
        key = await self._crypto.provider(key_id.provider_id).fetch(key_id)
        try:
            yield key
        finally:
            if key is not None:
                key.key_data.erase()


def _may_enable(caller: Caller, host: HostRecord) -> bool:
    try:
        caller.require(Privilege.REGISTER_HOST, f"host/{host.name}")
    except NoPermission:
        return False
    return True


def _push_failure(fault: VSphereError) -> str:
    if isinstance(fault, InvalidState):
        return "host.Crypto.HostCryptoDisabled"
    return key_failure("kms.crypto.SendKeyError")(fault)


def _host_key_failure(fault: VSphereError) -> str:
    if isinstance(fault, HostUnreachable):
        return "host.Crypto.SendKeyError.HostError"
    return key_failure("host.Crypto.ReqEnable")(fault)
