"""Trusted clusters as the workload vCenter sees them (vsphere.md §7.3, steps 7 and 8).

It only passes on the addresses of the trust authority's services: it has neither credentials of the
key server nor a token, and no key passes through it (R25).
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any, Final

from kmipkit_vsphere.calls.host import (
    AttestationStatus,
    ConfigureTrustedHost,
    HostAttestation,
    TrustServices,
)
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import (
    AttestationFailed,
    HostUnreachable,
    InvalidArgument,
    InvalidState,
    KeyServerUnreachable,
    VSphereError,
)
from kmipkit_vsphere.model.records import HostRecord, ManagementType
from kmipkit_vsphere.vcenter.alarm_definitions import PREFIX
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity, Severity
from kmipkit_vsphere.vcenter.calls.native import HostProvider, NativeHealth
from kmipkit_vsphere.vcenter.calls.providers import KmipClusterInfo
from kmipkit_vsphere.vcenter.calls.trust import Problems
from kmipkit_vsphere.vcenter.event_types import EVENT_TYPES
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.key_providers import PARTICIPANTS
from kmipkit_vsphere.vcenter.store import Store

log = logging.getLogger("kmipkit.vsphere.vcenter")

_SERVICES: Final = "trustedServices"
_CLUSTER: Final = "trustedCluster/"
_CERTIFICATES: Final = "authoritiesOfRoles"
_STATE: Final = "kms.crypto.TrustAuthority"


class TrustedClusters:
    """The trusted clusters of one vCenter."""

    def __init__(
        self,
        store: Store,
        instance: Instance,
        hosts: HostManager,
        is_trust_authority: Callable[[], bool],
        events: EventLog,
    ) -> None:
        """``authorities`` (PEM) are those of the roles, set when the process starts."""
        self._store = store
        self._instance = instance
        self._host_calls = hosts
        self._is_trust_authority = is_trust_authority
        self._events = events
        self._alarms = hosts.alarms
        self._last_status: dict[str, str] = {}
        self.authorities = ""

    def import_services(self, document: str) -> list[str]:
        """Import the addresses of the services; returns the providers that they offer (R44).

        Raises :class:`InvalidState` if this vCenter administers the trust authority itself: whoever
        runs the machines must not decide which hosts are trusted (R27).
        """
        try:
            services = decode(document.encode(), TrustServices)
        except InvalidArgument as error:
            raise InvalidArgument(
                f"this is not the document of a trust authority's services: {error.message}"
            ) from None
        if services.vcenter_id == self._instance.id or self._is_trust_authority():
            raise InvalidState(
                "trusted cluster and trust authority must have different vCenter systems"
            )
        self._store.providers.set_setting(_SERVICES, encode(services).decode())
        return list(services.providers)

    def unregistered(self) -> list[KmipClusterInfo]:
        """The trusted providers that the services offer, and that are not registered here."""
        text = self._store.providers.setting(_SERVICES)
        offered = decode(text.encode(), TrustServices).providers if text is not None else []
        participants = PARTICIPANTS[ManagementType.TRUSTED]
        return [
            KmipClusterInfo(
                cluster_id=name,
                management_type=ManagementType.TRUSTED.value,
                use_as_default=False,
                use_as_entity_default=[],
                participants=sorted(participants),
                servers=[],
                registered=False,
            )
            for name in offered
            if not self._store.providers.exists(name)
        ]

    async def providers_of(self, host: HostRecord) -> list[HostProvider]:
        """The trusted providers from which a host gets keys, if its cluster is trusted."""
        text = self._store.providers.setting(_SERVICES)
        cluster = host.parent.removeprefix("cluster/")
        if text is None or self._store.providers.setting(_CLUSTER + cluster) is None:
            return []
        status = await self._host_calls.call(host, AttestationStatus())
        health = NativeHealth.OK if status.status == "attested" else NativeHealth.ERROR
        reason = "; ".join(status.messages) or f"the host is {status.status}"
        return [
            HostProvider(name, ManagementType.TRUSTED, health, reason)
            for name in decode(text.encode(), TrustServices).providers
        ]

    async def enable(self, cluster: str) -> Problems:
        """Make a cluster trusted: send its hosts the addresses of the services."""
        self._store.inventory.cluster(cluster)
        if self._store.providers.setting(_SERVICES) is None:
            raise InvalidState("import the services of a trust authority first")
        self._store.providers.set_setting(_CLUSTER + cluster, "enabled")
        return await self.remediate(cluster)

    async def remediate(self, cluster: str) -> Problems:
        """Send the addresses to the hosts of a cluster again."""
        text = self._store.providers.setting(_SERVICES)
        if text is None or self._store.providers.setting(_CLUSTER + cluster) is None:
            raise InvalidState(f"the cluster {cluster} is not trusted")
        configure = ConfigureTrustedHost(decode(text.encode(), TrustServices))
        problems: Problems = {}
        for host in self._hosts(cluster):
            try:
                await self._host_calls.call(host, configure)
            except VSphereError as failure:
                problems[host.name] = failure.message
            else:
                problems[host.name] = None
        return problems

    def _hosts(self, cluster: str) -> list[HostRecord]:
        hosts = self._store.inventory.hosts()
        return [host for host in hosts if host.parent == f"cluster/{cluster}"]

    async def attestation(self, cluster: str) -> dict[str, HostAttestation]:
        """The attestation status of each host of a cluster."""
        statuses: dict[str, HostAttestation] = {}
        unavailable = ""
        for host in self._hosts(cluster):
            failure: VSphereError | None = None
            try:
                status = await self._host_calls.call(host, AttestationStatus())
            except VSphereError as error:
                failure = error
                state = "unknown" if isinstance(error, HostUnreachable) else "notAttested"
                status = HostAttestation(state, messages=(error.message,))
            if isinstance(failure, KeyServerUnreachable):
                unavailable = failure.message
            statuses[host.name] = status
            self._report(host, cluster, status, failure)
        self._report_authority(cluster, unavailable)
        return statuses

    async def poll(self) -> None:
        """Ask the hosts of all trusted clusters; changes become events."""
        self._compare_certificates()
        for cluster in self._store.providers.settings(_CLUSTER):
            with contained(log, f"the trusted cluster {cluster}"):
                await self.attestation(cluster)

    async def decommission(self, user: str, name: str) -> None:
        """Make an ordinary host of one of a trusted cluster: it forgets the services (§7.3)."""
        host = self._store.inventory.host(name)
        await self._host_calls.call(host, ConfigureTrustedHost(None))
        self._last_status.pop(name, None)
        entity = Entity("host", name, host.uuid)
        self._alarms.end(AlarmName.HOST_ATTESTATION, entity)
        self._events.add(
            "TrustAuthority.DecommissionHost",
            f"host {name} no longer gets keys from the trust authority",
            user=user,
            entity=entity,
        )

    # Events --------------------------------------------------------------------------------------

    def _report(
        self,
        host: HostRecord,
        cluster: str,
        status: HostAttestation,
        failure: VSphereError | None,
    ) -> None:
        """What is new about a host, as an event; while it is not attested, it also has an alarm."""
        reason = "; ".join(status.messages)
        state = f"{status.status}: {reason}" if reason else status.status
        if self._last_status.get(host.name) == state:
            return
        self._last_status[host.name] = state
        entity = Entity("host", host.name, host.uuid)
        if status.status == "attested":
            text = f"host {host.name} is attested by {status.service_id}"
            self._event("TaHostAttestPassEvent", text, entity, service=status.service_id)
            return
        text = f"host {host.name} is {state}"
        if status.status == "unknown":
            self._event("TaHostAttestUnsetEvent", text, entity, reason=reason)
            return
        if isinstance(failure, InvalidState):
            self._event("TrustAuthority.HostNotConfigured", text, entity, cluster=cluster)
        if isinstance(failure, AttestationFailed):
            self._event("host.TPMAttestationFailedEvent", text, entity, reason=reason)
        self._event("TaHostAttestFailEvent", text, entity, reason=reason)

    def _report_authority(self, cluster: str, problem: str) -> None:
        """Whether any host of a cluster finds no service of the trust authority."""
        entity, event_type = Entity("cluster", cluster), f"{_STATE}.ClusterNotAvailable"
        if self._alarms.set(AlarmName.TRUST_AUTHORITY, entity, PREFIX + event_type, problem):
            self._event(event_type, problem, entity, reason=problem)

    def _compare_certificates(self) -> None:
        """Whether the authority of the roles has changed, by which the trust authority knows us."""
        digest = hashlib.sha256(self.authorities.encode()).hexdigest()
        known = self._store.providers.setting(_CERTIFICATES)
        if known == digest:
            return
        self._store.providers.set_setting(_CERTIFICATES, digest)
        if known is not None and self._store.providers.settings(_CLUSTER):
            self._events.add(
                "TrustAuthority.StsCertificatesChange",
                "the certificates of this vCenter's authority have changed: import them as its"
                " principal at the trust authority (import-principal)",
                user="vCenter",
                principal=self._instance.id,
            )

    def _event(self, event_type: str, text: str, entity: Entity, **arguments: Any) -> None:
        failed = EVENT_TYPES[event_type].severity is Severity.ERROR
        self._events.add(
            event_type, text, user="vCenter", entity=entity, failed=failed, **arguments
        )
