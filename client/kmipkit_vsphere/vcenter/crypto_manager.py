"""vCenter's key management: key ids, what uses them, and the events about them.

``CryptoManagerKmip`` of the vSphere API (vsphere.md §4.2). It keeps the id of every key that was
made here, and no key. The providers behind are in :mod:`kmipkit_vsphere.vcenter.key_providers`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntFlag
from typing import Any, Final

from kmipkit.spec.enums import State
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import (
    InvalidArgument,
    KeyNotUsable,
    KeyProviderError,
    NotFound,
    ResourceInUse,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import ROOT, ManagementType
from kmipkit_vsphere.providers.base import KeyProvider, refuse_generation
from kmipkit_vsphere.providers.conversation import KeyServerRefused
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.providers.wrapped import is_wrapped, split
from kmipkit_vsphere.vcenter.events import Entity, EventFilter, EventLog
from kmipkit_vsphere.vcenter.key_providers import KeyProviders, ServerDialer
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.store import Store

_MANAGED_ELSEWHERE: Final = {
    ManagementType.TRUSTED: "KeyStateManagedByTrustAuthority",
    ManagementType.NATIVE: "KeyStateManagedByNKP",
}


class StatusBits(IntFlag):
    """What QueryCryptoKeyStatus is asked for (§4.2); the rest stays unset."""

    AVAILABLE = 1
    MACHINES = 2
    HOSTS = 4
    THIRD_PARTIES = 8


class CryptoManagerKmip:
    """Keys of one vCenter. ``user`` is who asks, for the events."""

    def __init__(
        self, store: Store, key_server: ServerDialer, clock: Clock, trust: Trust | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self.event_log = EventLog(store, clock)
        self.providers = KeyProviders(
            store, key_server, clock, self.event_log, trust or Trust(store, clock)
        )

    def provider(self, provider_id: str) -> KeyProvider:
        """The provider of this id, or NotFound."""
        return self.providers.provider(provider_id)

    # Keys ----------------------------------------------------------------------------------------

    async def generate_key(
        self,
        user: str,
        provider_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> CryptoKeyId:
        """GenerateKey: a new key on the key server, marked with the product; its id is kept.

        ``attributes`` are added to it as custom attributes. Raises :class:`InvalidState` for a
        provider whose keys the hosts make (R25, R46).
        """
        provider = self.providers.for_new_key(explicit=provider_id)
        refuse_generation(provider)
        key_id = await self.create_key(user, provider)
        await provider.tag_product(key_id)
        if attributes and isinstance(provider, StandardKeyProvider):
            await provider.set_attributes(key_id, _custom(attributes))
        return key_id

    async def create_key(self, user: str, provider: KeyProvider) -> CryptoKeyId:
        """Have a key made and keep its id; the events say so, also if it fails."""
        with self.audited(user, "GenerateKey", failure="kms.crypto.KeyGenerateFail"):
            key_id = await provider.create_key()
        if key_id.key_id:
            self._store.providers.add_key(key_id, int(self._clock().timestamp()))
            self.note(user, "GenerateKey", key_id)
        return key_id

    async def set_custom_attributes(
        self, user: str, key_id: CryptoKeyId, attributes: Mapping[str, str]
    ) -> None:
        """SetKeyCustomAttributes: names get the prefix ``x-`` if they have none."""
        with self.audited(user, "SetKeyCustomAttributes", key_id):
            provider = self.providers.standard(key_id.provider_id)
            await provider.set_attributes(key_id, _custom(attributes))
        self.note(user, "SetKeyCustomAttributes", key_id)

    def list_keys(self) -> list[CryptoKeyId]:
        """ListKeys: the ids of all keys made here, then of other keys that hosts or machines use."""
        inventory = self._store.inventory
        used = [one.key_id for one in inventory.hosts()]
        used += [one.key_id for one in inventory.machines()]
        known = self._store.providers.key_ids()
        return list(dict.fromkeys([*known, *(key for key in used if key is not None)]))

    async def key_status(self, key_id: CryptoKeyId, bits: StatusBits) -> dict[str, Any]:
        """QueryCryptoKeyStatus for one key: a ``CryptoKeyStatus`` (§4.3)."""
        status: dict[str, Any] = {"keyId": key_id.to_json()}
        if StatusBits.AVAILABLE in bits:
            reason = await self._why_not_available(key_id)
            status |= {"keyAvailable": reason is None, "reason": reason}
        machines, hosts = self.users(key_id)
        if StatusBits.MACHINES in bits:
            status["encryptedVMs"] = machines
        if StatusBits.HOSTS in bits:
            status["affectedHosts"] = hosts
        if StatusBits.THIRD_PARTIES in bits:
            status["referencedByTags"] = []
        return status

    async def _why_not_available(self, key_id: CryptoKeyId) -> str | None:
        try:
            provider = self.provider(key_id.provider_id)
        except (NotFound, VSphereError):
            return "KeyStateClusterInvalid"
        if not isinstance(provider, StandardKeyProvider):
            return _MANAGED_ELSEWHERE[provider.management_type]
        wrapped = is_wrapped(key_id)
        kind = "WrappingKey" if wrapped else "KeyState"
        asked = split(key_id)[0] if wrapped else key_id
        try:
            state = await provider.state(asked)
        except KeyServerRefused:
            return f"{kind}MissingInKMS"
        except KeyProviderError:
            return "KeyStateClusterUnreachable"
        usable = state in (State.ACTIVE, State.PRE_ACTIVE)
        return None if usable else f"{kind}NotActiveOrEnabled"

    def users(self, key_id: CryptoKeyId) -> tuple[list[str], list[str]]:
        """The machines and the hosts that use a key."""
        inventory = self._store.inventory
        return (
            [one.name for one in inventory.machines() if one.key_id == key_id],
            [one.name for one in inventory.hosts() if one.key_id == key_id],
        )

    def remove_key(self, user: str, key_id: CryptoKeyId, *, force: bool = False) -> None:
        """RemoveKey in vCenter; the key server keeps the key, always (§3.4).

        Without ``force`` an unknown key is an :class:`InvalidArgument` and one in use a
        :class:`ResourceInUse`.
        """
        with self.audited(user, "RemoveKey", key_id):
            if not force:
                self._check_removable(key_id)
            self._store.providers.remove_key(key_id)
        self.note(user, "RemoveKey", key_id)

    def _check_removable(self, key_id: CryptoKeyId) -> None:
        if key_id not in self.list_keys():
            raise InvalidArgument(f"vCenter does not know key {key_id}")
        users = [name for kind in self.users(key_id) for name in kind]
        if users:
            raise ResourceInUse(f"key {key_id} is used by {', '.join(users)}")

    # Events --------------------------------------------------------------------------------------

    def events(self, wanted: EventFilter | None = None) -> list[dict[str, Any]]:
        """The events that match, the oldest first (R33)."""
        return self.event_log.find(wanted)

    def note(
        self, user: str, operation: str, key_id: CryptoKeyId | None, entity: Entity | None = None
    ) -> None:
        """Write the event of an operation that succeeded (requirement R35)."""
        text = f"{operation} by {user}" + (f", key {key_id}" if key_id else "")
        self.event_log.add(
            "crypto.Operation", text, user=user, operation=operation, key_id=key_id, entity=entity
        )

    @contextmanager
    def audited(
        self,
        user: str,
        operation: str,
        key_id: CryptoKeyId | None = None,
        entity: Entity | None = None,
        failure: str | Callable[[VSphereError], str] = "crypto.Operation",
    ) -> Iterator[None]:
        """Write an event where the operation inside fails, and let the error pass.

        ``failure`` is the type of that event, or gives it for the error.
        """
        try:
            yield
        except VSphereError as fault:
            self.event_log.add(
                failure if isinstance(failure, str) else failure(fault),
                f"{operation} by {user} failed: {fault.message}",
                user=user,
                operation=operation,
                key_id=key_id,
                entity=entity,
                failed=True,
                fault=type(fault).__name__,
            )
            raise

    def default_provider(self, entity: str = ROOT) -> KeyProvider:
        """Where new keys for an entity come from; InvalidState if there is no default."""
        return self.providers.for_new_key(entity)


def because(prefix: str) -> Callable[[VSphereError], str]:
    """The type of a failure's event, which says whether the key is missing or the provider is bad.

    ``kms.crypto.SendKeyError`` gives ``….KeyMissingOnKMS`` or ``….KMSClusterError`` (§5.3).
    """

    def event_type(fault: VSphereError) -> str:
        missing = isinstance(fault, KeyNotUsable | KeyServerRefused)
        return f"{prefix}.{'KeyMissingOnKMS' if missing else 'KMSClusterError'}"

    return event_type


def _custom(attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        name if name.startswith(("x-", "y-")) else f"x-{name}": value
        for name, value in attributes.items()
    }
