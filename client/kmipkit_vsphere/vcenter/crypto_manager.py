"""vCenter's key management: key ids, what uses them, and the events about them.

``CryptoManagerKmip`` of the vSphere API (vsphere.md §4.2). It stores the id of every key that was
made here, and never a key. The providers are in :mod:`kmipkit_vsphere.vcenter.key_providers`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from kmipkit.spec.enums import State
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import (
    InvalidArgument,
    InvalidState,
    KeyNotUsable,
    KeyProviderError,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.records import ROOT, KeyType, ManagementType
from kmipkit_vsphere.providers.base import KeyProvider, refuse_generation
from kmipkit_vsphere.providers.kmip_session import KeyServerRefused
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.providers.wrapped import is_wrapped, split
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity
from kmipkit_vsphere.vcenter.calls.events import key_server as server_entity
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.key_providers import KeyProviders, ServerDialer
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.provider_health import ProviderHealth
from kmipkit_vsphere.vcenter.store import Store

DISABLED: Final = "host.Crypto.HostCryptoDisabled"
"""The type of an event about a host without encryption mode."""

_MANAGED_ELSEWHERE: Final = {
    ManagementType.TRUSTED: "KeyStateManagedByTrustAuthority",
    ManagementType.NATIVE: "KeyStateManagedByNKP",
}


class CryptoManagerKmip:
    """Keys of one vCenter. ``user`` in the calls is the caller, for the events."""

    def __init__(
        self,
        store: Store,
        key_server: ServerDialer,
        clock: Clock,
        trust: Trust,
        locks: Locks,
        alarms: Alarms,
    ) -> None:
        self._store = store
        self._clock = clock
        self.event_log = EventLog(store, clock, alarms.observe)
        self._purposes: dict[CryptoKeyId, list[str]] = defaultdict(list)
        self._failing: dict[tuple[str, CryptoKeyId | None, Entity | None], str] = {}
        self._alarms = alarms
        self.providers = KeyProviders(
            store, key_server, clock, self.event_log, trust, locks, self._note_served
        )
        self.health = ProviderHealth(store, clock, self.event_log, self.providers, alarms)

    def _note_served(self, provider_id: str, server: str) -> None:
        """A key server has served a request: that it cannot be used is over."""
        self._alarms.end(AlarmName.KEY_SERVER_CONNECTION, server_entity(provider_id, server))

    def provider(self, provider_id: str) -> KeyProvider:
        """The provider of this id, or NotFound."""
        return self.providers.provider(provider_id)

    # Keys ----------------------------------------------------------------------------------------

    async def generate_key(
        self,
        user: str,
        provider_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
        key_type: KeyType | None = None,
    ) -> CryptoKeyId:
        """GenerateKey: a new key on the key server, marked with the product; its id is stored.

        ``attributes`` are added to it as custom attributes. Raises :class:`InvalidState` for a
        provider whose keys the hosts make (R25, R46), and :class:`InvalidArgument` for attributes of
        a wrapped key, which is not on the key server.
        """
        provider = self.providers.for_new_key(explicit=provider_id, key_type=key_type)
        refuse_generation(provider)
        assert isinstance(provider, StandardKeyProvider)
        if attributes and provider.makes is KeyType.WRAPPED:
            raise _no_attributes("spec")
        key_id = await self.create_key(user, provider)
        await provider.tag_product(key_id)
        if attributes:
            await provider.set_attributes(key_id, _with_prefix(attributes))
        return key_id

    async def create_key(self, user: str, provider: KeyProvider) -> CryptoKeyId:
        """Have a key made and store its id; writes an event, also if it fails."""
        with self.audited(user, "GenerateKey", failure="kms.crypto.KeyGenerateFail"):
            key_id = await provider.create_key()
        if key_id.key_id:
            self.record_key(key_id)
            self.note(user, "GenerateKey", key_id)
        return key_id

    def record_key(self, key_id: CryptoKeyId) -> None:
        """Store the id of a key, with the time."""
        self._store.providers.add_key(key_id, int(self._clock().timestamp()))

    async def set_custom_attributes(
        self, user: str, key_id: CryptoKeyId, attributes: Mapping[str, str]
    ) -> None:
        """SetKeyCustomAttributes: names get the prefix ``x-`` if they have none."""
        with self.audited(user, "SetKeyCustomAttributes", key_id):
            provider = self.providers.standard(key_id.provider_id)
            if is_wrapped(key_id):
                raise _no_attributes("keyId")
            await provider.set_attributes(key_id, _with_prefix(attributes))
        self.note(user, "SetKeyCustomAttributes", key_id)

    def list_keys(self) -> list[CryptoKeyId]:
        """ListKeys: the ids of all keys made here, then those of other keys in use."""
        inventory = self._store.inventory
        used = [host.key_id for host in inventory.hosts()]
        used += [machine.key_id for machine in inventory.machines()]
        known = self._store.providers.key_ids()
        return list(dict.fromkeys([*known, *(key for key in used if key is not None)]))

    async def unavailability(self, key_id: CryptoKeyId) -> str | None:
        """Why a key is not available (``CryptoKeyStatus.reason``), None if it is."""
        try:
            provider = self.provider(key_id.provider_id)
        except VSphereError:
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

    @contextmanager
    def in_use(self, key_id: CryptoKeyId | None, purpose: str) -> Iterator[None]:
        """The key is in use while the block runs, although no record or file may name it yet."""
        if key_id is None:
            yield
            return
        self._purposes[key_id].append(purpose)
        try:
            yield
        finally:
            self._purposes[key_id].remove(purpose)
            if not self._purposes[key_id]:
                del self._purposes[key_id]

    def purposes(self, key_id: CryptoKeyId) -> list[str]:
        """What is being done with a key now."""
        return list(self._purposes.get(key_id, ()))

    def remove_key(self, key_id: CryptoKeyId) -> None:
        """Remove the id of a key; the key server keeps the key, always (§3.4)."""
        self._store.providers.remove_key(key_id)

    # Events --------------------------------------------------------------------------------------

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
        *,
        once: bool = False,
    ) -> Iterator[None]:
        """Write an event if the operation inside fails, and pass the error on.

        ``failure`` is the type of that event, or computes it from the error. With ``once`` there is
        no event while the same operation fails again and again.
        """
        operations = (operation, key_id, entity)
        try:
            yield
        except VSphereError as fault:
            kind = type(fault).__name__
            if once:
                is_known = self._failing.get(operations) == kind
                self._failing[operations] = kind
                if is_known:
                    raise
            self.event_log.add(
                failure if isinstance(failure, str) else failure(fault),
                f"{operation} by {user} failed: {fault.message}",
                user=user,
                operation=operation,
                key_id=key_id,
                entity=entity,
                failed=True,
                fault=kind,
                **{name: value for name, value in fault.arguments.items() if name == "host"},
            )
            raise
        else:
            self._failing.pop(operations, None)

    def default_provider(self, entity: str = ROOT) -> KeyProvider:
        """The provider for new keys of an entity; InvalidState if there is no default."""
        return self.providers.for_new_key(entity)


def is_disabled(fault: VSphereError) -> bool:
    """Whether a host refused something because its encryption mode is not enabled."""
    return isinstance(fault, InvalidState) and "cryptoState" in fault.arguments


def key_failure(prefix: str) -> Callable[[VSphereError], str]:
    """The type of a failure's event: whether the key is missing, or the provider has a problem.

    ``kms.crypto.SendKeyError`` gives ``….KeyMissingOnKMS`` or ``….KMSClusterError`` (§5.3).
    """

    def event_type(fault: VSphereError) -> str:
        missing = isinstance(fault, KeyNotUsable | KeyServerRefused)
        return f"{prefix}.{'KeyMissingOnKMS' if missing else 'KMSClusterError'}"

    return event_type


def _no_attributes(parameter: str) -> InvalidArgument:
    return InvalidArgument(
        "a wrapped key is not on the key server: it has no attributes there",
        invalid_property=parameter,
    )


def _with_prefix(attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        name if name.startswith(("x-", "y-")) else f"x-{name}": value
        for name, value in attributes.items()
    }
