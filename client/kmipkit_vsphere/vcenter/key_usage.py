"""What uses a key: everything that refers to it, in vCenter's records and in the files of hosts.

A key that is called unused may be destroyed. So it is looked for wherever its id can stand: homes and
disks of machines, also of those that no inventory has, and of copies and migrations that are not
complete; operations that were interrupted; host keys and the keys of clusters; core dumps; disk groups
of vSAN; wrapped keys, which need their wrapping key; primary keys of trusted providers; and what calls
do at this moment. A host that does not answer may use any key.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntFlag
from functools import partial

from msgspec import UNSET, structs

from kmipkit_vsphere.calls.host import KeyReference, ListKeyReferences, ReferenceKind
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.errors import (
    DamagedData,
    HostUnreachable,
    InvalidArgument,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import HostRecord, WrappingKeySpec
from kmipkit_vsphere.providers.wrapped import is_wrapped, split
from kmipkit_vsphere.vcenter.calls.keys import CryptoKeyStatus, WrappingKeyInfo
from kmipkit_vsphere.vcenter.clones import Clones
from kmipkit_vsphere.vcenter.crypto_manager import CryptoManagerKmip
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.store import Store
from kmipkit_vsphere.vcenter.vsan import vsan_keys


class StatusBits(IntFlag):
    """The fields that QueryCryptoKeyStatus is to set (§4.2)."""

    AVAILABLE = 1
    MACHINES = 2
    HOSTS = 4
    THIRD_PARTIES = 8


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a key: by a machine, by a host, or by something else."""

    key_id: CryptoKeyId
    kind: ReferenceKind
    name: str


@dataclass(frozen=True, slots=True)
class Uses:
    """All uses that are known, and the hosts that did not answer."""

    uses: tuple[Use, ...]
    silent_hosts: tuple[str, ...]

    def of(self, key_id: CryptoKeyId) -> list[Use]:
        """The uses of one key; a wrapped key uses its wrapping key."""
        return [use for use in self.uses if key_id in _needed(use.key_id)]

    def of_provider(self, provider_id: str) -> list[str]:
        """The names of what uses any key of a provider."""
        names = (use.name for use in self.uses if use.key_id.provider_id == provider_id)
        return list(dict.fromkeys(names))


def _needed(key_id: CryptoKeyId) -> tuple[CryptoKeyId, ...]:
    if not is_wrapped(key_id):
        return (key_id,)
    try:
        return (key_id, split(key_id)[0])
    except DamagedData:
        return (key_id,)


