"""vCenter's key providers: their servers, and which one is the default (vsphere.md §4.2)."""

from collections.abc import Callable
from functools import partial
from typing import Final

import trio
from cryptography import x509
from msgspec import structs

from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, KeyProviderError
from kmipkit_vsphere.model.keys import CryptoKeyId, SecretText, escaped
from kmipkit_vsphere.model.records import (
    ROOT,
    KeyType,
    ManagementType,
    ProviderRecord,
    ServerChange,
    ServerRecord,
    WrappingKeyRequest,
    WrappingKeySpec,
)
from kmipkit_vsphere.providers import native
from kmipkit_vsphere.providers.base import HostKeyProvider, KeyProvider, Participant
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.reporting_server import ReportingServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.providers.wrapped import WrappedKeyProvider, WrappingKey, checked_interval
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.calls.providers import KmipClusterInfo, ServerRegistration
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.key_server_trust import SECRETS as CLIENT_SECRETS
from kmipkit_vsphere.vcenter.key_server_trust import Trust, password_name
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.store import Store

ServerDialer = Callable[[str, ServerRecord], KeyServer]
"""Makes the key server of a provider (its id) from its record, without connecting."""

PARTICIPANTS: Final = {
    ManagementType.TRUSTED: frozenset(
        {Participant.KEY_SERVER, Participant.TRUST_AUTHORITY, Participant.HOSTS}
    ),
    ManagementType.NATIVE: frozenset({Participant.VCENTER, Participant.HOSTS}),
}
"""Who takes part with the providers whose keys the hosts get themselves (requirements R1, R2)."""


