"""vCenter's key providers: their servers, who is the default, and how they are (vsphere.md §4.2).

What can be asked of a provider depends on its type; :data:`_MAKERS` is the table from a record to
the object that does it.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.colour import Colour
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, KeyProviderError
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from kmipkit_vsphere.model.records import ROOT, ManagementType, ProviderRecord, ServerRecord
from kmipkit_vsphere.providers import native
from kmipkit_vsphere.providers.base import HostKeyProvider, KeyProvider, Participant
from kmipkit_vsphere.providers.conversation import KeyServer
from kmipkit_vsphere.providers.standard import StandardKeyProvider
from kmipkit_vsphere.providers.wrapped import WrappedKeyProvider, WrappingKey, checked_interval
from kmipkit_vsphere.vcenter.events import Entity, EventLog, Severity
from kmipkit_vsphere.vcenter.health import ProviderStatus, ServerStatus, compare, ends_soon, look_at
from kmipkit_vsphere.vcenter.health import overall as overall_colour
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.store import Store

ServerDialer = Callable[[str, ServerRecord], KeyServer]
"""Makes the key server of a provider (its id) from its record, without connecting."""

TRUSTED_PARTICIPANTS: Final = frozenset(
    {Participant.KEY_SERVER, Participant.TRUST_AUTHORITY, Participant.HOSTS}
)
NATIVE_PARTICIPANTS: Final = frozenset({Participant.VCENTER, Participant.HOSTS})

log = logging.getLogger("kmipkit.vsphere.vcenter")


class KeyProviders:
    """The key providers of one vCenter. ``user`` in the calls is who asks, for the events."""

    def __init__(
        self, store: Store, dial: ServerDialer, clock: Clock, events: EventLog, trust: Trust
    ) -> None:
        self._store = store
        self._dial = dial
        self._clock = clock
        self._events = events
        self.trust = trust
        self._seen: dict[str, dict[str, ServerStatus]] = {}
        self._warned: set[str] = set()
        self._makers: Mapping[ManagementType, Callable[[ProviderRecord], KeyProvider]] = {
            ManagementType.STANDARD: self._standard,
            ManagementType.TRUSTED: lambda one: HostKeyProvider(
                one.id, one.type, TRUSTED_PARTICIPANTS
            ),
            ManagementType.NATIVE: lambda one: HostKeyProvider(
                one.id, one.type, NATIVE_PARTICIPANTS
            ),
        }

    # Which there are -----------------------------------------------------------------------------

    async def register_server(
        self,
        user: str,
        provider_id: str,
        server: ServerRecord,
        *,
        password: str | None = None,
        any_vendor: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """RegisterKmipServer: add a server; a new provider id makes a provider.

        The first provider becomes the default (R16). A server that cannot be reached is added all
        the same: the result says what is wrong with it. One of another vendor than the provider's
        is refused (R13) unless ``any_vendor``; one for a provider without key servers always (R5).
        """
        if not self._store.providers.exists(provider_id):
            self._store.providers.add(ProviderRecord(provider_id, details=details or {}))
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.STANDARD:
            raise InvalidArgument(
                f"the key provider {provider_id} is of type {record.type}: it has no key servers"
            )
        self._store.providers.add_server(provider_id, server)
        self._set_password(provider_id, server.name, password)
        about = Entity("provider", provider_id)
        answer = {"clusterId": provider_id, "server": server.name}
        try:
            vendor = await StandardKeyProvider(
                provider_id, [self._dial(provider_id, server)]
            ).greet()
        except KeyProviderError as failure:
            self._events.add(
                "kms.crypto.Unreachable", failure.message, user=user, entity=about, failed=True
            )
            return {**answer, "problem": failure.message}
        self._check_vendor(record, server, vendor, any_vendor=any_vendor)
        self._events.add("kms.crypto.Vendor", f"vendor: {vendor}", user=user, entity=about)
        return {**answer, "vendor": vendor}

    def _check_vendor(
        self, record: ProviderRecord, server: ServerRecord, vendor: str, *, any_vendor: bool
    ) -> None:
        known = record.details.get("vendor")
        if known is None:
            self._store.providers.change(record.id, vendor=vendor)
        elif known != vendor and not any_vendor:
            self._store.providers.remove_server(record.id, server.name)
            raise InvalidArgument(
                f"{server.name} is of the vendor {vendor!r}, but the servers of the key provider"
                f" {record.id} are of {known!r}; add another key provider for it"
            )

    def _set_password(self, provider_id: str, server: str, password: str | None) -> None:
        if password is not None:
            name = password_name(provider_id, server)
            self._store.secrets.remove(name)
            if password:
                self._store.secrets.put(name, Secret(password.encode()))

    def update_server(
        self, provider_id: str, server: ServerRecord, password: str | None = None
    ) -> None:
        """UpdateKmipServer: change a server; NotFound if there is none such."""
        self._store.providers.update_server(provider_id, server)
        self._set_password(provider_id, server.name, password)

    def remove_server(self, provider_id: str, server: str) -> None:
        """RemoveKmipServer: forget a server, also where it is in use."""
        self._store.providers.remove_server(provider_id, server)
        self._store.secrets.remove(password_name(provider_id, server))

    def register_trusted(self, provider_id: str) -> None:
        """RegisterKmsCluster: make a trusted key provider known (type trustAuthority)."""
        self._store.providers.add(ProviderRecord(provider_id, ManagementType.TRUSTED))

    def unregister(self, provider_id: str) -> None:
        """UnregisterKmsCluster: forget a provider with all its servers and secrets.

        Machines that are encrypted with it stay so: they open again under the same provider id.
        """
        if self._store.providers.get(provider_id).type is ManagementType.NATIVE:
            raise InvalidArgument(f"{provider_id} is a native key provider; delete that")
        self.forget(provider_id)

    def forget(self, provider_id: str) -> None:
        """Remove a provider of whatever type from the store."""
        self._store.providers.remove(provider_id)
        for kind in ("password", "client", "pending", native.KEPT_AS):
            self._store.secrets.remove(f"{kind}/{provider_id}")
        self._seen.pop(provider_id, None)

    def configure_wrapping(self, provider_id: str, key_id: str | None, days: int | None) -> None:
        """Use wrapped keys: the wrapping key by its id, or made anew every so many days (§4.3)."""
        if (key_id is None) == (days is None):
            raise InvalidArgument("a wrapping key is given by its id or by a rotation interval")
        self._standard_record(provider_id)
        spec = {"keyId": key_id} if key_id else {"rotationInterval": checked_interval(days or 0)}
        self._store.providers.change(provider_id, keySpec=spec)

    def infos(self) -> list[dict[str, Any]]:
        """ListKmsClusters: ``KmipClusterInfo`` of each provider, the first added first."""
        return [self._info(record) for record in self._store.providers.all()]

    def _info(self, record: ProviderRecord) -> dict[str, Any]:
        details = record.details
        info: dict[str, Any] = {
            "clusterId": record.id,
            "managementType": record.type.value,
            "useAsDefault": record.id == self._store.providers.default(),
            "useAsEntityDefault": self._store.providers.entity_defaults(record.id),
            "participants": sorted(self.provider(record.id, needs_server=False).participants),
            "servers": [_server_info(one) for one in self._store.providers.servers(record.id)],
        }
        if record.type is ManagementType.NATIVE:
            info |= {name: details.get(name) for name in ("keyId", "hasBackup", "tpmRequired")}
        if "keySpec" in details:
            info |= {"defaultKeyType": "wrappedKey", "keyInfo": details["keySpec"]}
        return info

    # The objects behind --------------------------------------------------------------------------

    def provider(self, provider_id: str, *, needs_server: bool = True) -> KeyProvider:
        """The provider of this id; NotFound, or InvalidState where it has no server (R4)."""
        found = self._makers[self._store.providers.get(provider_id).type]
        made = found(self._store.providers.get(provider_id))
        if needs_server and isinstance(made, StandardKeyProvider) and not made.servers:
            raise InvalidState(f"the key provider {provider_id} has no key server; add one")
        return made

    def standard(self, provider_id: str) -> StandardKeyProvider:
        """The provider as one with key servers; :class:`InvalidArgument` if it has none such."""
        found = self.provider(provider_id)
        if not isinstance(found, StandardKeyProvider):
            raise InvalidArgument(
                f"the key provider {provider_id} is of type {found.management_type}, without key"
                " servers that vCenter speaks to"
            )
        return found

    def _standard_record(self, provider_id: str) -> ProviderRecord:
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.STANDARD:
            raise InvalidArgument(f"the key provider {provider_id} is of type {record.type}")
        return record

    def _standard(self, record: ProviderRecord) -> StandardKeyProvider:
        servers = [self._dial(record.id, one) for one in self._store.providers.servers(record.id)]
        spec = record.details.get("keySpec")
        if spec is None:
            return StandardKeyProvider(record.id, servers)
        configured = spec.get("configuredTime")
        wrapping = WrappingKey(
            spec.get("keyId", ""),
            spec.get("rotationInterval"),
            datetime.fromisoformat(configured) if configured else None,
        )

        def rotated(key_id: CryptoKeyId) -> None:
            now = self._clock()
            changed = {**spec, "keyId": key_id.key_id, "configuredTime": now.isoformat()}
            self._store.providers.change(record.id, keySpec=changed)
            self._store.providers.add_key(key_id, int(now.timestamp()))

        return WrappedKeyProvider(record.id, servers, wrapping, self._clock(), rotated)

    # Defaults ------------------------------------------------------------------------------------

    def set_default(self, provider_id: str | None, entity: str = ROOT) -> None:
        """SetDefaultKmsCluster: new keys come from this provider, on an entity or everywhere."""
        if provider_id is not None:
            self._store.providers.get(provider_id)
        kind = entity.partition("/")[0]
        if entity != ROOT and kind not in ("cluster", "folder"):
            raise InvalidArgument(f"{entity} is neither a cluster nor a folder")
        self._store.inventory.place(entity)
        self._store.providers.set_default(provider_id, entity)

    def default(self, entity: str = ROOT, *, climb: bool = True) -> str | None:
        """GetDefaultKmsCluster: of an entity or, climbing, of the nearest that has one."""
        for place in self._store.inventory.place(entity) if climb else (entity,):
            found = self._store.providers.default(place)
            if found is not None:
                return found
        return None

    def for_new_key(self, entity: str = ROOT, explicit: str | None = None) -> KeyProvider:
        """Where a new key comes from: as asked, else the nearest default (§4.4)."""
        provider_id = explicit or self.default(entity)
        if provider_id is None:
            raise InvalidState("there is no default key provider; add one, or mark one as default")
        return self.provider(provider_id)

    async def server_certificate(
        self, provider_id: str, name: str
    ) -> tuple[str, x509.Certificate | None]:
        """RetrieveKmipServerCert: what a server shows, PEM and parsed; empty if it does not."""
        server = self._dial(provider_id, self._store.providers.server(provider_id, name))
        der = await server.retrieve_certificate()
        if der is None:
            return "", None
        certificate = x509.load_der_x509_certificate(der)
        return to_pem(certificate), certificate

    # Health --------------------------------------------------------------------------------------

    async def status(self, provider_ids: list[str] | None = None) -> list[ProviderStatus]:
        """RetrieveKmipServersStatus: looks at every server now; None for all providers."""
        wanted = provider_ids or [record.id for record in self._store.providers.all()]
        return [await self._look(one, closely=True) for one in wanted]

    async def poll(self) -> None:
        """The health poll of a real vCenter, every 300 s; changes become events (§3.4)."""
        for record in self._store.providers.all():
            if record.type is ManagementType.STANDARD:
                status = await self._look(record.id)
                self._notice(record.id, status.servers)
                self._notice_client(record.id, status.client_certificate)

    async def is_active(self, provider_id: str | None = None) -> bool:
        """IsKmsClusterActive: whether a provider, or the default, can be used now."""
        wanted = provider_id or self.default()
        if wanted is None:
            raise InvalidArgument("there is no default key provider")
        return (await self._look(wanted)).status in (Colour.GREEN, Colour.YELLOW)

    async def _look(self, provider_id: str, *, closely: bool = False) -> ProviderStatus:
        record = self._store.providers.get(provider_id)
        if record.type is not ManagementType.STANDARD:
            colour, reason = _COLOURS[record.type](record)
            return ProviderStatus(provider_id, colour, record.type, reasons=(reason,))
        provider = self._standard(record)
        now = self._clock()
        seen = [await look_at(server, now, closely=closely) for server in provider.servers]
        keys = [key for key in self._store.providers.key_ids() if key.provider_id == provider_id]
        recent = keys[-1] if keys else None
        servers = await compare(provider, seen, record.details.get("vendor"), recent)
        reasons = tuple(reason for server in servers for reason in server.reasons)
        return ProviderStatus(
            provider_id,
            overall_colour(servers),
            record.type,
            tuple(servers),
            self.trust.client_certificate(provider_id),
            reasons or (() if servers else ("there is no key server; add one",)),
        )

    def _notice_client(self, provider_id: str, certificate: x509.Certificate | None) -> None:
        """Warn once of a client certificate that ends soon; a new one may be warned of again."""
        ending = ends_soon(certificate, self._clock())
        if not ending:
            self._warned.discard(provider_id)
        elif provider_id not in self._warned:
            self._warned.add(provider_id)
            self._events.add(
                "vecs.KMSClientCertExpirationEvent",
                f"vCenter's certificate for the key provider {provider_id} {ending}",
                user="vCenter",
                entity=Entity("provider", provider_id),
                severity=Severity.WARNING,
            )

    def _notice(self, provider_id: str, servers: tuple[ServerStatus, ...]) -> None:
        before = self._seen.get(provider_id, {})
        about = Entity("provider", provider_id)
        for server in servers:
            known = before.get(server.name)
            if known is not None and known.reasons == server.reasons:
                continue
            for reason in server.reasons:
                self._events.add(
                    _event_type(server, self._clock()),
                    reason,
                    user="vCenter",
                    entity=about,
                    severity=Severity.ERROR if server.status is Colour.RED else Severity.WARNING,
                    failed=server.status is Colour.RED,
                )
        self._seen[provider_id] = {server.name: server for server in servers}


def _event_type(server: ServerStatus, now: datetime) -> str:
    if server.status is Colour.RED:
        return "kms.crypto.Unreachable"
    if ends_soon(server.certificate, now):
        return "vecs.KMSServerCertExpirationEvent"
    return "kms.crypto.SendKeyError.KeyMissingOnKMS"


def _trusted_colour(record: ProviderRecord) -> tuple[Colour, str]:
    # vCenter does not speak to the trust authority's services: only hosts know (§1.1).
    return Colour.GRAY, f"ask a trusted host how the key provider {record.id} is"


_COLOURS: Final = {ManagementType.TRUSTED: _trusted_colour, ManagementType.NATIVE: native.colour}


def password_name(provider_id: str, server: str) -> str:
    """Under which name the store keeps the password for a server."""
    return f"password/{provider_id}/{server}"


def _server_info(server: ServerRecord) -> dict[str, Any]:
    info: dict[str, Any] = {"name": server.name, "address": server.address, "port": server.port}
    extra = {"timeout": server.timeout, "userName": server.user_name}
    return info | {name: value for name, value in extra.items() if value is not None}
