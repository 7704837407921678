"""Replacing a key provider: everything gets keys of another one, and data is not written again.

A machine, a host key, core dumps and disk groups are locked anew, one after the other. What cannot be
done now (a host is down, a machine is locked) keeps nothing else from being done, and is reported. The
call can be repeated at any time, also after vCenter was killed: it does what is left, and an interrupted
step goes on with the key that it had made (:meth:`MachineEncryption.recrypt`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from kmipkit_vsphere.calls.host import ReferenceKind
from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import (
    ROOT,
    ClusterRecord,
    HostRecord,
    MachineRecord,
    ManagementType,
)
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.replacement import ProviderUse, ReplacementResult
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.encryption import MachineEncryption
from kmipkit_vsphere.vcenter.host_manager import HostManager, all_keys
from kmipkit_vsphere.vcenter.key_usage import KeyUsage, Use
from kmipkit_vsphere.vcenter.native_providers import NativeProviders
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.vsan import VsanClusters, vsan_keys


class ProviderReplacement:
    """Moves everything of one vCenter from one key provider to another."""

    def __init__(
        self,
        store: Store,
        crypto: CryptoManagerKmip,
        hosts: HostManager,
        natives: NativeProviders,
        encryption: MachineEncryption,
        vsan: VsanClusters,
        usage: KeyUsage,
    ) -> None:
        self._store = store
        self._inventory = store.inventory
        self._crypto = crypto
        self._hosts = hosts
        self._natives = natives
        self._encryption = encryption
        self._vsan = vsan
        self._usage = usage

    async def uses(self, provider_id: str) -> ProviderUse:
        """What uses any key of a provider, and which hosts did not say."""
        self._store.providers.get(provider_id)
        uses, silent = await self._uses(provider_id)
        names = sorted({f"{use.kind}: {use.name}" for use in uses})
        return ProviderUse(provider_id, names, silent)

    async def _uses(self, provider_id: str) -> tuple[list[Use], list[str]]:
        found = await self._usage.all()
        own = f"wrapping key of {provider_id}"  # it goes with the provider
        uses = [use for use in found.uses if use.key_id.provider_id == provider_id]
        return [use for use in uses if use.name != own], list(found.silent_hosts)

    async def replace(self, caller: Caller, old: str, new: str) -> ReplacementResult:
        """Give everything that uses a key of ``old`` a key of ``new``; defaults follow."""
        self._check(caller, old, new)
        result = ReplacementResult(old, new)
        self._move_defaults(old, new, result)
        for cluster in self._inventory.clusters():
            if cluster.key_id is not None and cluster.key_id.provider_id == old:
                await self._try(
                    result, f"cluster {cluster.name}", self._move_cluster, caller, cluster, new
                )
        uses, _ = await self._uses(old)
        for machine in self._inventory.machines():
            if self._has_key_of(machine, old, uses):
                await self._try(
                    result, f"machine {machine.name}", self._move_machine, caller, machine, old, new
                )
        for host in self._inventory.hosts():
            if self._needs_host_key(host, old, uses):
                await self._try(
                    result, f"host {host.name}", self._move_host, caller, host, uses, new
                )
        for name, key_id in vsan_keys(self._store).items():
            if key_id.provider_id == old:
                job = partial(self._vsan.encrypt, caller, name, new)
                await self._try(result, f"vSAN of {name}", job, rekey=True)
        await self._vsan.push_changes()  # to hosts that were down when their cluster was moved
        left = await self.uses(old)
        result.still_used_by.extend(left.used_by)
        result.unknown_hosts.extend(left.unknown_hosts)
        return result

    def _check(self, caller: Caller, old: str, new: str) -> None:
        """All rights, and that the new provider can be used, before anything changes (R24)."""
        if old == new:
            raise InvalidArgument("a key provider is replaced by another one")
        self._store.providers.get(old)
        provider = self._crypto.provider(new)
        for machine in self._inventory.machines():
            if machine.key_id is not None and machine.key_id.provider_id == old:
                caller.require(Privilege.RECRYPT, f"machine/{machine.name}")
        for host in self._inventory.hosts():
            if host.key_id is not None and host.key_id.provider_id == old:
                caller.require(Privilege.REGISTER_HOST, f"host/{host.name}")
                if provider.management_type is ManagementType.NATIVE:
                    self._natives.check_usable(new, host)

    async def _try(
        self,
        result: ReplacementResult,
        name: str,
        job: Callable[..., Awaitable[object]],
        *arguments: object,
        **options: object,
    ) -> None:
        try:
            await job(*arguments, **options)
        except VSphereError as failure:
            result.problems[name] = failure.message
        else:
            result.replaced.append(name)

    # The parts -----------------------------------------------------------------------------------

    def _move_defaults(self, old: str, new: str, result: ReplacementResult) -> None:
        providers = self._store.providers
        entities = [*providers.entity_defaults(old)]
        if providers.default() == old:
            entities.append(ROOT)
        for entity in dict.fromkeys(entities):
            self._crypto.providers.set_default(new, entity)
            result.replaced.append(f"default of {entity}")

    async def _move_cluster(self, caller: Caller, cluster: ClusterRecord, new: str) -> None:
        """The host key that the hosts of a cluster share; the hosts themselves follow."""
        provider = self._crypto.provider(new)
        if provider.management_type is ManagementType.NATIVE:
            key_id: CryptoKeyId | None = self._natives.new_key_id(new)
        else:
            key_id = await self._crypto.create_key(caller.user, provider)
        if key_id is not None and not key_id.key_id:
            key_id = None  # only hosts make keys of this provider: then each has one of its own
        self._inventory.put_cluster(replace(cluster, key_id=key_id))

    def _has_key_of(self, machine: MachineRecord, old: str, uses: list[Use]) -> bool:
        recorded = machine.key_id is not None and machine.key_id.provider_id == old
        return recorded or any(
            use.kind is ReferenceKind.MACHINE and use.name == machine.name for use in uses
        )

    async def _move_machine(
        self, caller: Caller, machine: MachineRecord, old: str, new: str
    ) -> None:
        host = self._inventory.host(machine.host)
        info = await self._info(host, machine.name)
        present = {key.provider_id for key in all_keys(info)}
        if others := present - {old, new}:
            raise InvalidState(
                f"it also has keys of {', '.join(sorted(others))}: rekey its parts one by one"
                " (recrypt-vm --part)"
            )
        recorded = machine.key_id
        if old not in present and recorded is not None and recorded.provider_id != old:
            raise InvalidState(
                f"files in its folder that it does not use, such as removed disks, have keys of {old}"
            )
        # After a reboot the host needs its own key before it takes those of machines.
        await self._hosts.configure_crypto_key(caller, host.name)
        await self._encryption.recrypt(caller, machine.name, provider_id=new)

    async def _info(self, host: HostRecord, name: str) -> MachineInfo:
        for machine in await self._hosts.machines_on(host.name):
            if machine.name == name:
                return machine
        raise InvalidState(f"host {host.name} has no machine {name}")

    def _needs_host_key(self, host: HostRecord, old: str, uses: list[Use]) -> bool:
        if host.key_id is None:
            return False
        return host.key_id.provider_id == old or bool(_dump_keys(host, uses))

    async def _move_host(self, caller: Caller, host: HostRecord, uses: list[Use], new: str) -> None:
        """A new host key; it locks the core dumps anew, for which the host needs their keys."""
        await self._hosts.configure_crypto_key(caller, host.name)
        for key_id in _dump_keys(host, uses):
            await self._hosts.push(caller, host, key_id)
        cluster = self._inventory.cluster_of(host)
        shared = cluster.key_id if cluster is not None else None
        if shared is not None and shared.provider_id != new:
            shared = None
        changed = await self._hosts.change_key(caller, host.name, new, shared)
        if changed.left:
            raise InvalidState(f"core dumps keep their keys: {', '.join(changed.left)}")


def _dump_keys(host: HostRecord, uses: list[Use]) -> list[CryptoKeyId]:
    """The keys of a provider that lock core dumps on a host."""
    return [
        use.key_id
        for use in uses
        if use.kind is ReferenceKind.CORE_DUMP and use.name.startswith(f"{host.name}: ")
    ]