class KeyProviders:
    """The key providers of one vCenter. ``user`` in the calls is the caller, for the events."""

    def __init__(
        self,
        store: Store,
        dial: ServerDialer,
        clock: Clock,
        events: EventLog,
        trust: Trust,
        locks: Locks,
        served: Callable[[str, str], None],
    ) -> None:
        """``served`` is called with a provider and its server when that has served a request."""
        self._store = store
        self._dial = dial
        self._clock = clock
        self._events = events
        self._locks = locks
        self._served = served
        self.trust = trust

    # Registration --------------------------------------------------------------------------------

    async def register_server(
        self,
        user: str,
        provider_id: str,
        server: ServerRecord,
        *,
        password: SecretText | None = None,
        any_vendor: bool = False,
        key_type: KeyType | None = None,
        wrapping: WrappingKeyRequest | None = None,
    ) -> ServerRegistration:
        """RegisterKmipServer: add a server; a new provider id creates a provider.

        The first provider becomes the default (R16). A server that cannot be reached is added
        anyway: the answer says what the problem is. A server of another vendor than the provider's
        is refused (R13) unless ``any_vendor``; a provider without key servers always refuses (R5).
        ``key_type`` and ``wrapping`` are settings of the whole provider (9.0).
        """
        _check_wrapping(wrapping)
        if not self._store.providers.exists(provider_id):
            self._store.providers.add(ProviderRecord(provider_id))
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.STANDARD:
            raise InvalidArgument(
                f"the key provider {provider_id} is of type {record.type}: it has no key servers",
                invalid_property="clusterId",
            )
        self._store.providers.add_server(provider_id, server)
        self._set_password(provider_id, server.name, password)
        self._set_keys(provider_id, key_type, wrapping)
        entity = Entity("provider", provider_id)
        provider = StandardKeyProvider(provider_id, [self._dial(provider_id, server)])
        try:
            vendor = await provider.greet()
        except KeyProviderError as failure:
            self._events.add(
                "kms.crypto.Unreachable", failure.message, user=user, entity=entity, failed=True
            )
            return ServerRegistration(provider_id, server.name, problem=failure.message)
        self._check_vendor(provider_id, server, vendor, any_vendor=any_vendor)
        self._events.add(
            "kms.crypto.Vendor", f"vendor: {vendor}", user=user, entity=entity, vendor=vendor
        )
        return ServerRegistration(provider_id, server.name, vendor=vendor)

    def _check_vendor(
        self, provider_id: str, server: ServerRecord, vendor: str, *, any_vendor: bool
    ) -> None:
        # Read now, not before the server was asked: another registration may have set it.
        known = self._store.providers.get(provider_id).details.vendor
        if known is None:
            self._store.providers.change(provider_id, vendor=vendor)
        elif known != vendor and not any_vendor:
            self.remove_server(provider_id, server.name)
            raise InvalidArgument(
                f"the vendor of {server.name} is {vendor!r}, but the servers of the key provider"
                f" {provider_id} are from {known!r}; add another key provider for it",
                invalid_property="info",
            )

    def _set_password(self, provider_id: str, server: str, password: SecretText | None) -> None:
        if password is None:
            return
        if len(password):
            self._store.secrets.put(password_name(provider_id, server), password)
        else:
            self._store.secrets.remove(password_name(provider_id, server))

    def update_server(
        self,
        provider_id: str,
        change: ServerChange,
        password: SecretText | None = None,
        *,
        key_type: KeyType | None = None,
        wrapping: WrappingKeyRequest | None = None,
    ) -> None:
        """UpdateKmipServer: change a server; NotFound if there is no such server.

        A server without a user has no password either.
        """
        _check_wrapping(wrapping)
        changed = change.applied_to(self._store.providers.server(provider_id, change.name))
        self._store.providers.update_server(provider_id, changed)
        self._set_password(provider_id, change.name, password)
        if changed.user_name is None:
            self._store.secrets.remove(password_name(provider_id, change.name))
        self._set_keys(provider_id, key_type, wrapping)

    def remove_server(self, provider_id: str, server: str, *, with_provider: bool = False) -> None:
        """RemoveKmipServer: remove a server, even if it is in use.

        ``with_provider`` also removes a provider that has no other server: vSphere's clients never
        remove it otherwise.
        """
        self._store.providers.remove_server(provider_id, server)
        self._store.secrets.remove(password_name(provider_id, server))
        if with_provider and not self._store.providers.servers(provider_id):
            self.unregister(provider_id)

    def register_trusted(self, provider_id: str) -> None:
        """RegisterKmsCluster: register a trusted key provider (type trustAuthority)."""
        self._store.providers.add(ProviderRecord(provider_id, ManagementType.TRUSTED))

    def unregister(self, provider_id: str) -> None:
        """UnregisterKmsCluster: remove a provider with all its servers and secrets.

        Machines that are encrypted with it stay encrypted; they can be unlocked again once a
        provider with the same id exists.
        """
        if self._store.providers.get(provider_id).type is ManagementType.NATIVE:
            raise InvalidArgument(
                f"{provider_id} is a native key provider (delete-native-provider deletes it)",
                invalid_property="clusterId",
            )
        self._store.providers.remove(provider_id)
        for kind in ("password", *CLIENT_SECRETS, native.SECRET_PREFIX):
            self._store.secrets.remove(f"{kind}/{escaped(provider_id)}")

    def configure_wrapping(self, provider_id: str, key_id: str | None, days: int | None) -> None:
        """Use wrapped keys: with a wrapping key by its id, or a new one every so many days (§4.3)."""
        if (key_id is None) == (days is None):
            raise InvalidArgument("give either the id of a wrapping key or a rotation interval")
        wrapping = WrappingKeyRequest(key_id, days)
        _check_wrapping(wrapping)
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.STANDARD:
            raise InvalidArgument(f"the key provider {provider_id} is of type {record.type}")
        self._set_keys(provider_id, KeyType.WRAPPED, wrapping)

    def _set_keys(
        self, provider_id: str, key_type: KeyType | None, wrapping: WrappingKeyRequest | None
    ) -> None:
        details = self._store.providers.get(provider_id).details
        if wrapping is None and key_type is KeyType.WRAPPED and details.key_spec is None:
            wrapping = WrappingKeyRequest()
        if wrapping is not None:
            spec = self._wrapping_spec(details.key_spec, wrapping)
            self._store.providers.change(provider_id, key_spec=spec)
        if key_type is not None or wrapping is not None:
            self._store.providers.change(
                provider_id, default_key_type=key_type or details.default_key_type
            )

    def _wrapping_spec(
        self, present: WrappingKeySpec | None, wrapping: WrappingKeyRequest
    ) -> WrappingKeySpec:
        if wrapping.key_id is not None:
            if present is not None and present.is_fixed and present.key_id == wrapping.key_id:
                return present
            return WrappingKeySpec(wrapping.key_id, configured_time=self._clock())
        interval = wrapping.rotation_interval
        if present is None or present.is_fixed:
            return WrappingKeySpec(rotation_interval=interval, made_by_vcenter=True)
        return structs.replace(present, rotation_interval=interval, made_by_vcenter=True)

    def infos(self) -> list[KmipClusterInfo]:
        """``KmipClusterInfo`` of each provider, in the order of registration."""
        return [self._info(record) for record in self._store.providers.all()]

    def _info(self, record: ProviderRecord) -> KmipClusterInfo:
        details = record.details
        return KmipClusterInfo(
            cluster_id=record.id,
            management_type=record.type.value,
            use_as_default=record.id == self._store.providers.default(),
            use_as_entity_default=self._store.providers.entity_defaults(record.id),
            participants=sorted(self._make(record).participants),
            servers=self._store.providers.servers(record.id),
            key_id=details.key_id,
            has_backup=details.has_backup,
            tpm_required=details.tpm_required,
            default_key_type=details.key_type.value if details.key_spec else None,
            key_info=details.key_spec,
        )

    # Provider objects ----------------------------------------------------------------------------

    def provider(self, provider_id: str, key_type: KeyType | None = None) -> KeyProvider:
        """The provider of this id; NotFound, or InvalidState if it has no server (R4).

        It makes keys of its own type, or of ``key_type``: InvalidArgument if it cannot.
        """
        provider = self._make(self._store.providers.get(provider_id), key_type)
        if isinstance(provider, StandardKeyProvider) and not provider.servers:
            raise InvalidState(f"the key provider {provider_id} has no key server; add one")
        return provider

    def standard(self, provider_id: str) -> StandardKeyProvider:
        """The provider with its key servers; :class:`InvalidArgument` if its type has none."""
        provider = self.provider(provider_id)
        if not isinstance(provider, StandardKeyProvider):
            raise InvalidArgument(
                f"the key provider {provider_id} is of type {provider.management_type}, without key"
                " servers that vCenter could call"
            )
        return provider

    def _make(self, record: ProviderRecord, key_type: KeyType | None = None) -> KeyProvider:
        if record.type is ManagementType.STANDARD:
            return self.make_standard(record, key_type)
        return HostKeyProvider(record.id, record.type, PARTICIPANTS[record.type])

    def make_standard(
        self, record: ProviderRecord, key_type: KeyType | None = None, *, reports: bool = True
    ) -> StandardKeyProvider:
        """The object for the record of a standard provider, also if it has no server.

        Without ``reports``, requests that its servers serve are not reported: the health poll, which
        judges more than that, begins and ends the alarms itself.
        """
        servers = [
            self._reporting(record.id, server) if reports else self._dial(record.id, server)
            for server in self._store.providers.servers(record.id)
        ]
        if record.details.key_spec is None:
            if key_type is KeyType.WRAPPED:
                raise InvalidArgument(
                    f"the key provider {record.id} has no wrapping key (use-wrapping-key)",
                    invalid_property="keySpec.keyType",
                )
            return StandardKeyProvider(record.id, servers)
        wrapping = _StoredWrappingKey(self._store, self._clock, record.id, self._locks)
        makes = key_type or record.details.key_type
        return WrappedKeyProvider(record.id, servers, wrapping, self._clock, makes)

    def _reporting(self, provider_id: str, server: ServerRecord) -> KeyServer:
        report = partial(self._served, provider_id, server.name)
        return ReportingServer(self._dial(provider_id, server), report)

    # Defaults ------------------------------------------------------------------------------------

    def set_default(self, provider_id: str | None, entity: str = ROOT) -> None:
        """SetDefaultKmsCluster: use this provider for new keys, on an entity or everywhere."""
        if provider_id is not None:
            self._store.providers.get(provider_id)
        kind = entity.partition("/")[0]
        if entity != ROOT and kind not in ("cluster", "folder"):
            raise InvalidArgument(
                f"{entity} is neither a cluster nor a folder", invalid_property="entity"
            )
        self._store.inventory.place(entity)
        self._store.providers.set_default(provider_id, entity)

    def default(self, entity: str = ROOT, *, with_parents: bool = True) -> str | None:
        """GetDefaultKmsCluster: of an entity, or else of its nearest parent that has one."""
        places = self._store.inventory.place(entity) if with_parents else (entity,)
        defaults = (self._store.providers.default(place) for place in places)
        return next((provider for provider in defaults if provider is not None), None)

    def for_new_key(
        self, entity: str = ROOT, explicit: str | None = None, key_type: KeyType | None = None
    ) -> KeyProvider:
        """The provider for a new key: the explicit one, or else the nearest default (§4.4)."""
        provider_id = explicit or self.default(entity)
        if provider_id is None:
            raise InvalidState("there is no default key provider; add one, or mark one as default")
        return self.provider(provider_id, key_type)

    async def server_certificate(
        self, provider_id: str, name: str, server_record: ServerRecord | None = None
    ) -> tuple[str, x509.Certificate | None]:
        """RetrieveKmipServerCert: a server's certificate, PEM and parsed; empty if it has none.

        With a record, of a server that need not be registered.
        """
        if server_record is None:
            server_record = self._store.providers.server(provider_id, name)
        else:
            self._store.providers.get(provider_id)
        server = self._dial(provider_id, server_record)
        der = await server.retrieve_certificate()
        if der is None:
            return "", None
        certificate = x509.load_der_x509_certificate(der)
        return to_pem(certificate), certificate


