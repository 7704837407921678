"""The health poll of key providers, whose changes become events (vsphere.md §3.4, §4.4)."""

import logging
from typing import Final

from cryptography import x509

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.defects import contained, describe
from kmipkit_vsphere.model.errors import InvalidArgument, VSphereError
from kmipkit_vsphere.model.records import ManagementType, ProviderRecord
from kmipkit_vsphere.providers import native
from kmipkit_vsphere.vcenter.alarm_definitions import PREFIX
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity, Severity, key_server
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.health import (
    ProviderStatus,
    ServerStatus,
    check_server,
    compare,
    expiry_colour,
    expiry_warning,
    overall,
)
from kmipkit_vsphere.vcenter.key_providers import KeyProviders
from kmipkit_vsphere.vcenter.store import Store

log = logging.getLogger("kmipkit.vsphere.vcenter")


class ProviderHealth:
    """The status of the key providers of one vCenter, and what is new in it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        events: EventLog,
        providers: KeyProviders,
        alarms: Alarms,
    ) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._providers = providers
        self._alarms = alarms
        self._last: dict[str, dict[str, ServerStatus]] = {}
        self._warned: set[str] = set()

    async def status(self, provider_ids: list[str] | None = None) -> list[ProviderStatus]:
        """RetrieveKmipServersStatus: asks every server now; None for all providers."""
        asked = provider_ids or [record.id for record in self._store.providers.all()]
        statuses = [await self._status(provider_id, interactive=True) for provider_id in asked]
        for status in statuses:
            self._update_alarms(status)
        return statuses

    async def is_active(self, provider_id: str | None = None) -> bool:
        """IsKmsClusterActive: whether a provider, or the default, can be used now."""
        asked = provider_id or self._providers.default()
        if asked is None:
            raise InvalidArgument("there is no default key provider", invalid_property="cluster")
        if not self._store.providers.exists(asked):
            raise InvalidArgument(f"there is no key provider {asked}", invalid_property="cluster")
        return (await self._status(asked)).status in (Color.GREEN, Color.YELLOW)

    async def poll(self) -> None:
        """The poll that a real vCenter makes every 300 s (§3.4)."""
        records = self._store.providers.all()
        for provider_id in set(self._last) - {record.id for record in records}:
            del self._last[provider_id]
        for record in records:
            with contained(log, f"the health poll of the key provider {record.id}"):
                status = await self._status(record.id)
                self._update_alarms(status)
                if record.type is ManagementType.STANDARD:
                    self._report_servers(record.id, status.servers or _without_servers(status))
                    self._report_client_certificate(record.id, status.client_certificate)

    async def _status(self, provider_id: str, *, interactive: bool = False) -> ProviderStatus:
        """The status of one provider: whatever is wrong with it is its colour, and a reason."""
        record = self._store.providers.get(provider_id)
        try:
            return await self._checked_status(record, interactive=interactive)
        except VSphereError as failure:
            return ProviderStatus(provider_id, Color.RED, record.type, reasons=(failure.message,))
        except Exception as defect:
            log.error("the status of the key provider %s: %s", provider_id, describe(defect))
            reason = "its status cannot be determined: an internal error; see the log of vCenter"
            return ProviderStatus(provider_id, Color.RED, record.type, reasons=(reason,))

    async def _checked_status(self, record: ProviderRecord, *, interactive: bool) -> ProviderStatus:
        provider_id = record.id
        if record.type is not ManagementType.STANDARD:
            colour, reason = _COLOURS[record.type](record)
            return ProviderStatus(provider_id, colour, record.type, reasons=(reason,))
        provider = self._providers.make_standard(record, reports=False)
        now = self._clock()
        checked = [
            await check_server(server, now, interactive=interactive) for server in provider.servers
        ]
        keys = [key for key in self._store.providers.key_ids() if key.provider_id == provider_id]
        newest = keys[-1] if keys else None
        servers = await compare(provider, checked, record.details.vendor, newest)
        reasons = tuple(reason for server in servers for reason in server.reasons)
        return ProviderStatus(
            provider_id,
            overall(servers),
            record.type,
            tuple(servers),
            self._providers.trust.client_certificate(provider_id),
            reasons or (() if servers else ("there is no key server; add one",)),
        )

    def _update_alarms(self, status: ProviderStatus) -> None:
        """Begin and end the alarms about a provider, its servers and all certificates."""
        provider = Entity("provider", status.provider)
        is_bad = status.status in (Color.YELLOW, Color.RED)
        record = self._store.providers.get(status.provider)
        # A native provider without a backup has an alarm of its own.
        has_other = record.type is ManagementType.NATIVE and not record.details.has_backup
        reason = "; ".join(status.reasons) or "a reason that is not known"
        self._alarms.set(
            AlarmName.KEY_PROVIDER_HEALTH,
            provider,
            f"{PREFIX}kms.crypto.Unreachable" if status.status is Color.RED else "",
            f"the key provider {status.provider} is {status.status}: {reason}"
            if is_bad and not has_other
            else "",
            status.status if is_bad else None,
        )
        self._set_certificate_alarm(
            provider,
            "vecs.KMSClientCertExpirationEvent",
            "vCenter's certificate",
            status.client_certificate,
        )
        for server in status.servers:
            entity = key_server(status.provider, server.name)
            self._alarms.set(
                AlarmName.KEY_SERVER_CONNECTION,
                entity,
                f"{PREFIX}kms.crypto.Unreachable",
                "; ".join(server.reasons) if server.status is Color.RED else "",
            )
            if server.certificate is not None:  # that of one that cannot be reached is not known
                self._set_certificate_alarm(
                    entity,
                    "vecs.KMSServerCertExpirationEvent",
                    f"the certificate of {server.name}",
                    server.certificate,
                )

    def _set_certificate_alarm(
        self, entity: Entity, event_type: str, name: str, certificate: x509.Certificate | None
    ) -> None:
        expiry = expiry_warning(certificate, self._clock())
        self._alarms.set(
            AlarmName.CERTIFICATE,
            entity,
            PREFIX + event_type,
            f"{name} {expiry}" if expiry else "",
            expiry_colour(certificate, self._clock()),
        )

    def _report_client_certificate(
        self, provider_id: str, certificate: x509.Certificate | None
    ) -> None:
        """Warn once about a client certificate that expires soon."""
        expiry = expiry_warning(certificate, self._clock())
        if not expiry:
            self._warned.discard(provider_id)
        elif provider_id not in self._warned:
            self._warned.add(provider_id)
            self._events.add(
                "vecs.KMSClientCertExpirationEvent",
                f"vCenter's certificate for the key provider {provider_id} {expiry}",
                user="vCenter",
                entity=Entity("provider", provider_id),
                severity=Severity.WARNING,
            )

    def _report_servers(self, provider_id: str, servers: tuple[ServerStatus, ...]) -> None:
        last = self._last.get(provider_id, {})
        for server in servers:
            known = last.get(server.name)
            if known is not None and known.reasons == server.reasons:
                continue
            is_red = server.status is Color.RED
            for reason in server.reasons:
                self._events.add(
                    self._event_type(server),
                    reason,
                    user="vCenter",
                    entity=Entity("provider", provider_id),
                    severity=Severity.ERROR if is_red else Severity.WARNING,
                    failed=is_red,
                )
        self._last[provider_id] = {server.name: server for server in servers}

    def _event_type(self, server: ServerStatus) -> str:
        if server.status is Color.RED:
            return "kms.crypto.Unreachable"
        if expiry_warning(server.certificate, self._clock()):
            return "vecs.KMSServerCertExpirationEvent"
        return "kms.crypto.SendKeyError.KeyMissingOnKMS"


def _without_servers(status: ProviderStatus) -> tuple[ServerStatus, ...]:
    """A provider whose servers are not known, as one server, so that its reasons are reported."""
    if not status.reasons:
        return ()
    return (ServerStatus("", status.status, "notConnected", reasons=status.reasons),)


def _trusted_colour(record: ProviderRecord) -> tuple[Color, str]:
    # vCenter does not call the trust authority's services: only hosts know (§1.1).
    return Color.GRAY, f"ask a trusted host for the status of the key provider {record.id}"


_COLOURS: Final = {ManagementType.TRUSTED: _trusted_colour, ManagementType.NATIVE: native.colour}