class KeyUsage:
    """Finds the uses of keys. ``primary_keys`` are those of the trust authority, by provider."""

    def __init__(
        self,
        store: Store,
        crypto: CryptoManagerKmip,
        hosts: HostManager,
        primary_keys: Callable[[], Mapping[str, Sequence[str]]],
    ) -> None:
        self._store = store
        self._crypto = crypto
        self._hosts = hosts
        self._clones = Clones(store)
        self._primary_keys = primary_keys

    async def all(self) -> Uses:
        """Ask all hosts, and look at all records."""
        uses: list[Use] = list(self._recorded())
        silent: list[str] = []

        async def ask(host: HostRecord) -> None:
            try:
                references = await self._hosts.call(host, ListKeyReferences())
            except VSphereError:
                silent.append(host.name)
            else:
                uses.extend(_use(host, reference) for reference in references)

        await run_all(*(partial(ask, host) for host in self._store.inventory.hosts()))
        return Uses(tuple(dict.fromkeys(uses)), tuple(sorted(silent)))

    def _recorded(self) -> Iterable[Use]:
        yield from self._of_machines()
        inventory = self._store.inventory
        for host in inventory.hosts():
            if host.key_id is not None:
                yield Use(host.key_id, ReferenceKind.HOST_KEY, host.name)
        for cluster in inventory.clusters():
            if cluster.key_id is not None:
                yield Use(cluster.key_id, ReferenceKind.OTHER, f"cluster {cluster.name}")
        for name, key_id in vsan_keys(self._store).items():
            yield Use(key_id, ReferenceKind.VSAN, f"vSAN of cluster {name}")
        yield from self._of_providers()

    def _of_machines(self) -> Iterable[Use]:
        inventory, machine = self._store.inventory, ReferenceKind.MACHINE
        names = {record.uuid: record.name for record in inventory.machines()}
        for record in inventory.machines():
            if record.key_id is not None:
                yield Use(record.key_id, machine, record.name)
        for uuid, key_id in inventory.next_keys().items():
            yield Use(key_id, machine, names.get(uuid, uuid))
        for clone in self._clones.all():
            for key_id in clone.key_ids:
                yield Use(key_id, machine, clone.new_name)

    def _of_providers(self) -> Iterable[Use]:
        for provider in self._store.providers.all():
            spec = provider.details.key_spec
            if spec is not None and spec.key_id:
                wrapping = CryptoKeyId(provider.id, spec.key_id)
                yield Use(wrapping, ReferenceKind.OTHER, f"wrapping key of {provider.id}")
        for provider_id, keys in self._primary_keys().items():
            for key in keys:
                primary = CryptoKeyId(provider_id, key)
                yield Use(primary, ReferenceKind.OTHER, f"trusted key provider {provider_id}")

    # Keys and providers --------------------------------------------------------------------------

    async def status(
        self, key_ids: Iterable[CryptoKeyId], bits: StatusBits
    ) -> list[CryptoKeyStatus]:
        """QueryCryptoKeyStatus (§4.3)."""
        asks_hosts = bits & ~StatusBits.AVAILABLE
        uses = await self.all() if asks_hosts else Uses((), ())
        return [await self._status(key_id, bits, uses) for key_id in key_ids]

    async def _status(self, key_id: CryptoKeyId, bits: StatusBits, uses: Uses) -> CryptoKeyStatus:
        asks_available = StatusBits.AVAILABLE in bits
        reason = await self._crypto.unavailability(key_id) if asks_available else None
        of_hosts = (ReferenceKind.HOST_KEY, ReferenceKind.CORE_DUMP)
        found = uses.of(key_id)
        machines = [use.name for use in found if use.kind is ReferenceKind.MACHINE]
        hosts = [use.name.partition(":")[0] for use in found if use.kind in of_hosts]
        others = [use.name for use in found if use.kind not in (ReferenceKind.MACHINE, *of_hosts)]
        others += self._crypto.purposes(key_id)
        return CryptoKeyStatus(
            key_id=key_id,
            key_available=reason is None if asks_available else UNSET,
            reason=reason if asks_available else UNSET,
            encrypted_vms=sorted(set(machines)) if StatusBits.MACHINES in bits else UNSET,
            affected_hosts=sorted(set(hosts)) if StatusBits.HOSTS in bits else UNSET,
            key_info=self._wrapping_key(key_id) or UNSET,
            referenced_by_tags=sorted(set(others)) if StatusBits.THIRD_PARTIES in bits else UNSET,
            unknown_hosts=list(uses.silent_hosts) or UNSET,
        )

    def _wrapping_key(self, key_id: CryptoKeyId) -> WrappingKeyInfo | None:
        """The wrapping key that a wrapped key needs; None for another key."""
        if not is_wrapped(key_id):
            return None
        try:
            wrapping = split(key_id)[0]
        except DamagedData:
            return None
        providers = self._store.providers
        spec: WrappingKeySpec | None = None
        if providers.exists(key_id.provider_id):
            spec = providers.get(key_id.provider_id).details.key_spec
        info = WrappingKeyInfo(wrapping.key_id, create_time=providers.key_time(wrapping))
        if spec is None or spec.key_id != wrapping.key_id or spec.configured_time is None:
            return info
        if spec.is_fixed:
            return WrappingKeyInfo(wrapping.key_id, is_fixed=True, create_time=spec.configured_time)
        days = spec.rotation_interval
        due = spec.configured_time + timedelta(days=days) if days is not None else None
        return structs.replace(info, rotate_time=due)

    async def keys(self) -> list[CryptoKeyId]:
        """ListKeys: the ids of all keys that were made here, then those of other keys in use."""
        used = [use.key_id for use in (await self.all()).uses if use.key_id.key_id]
        return list(dict.fromkeys([*self._crypto.list_keys(), *sorted(used)]))

    async def remove_key(self, user: str, key_id: CryptoKeyId, *, force: bool = False) -> None:
        """RemoveKey, from vCenter and from the hosts.

        Without ``force`` an unknown key is an :class:`InvalidArgument`, and one that is in use, or
        may be on a host that does not answer, a :class:`ResourceInUse`.
        """
        with self._crypto.audited(user, "RemoveKey", key_id):
            if not force:
                await self._check_removable(key_id)
            self._crypto.remove_key(key_id)
        self._crypto.note(user, "RemoveKey", key_id)
        for host in self._store.inventory.hosts():
            if host.key_id is not None:
                await self._hosts.remove_key(host, key_id)

    async def _check_removable(self, key_id: CryptoKeyId) -> None:
        uses = await self.all()
        names = [use.name for use in uses.of(key_id)] + self._crypto.purposes(key_id)
        if names:
            raise ResourceInUse(f"key {key_id} is used by {', '.join(dict.fromkeys(names))}")
        if key_id not in self._crypto.list_keys():
            raise InvalidArgument(f"vCenter does not know key {key_id}")
        _check_answers(uses, f"key {key_id}")

    async def check_provider_unused(self, provider_id: str) -> None:
        """ResourceInUse while anything uses a key of a native provider, or may do so."""
        uses = await self.all()
        users = uses.of_provider(provider_id)
        if users:
            raise ResourceInUse(
                f"the key provider {provider_id} is used by {', '.join(users)}; give them keys of"
                " another provider first, or use --force"
            )
        _check_answers(uses, f"the key provider {provider_id}")


def _check_answers(uses: Uses, what: str) -> None:
    if uses.silent_hosts:
        raise HostUnreachable(
            f"whether {what} is in use is not known, because these hosts do not answer:"
            f" {', '.join(uses.silent_hosts)}; connect them, or use --force"
        )


def _use(host: HostRecord, reference: KeyReference) -> Use:
    if reference.kind is ReferenceKind.MACHINE:
        return Use(reference.key_id, reference.kind, reference.name)
    if reference.kind is ReferenceKind.HOST_KEY:
        return Use(reference.key_id, reference.kind, host.name)
    return Use(reference.key_id, reference.kind, f"{host.name}: {reference.name}")
