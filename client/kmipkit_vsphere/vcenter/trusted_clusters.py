"""Trusted clusters as the workload vCenter sees them (vsphere.md §7.3, steps 7 and 8).

It only passes on the addresses of the trust authority's services: it has neither credentials of the
key server nor a token, and no key passes through it (R25).
"""

import logging
from collections.abc import Callable
from typing import Final

from kmipkit_vsphere.calls.host import (
    AttestationStatus,
    ConfigureTrustedHost,
    HostAttestation,
    TrustServices,
)
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, VSphereError
from kmipkit_vsphere.model.records import HostRecord, ManagementType
from kmipkit_vsphere.vcenter.calls.events import Entity
from kmipkit_vsphere.vcenter.calls.native import HostProvider, NativeHealth
from kmipkit_vsphere.vcenter.calls.providers import KmipClusterInfo
from kmipkit_vsphere.vcenter.calls.trust import Problems
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.key_providers import PARTICIPANTS
from kmipkit_vsphere.vcenter.store import Store

log = logging.getLogger("kmipkit.vsphere.vcenter")

_SERVICES: Final = "trustedServices"
_CLUSTER: Final = "trustedCluster/"


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
        self._store = store
        self._instance = instance
        self._host_calls = hosts
        self._is_trust_authority = is_trust_authority
        self._events = events
        self._last_status: dict[str, str] = {}

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
        for host in self._hosts(cluster):
            try:
                status = await self._host_calls.call(host, AttestationStatus())
            except VSphereError as failure:
                status = HostAttestation("notAttested", messages=(failure.message,))
            statuses[host.name] = status
            self._report(host, status)
        return statuses

    async def poll(self) -> None:
        """Ask the hosts of all trusted clusters; changes become events."""
        for cluster in self._store.providers.settings(_CLUSTER):
            with contained(log, f"the trusted cluster {cluster}"):
                await self.attestation(cluster)

    def _report(self, host: HostRecord, status: HostAttestation) -> None:
        if self._last_status.get(host.name) == status.status:
            return
        self._last_status[host.name] = status.status
        passed = status.status == "attested"
        self._events.add(
            "TaHostAttestPassEvent" if passed else "TaHostAttestFailEvent",
            f"host {host.name} is {status.status}: "
            + ("; ".join(status.messages) or f"by {status.service_id}"),
            user="vCenter",
            entity=Entity("host", host.name, host.uuid),
            failed=not passed,
        )
