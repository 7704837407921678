"""vCenter's side of the hosts: encryption mode, and keys for hosts that need them.

vCenter fetches a key, hands it to a host and erases it; it is in memory only in between. A host that
restarted has forgotten its keys: vCenter notices by the id of its boot, fetches them again by their
ids, hands them over and unlocks the machines (vsphere.md §2.8).

Whatever looks at the state of a host and then changes it holds the host's lock. Otherwise the
background task and a user's call could both see an incapable host, and both prepare it.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

import trio

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
from kmipkit_vsphere.calls.machines import CryptoUnlock, ListMachines, MachineInfo, MachineState
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.crypto_spec import CryptoState
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
from kmipkit_vsphere.providers.owner import ESXI_SERVER, Owner
from kmipkit_vsphere.rpc.call import Channel, Request
from kmipkit_vsphere.vcenter.caller import SYSTEM, Caller
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip, key_failure
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.store import Store

MAX_CONCURRENT: Final = 16
"""Hosts that the background task handles at the same time."""

A = TypeVar("A")

log = logging.getLogger("kmipkit.vsphere.vcenter")

HostDialer = Callable[[HostRecord], AbstractAsyncContextManager[Channel]]
"""Opens a channel to a host; raises RPCError if it does not answer."""


class HostManager:
    """The hosts of one vCenter."""

    def __init__(
        self, store: Store, crypto: CryptoManagerKmip, dial: HostDialer, locks: Locks
    ) -> None:
        self._inventory = store.inventory
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

    # The inventory -------------------------------------------------------------------------------

    async def add(
        self, caller: Caller, name: str, address: str, port: int, parent: str = ROOT
    ) -> HostDescription:
        """AddHost: add a host to the inventory; returns the host's description of itself.

        In a cluster with ``forceEnable``, or whose hosts are all safe, encryption mode is enabled
        on it (§6).
        """
        async with self._locks.host(name):
            if any(host.name == name for host in self._inventory.hosts()):
                raise AlreadyExists(
                    f"there is a host {name} already; reconnect it (reconnect-host)"
                )
            record = HostRecord(name, "", address, port, None, parent)
            self._inventory.place(parent)
            info = await self.call(record, HostInfo())
            record = replace(record, uuid=info.uuid)
            self._inventory.put_host(record)
            if self._must_be_safe(record):
                await self._configure(caller.unchecked(), name)
            return info

    def _must_be_safe(self, host: HostRecord) -> bool:
        cluster = self._inventory.cluster_of(host)
        if cluster is None:
            return False
        others = [other for other in self._inventory.hosts_beside(host) if other.name != host.name]
        all_safe = bool(others) and all(other.key_id is not None for other in others)
        return cluster.crypto_mode == "forceEnable" or all_safe

    async def remove(self, name: str) -> None:
        """RemoveHost: remove a host; ResourceInUse while machines are registered on it."""
        async with self._locks.host(name):
            users = [machine.name for machine in self._inventory.machines() if machine.host == name]
            if users:
                raise ResourceInUse(f"machines are registered on host {name}: {', '.join(users)}")
            self._inventory.remove_host(name)

    async def reconnect(
        self, caller: Caller, name: str, address: str | None = None, port: int | None = None
    ) -> list[str]:
        """ReconnectHost: connect again, optionally at another address, and give the host its keys.

        Returns the names of the machines that were unlocked. Raises :class:`InvalidArgument` if
        another host answers.
        """
        async with self._locks.host(name):
            host = self._inventory.host(name)
            moved = replace(host, address=address or host.address, port=port or host.port)
            info = await self.call(moved, HostInfo())
            if info.uuid != host.uuid:
                raise InvalidArgument(f"the host at {moved.address}:{moved.port} is not {name}")
            self._inventory.put_host(moved)
            return await self._synchronise(caller, name)

    # Keys for hosts that restarted ---------------------------------------------------------------

    async def synchronise_restarted(self) -> None:
        """Give every host that restarted since the last time its keys.

        A host that does not answer, or whose keys are not available, is tried again the next time.
        """
        limiter = trio.CapacityLimiter(MAX_CONCURRENT)

        async def attempt(host: HostRecord) -> None:
            async with limiter:
                try:
                    await self._synchronise_if_restarted(host.name)
                except VSphereError as failure:
                    log.warning("host %s: %s", host.name, failure.message)

        await run_all(*(partial(attempt, host) for host in self._inventory.hosts()))

    async def _synchronise_if_restarted(self, name: str) -> None:
        async with self._locks.host(name):
            host = self._inventory.host(name)
            if host.key_id is None:
                return
            info = await self.call(host, HostInfo())
            if info.boot_id != self._boots.get(name):
                await self._synchronise(SYSTEM, name)

    async def _synchronise(self, caller: Caller, name: str) -> list[str]:
        """Hand over the host key, then the keys of the host's machines, then unlock them.

        Does nothing for a host that never was in encryption mode. Returns the names of the machines
        that were unlocked.
        """
        host = self._inventory.host(name)
        if host.key_id is None:
            return []
        info = await self._make_safe(caller, host, host.key_id)
        machines = await self.call(host, ListMachines())
        for key_id in self._keys_for(host, machines):
            await self._push(caller, host, key_id)
        locked = [
            machine.name for machine in machines if machine.crypto_state is MachineState.LOCKED
        ]
        for machine in locked:
            await self.unlock(caller, host, machine)
        self._boots[name] = info.boot_id
        return locked

    def _keys_for(self, host: HostRecord, machines: Iterable[MachineInfo]) -> list[CryptoKeyId]:
        """The keys of the machines on a host: those in the inventory and those in their files."""
        recorded = [
            machine.key_id for machine in self._inventory.machines() if machine.host == host.name
        ]
        in_files = [key for machine in machines for key in all_keys(machine)]
        return list(dict.fromkeys([*(key for key in recorded if key and key.key_id), *in_files]))

    async def unlock(self, caller: Caller, host: HostRecord, machine: str) -> MachineInfo:
        """CryptoUnlock: the host opens the machine with the keys it has."""
        entity = Entity("machine", machine)
        failure = _unlock_failure
        with self._crypto.audited(caller.user, "CryptoUnlock", None, entity, failure=failure):
            info = await self.call(host, CryptoUnlock(machine))
        for key_id in info.key_ids:
            self._crypto.event_log.add(
                "vm.Crypto.VMUnlocked",
                f"the machine {machine} is unlocked",
                user=caller.user,
                operation="CryptoUnlock",
                key_id=key_id,
                entity=entity,
            )
        return info

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
        provider = self._crypto.default_provider(host.parent)
        key_id = shared or await self._crypto.create_key(caller.user, provider)
        if key_id.key_id:
            self._inventory.put_host(replace(host, key_id=key_id))
        info = await self._make_safe(caller, host, key_id)
        self._boots[name] = info.boot_id
        await provider.tag_product(key_id)
        await provider.tag_owner(key_id, Owner(host.uuid, ESXI_SERVER, host.name))
        return self._inventory.host(name).key_id or key_id

    async def _make_safe(
        self, caller: Caller, host: HostRecord, key_id: CryptoKeyId
    ) -> HostDescription:
        """Enable encryption mode unless it is on; returns the description from before."""
        info = await self.call(host, HostInfo())
        if info.crypto_state is CryptoState.SAFE and key_id.key_id:
            return info
        entity = Entity("host", host.name, host.uuid)
        failure = _host_key_failure
        with self._crypto.audited(caller.user, "EnableCrypto", key_id, entity, failure=failure):
            async with self._fetched(key_id) as key:
                if info.crypto_state is CryptoState.INCAPABLE and key is not None:
                    await self.call(host, CryptoManagerHostPrepare())
                enable = (
                    CryptoManagerHostEnable(key_id=key_id)
                    if key is None
                    else CryptoManagerHostEnable(initial_key=key)
                )
                key_id = await self.call(host, enable)
        self._inventory.put_host(replace(self._inventory.host(host.name), key_id=key_id))
        self._crypto.event_log.add(
            "host.Crypto.Enabled",
            f"encryption mode is enabled on host {host.name}",
            user=caller.user,
            operation="EnableCrypto",
            key_id=key_id,
            entity=entity,
        )
        return info

    async def change_key(self, caller: Caller, name: str) -> ChangeKeyResult:
        """ChangeKey_Task: a new host key of the default provider; core dumps are relocked."""
        async with self._locks.host(name):
            host = self._inventory.host(name)
            if host.key_id is None:
                raise InvalidState(f"host {name} is not in encryption mode")
            provider = self._crypto.default_provider(host.parent)
            entity = Entity("host", host.name, host.uuid)
            key_id = await self._crypto.create_key(caller.user, provider)
            await provider.tag_product(key_id)
            failure = _host_key_failure
            with self._crypto.audited(caller.user, "ChangeKey", key_id, entity, failure=failure):
                async with self._fetched(key_id) as key:
                    change = ChangeKey(key_id=key_id) if key is None else ChangeKey(new_key=key)
                    result = await self.call(host, change)
            self._inventory.put_host(replace(host, key_id=result.key_id))
            await provider.tag_owner(result.key_id, Owner(host.uuid, ESXI_SERVER, host.name))
            self._crypto.event_log.add(
                "crypto.HostKeyUpdatedEvent",
                f"host {name} has a new host key",
                user=caller.user,
                operation="ChangeKey",
                key_id=result.key_id,
                entity=entity,
            )
            return result

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
            f"esx.problem.{'hostd' if world == 'hostd' else 'application'}.core.dumped"
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

    async def push_to_cluster(self, caller: Caller, host: HostRecord, key_id: CryptoKeyId) -> None:
        """Give a machine's key to its host and to the other safe hosts of the cluster (§6).

        Encryption mode is enabled on other hosts if it is on some of them already; a host that does
        not answer gets the key when it is synchronised.
        """
        await self.push(caller, host, key_id)
        for other in self._inventory.hosts_beside(host):
            if other.name == host.name:
                continue
            try:
                if other.key_id is None and self._must_be_safe(other):
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
        failure = key_failure("kms.crypto.SendKeyError")
        with self._crypto.audited(caller.user, "AddKey", key_id, entity, failure=failure):
            async with self._fetched(key_id) as key:
                if key is None:
                    return  # hosts get it themselves (R45)
                try:
                    await self.call(host, AddKey(key))
                except AlreadyExists:
                    return  # another vCenter was faster
        self._crypto.note(caller.user, "AddKey", key_id, entity)

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


def all_keys(machine: MachineInfo) -> list[CryptoKeyId]:
    """The keys that a machine needs, also those of a rekey that was interrupted."""
    return [*machine.key_ids, *machine.pending_key_ids]


def _unlock_failure(fault: VSphereError) -> str:
    missing = isinstance(fault, EncryptionKeyRequired | HostUnreachable)
    return "vm.Crypto.VMLocked." + ("KeyMissingOnHost" if missing else "KMSClusterError")


def _host_key_failure(fault: VSphereError) -> str:
    if isinstance(fault, HostUnreachable):
        return "host.Crypto.SendKeyError.HostError"
    return key_failure("host.Crypto.ReqEnable")(fault)