class _StoredWrappingKey:
    """The wrapping key in the details of a provider."""

    def __init__(self, store: Store, clock: Clock, provider_id: str, locks: Locks) -> None:
        self._store = store
        self._clock = clock
        self._provider_id = provider_id
        self._locks = locks

    @property
    def lock(self) -> trio.Lock:
        return self._locks.provider(self._provider_id)

    @property
    def _spec(self) -> WrappingKeySpec:
        return self._store.providers.get(self._provider_id).details.key_spec or WrappingKeySpec()

    def wrapping_key(self) -> WrappingKey:
        spec = self._spec
        return WrappingKey(spec.key_id or "", spec.rotation_interval, spec.configured_time)

    def replace(self, key_id: CryptoKeyId) -> None:
        now = self._clock()
        spec = structs.replace(
            self._spec, key_id=key_id.key_id, configured_time=now, made_by_vcenter=True
        )
        self._store.providers.change(self._provider_id, key_spec=spec)
        self._store.providers.add_key(key_id, int(now.timestamp()))


def _check_wrapping(wrapping: WrappingKeyRequest | None) -> None:
    if wrapping is not None and wrapping.rotation_interval is not None:
        if wrapping.key_id is not None:
            raise InvalidArgument(
                "a wrapping key that is named is not replaced at an interval",
                invalid_property="keySpec",
            )
        checked_interval(wrapping.rotation_interval)
