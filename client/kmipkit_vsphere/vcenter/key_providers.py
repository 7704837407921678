"""vCenter's key providers: their servers, and which one is the default (vsphere.md §4.2)."""

from collections.abc import Callable
from typing import Final

import trio
from cryptography import x509

from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, KeyProviderError
from kmipkit_vsphere.model.keys import CryptoKeyId, SecretText, escaped
from kmipkit_vsphere.model.records import (
    ROOT,
    ManagementType,
    ProviderRecord,
    ServerRecord,
    WrappingKeySpec,
)
from kmipkit_vsphere.providers import native
from kmipkit_vsphere.providers.base import HostKeyProvider, KeyProvider, Participant
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.providers.wrapped import WrappedKeyProvider, WrappingKey, checked_interval
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.calls.providers import KmipClusterInfo, ServerRegistration
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.key_server_trust import Trust, password_name
from kmipkit_vsphere.vcenter.locks import Locks
from kmipkit_vsphere.vcenter.store import Store

ServerDialer = Callable[[str, ServerRecord], KeyServer]
"""Makes the key server of a provider (its id) from its record, without connecting."""

_PARTICIPANTS: Final = {
    ManagementType.TRUSTED: frozenset(
        {Participant.KEY_SERVER, Participant.TRUST_AUTHORITY, Participant.HOSTS}
    ),
    ManagementType.NATIVE: frozenset({Participant.VCENTER, Participant.HOSTS}),
}


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
    ) -> None:
        self._store = store
        self._dial = dial
        self._clock = clock
        self._events = events
        self._locks = locks
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
    ) -> ServerRegistration:
        """RegisterKmipServer: add a server; a new provider id creates a provider.

        The first provider becomes the default (R16). A server that cannot be reached is added
        anyway: the answer says what the problem is. A server of another vendor than the provider's
        is refused (R13) unless ``any_vendor``; a provider without key servers always refuses (R5).
        """
        if not self._store.providers.exists(provider_id):
            self._store.providers.add(ProviderRecord(provider_id))
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.STANDARD:
            raise InvalidArgument(
                f"the key provider {provider_id} is of type {record.type}: it has no key servers"
            )
        self._store.providers.add_server(provider_id, server)
        self._set_password(provider_id, server.name, password)
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
            self._store.providers.remove_server(provider_id, server.name)
            raise InvalidArgument(
                f"the vendor of {server.name} is {vendor!r}, but the servers of the key provider"
                f" {provider_id} are from {known!r}; add another key provider for it"
            )

    def _set_password(self, provider_id: str, server: str, password: SecretText | None) -> None:
        if password is not None:
            self._store.secrets.put(password_name(provider_id, server), password)

    def update_server(
        self, provider_id: str, server: ServerRecord, password: SecretText | None = None
    ) -> None:
        """UpdateKmipServer: change a server; NotFound if there is no such server."""
        self._store.providers.update_server(provider_id, server)
        self._set_password(provider_id, server.name, password)

    def remove_server(self, provider_id: str, server: str) -> None:
        """RemoveKmipServer: remove a server, even if it is in use."""
        self._store.providers.remove_server(provider_id, server)
        self._store.secrets.remove(password_name(provider_id, server))

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
                f"{provider_id} is a native key provider (delete-native-provider deletes it)"
            )
        self._store.providers.remove(provider_id)
        for kind in ("password", "client", "pending", native.SECRET_PREFIX):
            self._store.secrets.remove(f"{kind}/{escaped(provider_id)}")

    def configure_wrapping(self, provider_id: str, key_id: str | None, days: int | None) -> None:
        """Use wrapped keys: with a wrapping key by its id, or a new one every so many days (§4.3)."""
        if (key_id is None) == (days is None):
            raise InvalidArgument("give either the id of a wrapping key or a rotation interval")
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.STANDARD:
            raise InvalidArgument(f"the key provider {provider_id} is of type {record.type}")
        spec = (
            WrappingKeySpec(key_id)
            if key_id
            else WrappingKeySpec(rotation_interval=checked_interval(days or 0))
        )
        self._store.providers.change(provider_id, key_spec=spec)

    def infos(self) -> list[KmipClusterInfo]:
        """ListKmsClusters: ``KmipClusterInfo`` of each provider, in the order of registration."""
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
            default_key_type="wrappedKey" if details.key_spec else None,
            key_info=details.key_spec,
        )

    # Provider objects ----------------------------------------------------------------------------

    def provider(self, provider_id: str) -> KeyProvider:
        """The provider of this id; NotFound, or InvalidState if it has no server (R4)."""
        provider = self._make(self._store.providers.get(provider_id))
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

    def _make(self, record: ProviderRecord) -> KeyProvider:
        if record.type is ManagementType.STANDARD:
            return self.make_standard(record)
        return HostKeyProvider(record.id, record.type, _PARTICIPANTS[record.type])

    def make_standard(self, record: ProviderRecord) -> StandardKeyProvider:
        """The object for the record of a standard provider, also if it has no server."""
        servers = [
            self._dial(record.id, server) for server in self._store.providers.servers(record.id)
        ]
        if record.details.key_spec is None:
            return StandardKeyProvider(record.id, servers)
        wrapping = _StoredWrappingKey(self._store, self._clock, record.id, self._locks)
        return WrappedKeyProvider(record.id, servers, wrapping, self._clock)

    # Defaults ------------------------------------------------------------------------------------

    def set_default(self, provider_id: str | None, entity: str = ROOT) -> None:
        """SetDefaultKmsCluster: use this provider for new keys, on an entity or everywhere."""
        if provider_id is not None:
            self._store.providers.get(provider_id)
        kind = entity.partition("/")[0]
        if entity != ROOT and kind not in ("cluster", "folder"):
            raise InvalidArgument(f"{entity} is neither a cluster nor a folder")
        self._store.inventory.place(entity)
        self._store.providers.set_default(provider_id, entity)

    def default(self, entity: str = ROOT, *, with_parents: bool = True) -> str | None:
        """GetDefaultKmsCluster: of an entity, or else of its nearest parent that has one."""
        places = self._store.inventory.place(entity) if with_parents else (entity,)
        defaults = (self._store.providers.default(place) for place in places)
        return next((provider for provider in defaults if provider is not None), None)

    def for_new_key(self, entity: str = ROOT, explicit: str | None = None) -> KeyProvider:
        """The provider for a new key: the explicit one, or else the nearest default (§4.4)."""
        provider_id = explicit or self.default(entity)
        if provider_id is None:
            raise InvalidState("there is no default key provider; add one, or mark one as default")
        return self.provider(provider_id)

    async def server_certificate(
        self, provider_id: str, name: str
    ) -> tuple[str, x509.Certificate | None]:
        """RetrieveKmipServerCert: a server's certificate, PEM and parsed; empty if it has none."""
        server = self._dial(provider_id, self._store.providers.server(provider_id, name))
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
        spec = WrappingKeySpec(key_id.key_id, self._spec.rotation_interval, now)
        self._store.providers.change(self._provider_id, key_spec=spec)
        self._store.providers.add_key(key_id, int(now.timestamp()))
