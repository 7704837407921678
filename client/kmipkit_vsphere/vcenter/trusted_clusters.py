"""Trusted clusters as the workload vCenter sees them (vsphere.md §7.3, steps 7 and 8).

It passes on where the trust authority's services are, and nothing else: it has neither credentials
of the key server nor a token, and no key comes by (R25).
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState, VSphereError
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.vcenter.events import Entity, EventLog
from kmipkit_vsphere.vcenter.store import Store

_SERVICES: Final = "trustedServices"
_CLUSTER: Final = "trustedCluster/"

Call = Callable[[HostRecord, str, dict[str, Any]], Awaitable[Any]]


class TrustedClusters:
    """The trusted clusters of one vCenter."""

    def __init__(
        self,
        store: Store,
        instance_id: Callable[[], str],
        call: Call,
        is_trust_authority: Callable[[], bool],
        events: EventLog,
    ) -> None:
        self._events = events
        self._seen: dict[str, str] = {}
        self._store = store
        self._instance_id = instance_id
        self._call = call
        self._is_trust_authority = is_trust_authority

    def import_services(self, document: Mapping[str, Any]) -> list[str]:
        """Learn where the services are; the names of the providers that they offer (R44).

        Raises :class:`InvalidState` where the trust authority is administered by this very vCenter:
        whoever runs the machines must not decide whom to trust (R27).
        """
        wanted = {"vcenterId", "group", "authorities", "providers", "services"}
        if not wanted <= set(document):
            raise InvalidArgument("this is not services information of a trust authority")
        if document["vcenterId"] == self._instance_id() or self._is_trust_authority():
            raise InvalidState(
                "trusted cluster and trust authority must have different vCenter systems"
            )
        self._store.providers.set_setting(_SERVICES, json.dumps(dict(document)))
        return [str(one) for one in document["providers"]]

    async def enable(self, cluster: str) -> dict[str, str | None]:
        """Make a cluster trusted: its hosts learn where the services are."""
        self._store.inventory.cluster(cluster)
        if self._store.providers.setting(_SERVICES) is None:
            raise InvalidState("import the services of a trust authority first")
        self._store.providers.set_setting(_CLUSTER + cluster, "enabled")
        return await self.remediate(cluster)

    async def remediate(self, cluster: str) -> dict[str, str | None]:
        """Tell the hosts of a cluster again; host to what went wrong, None for nothing."""
        text = self._store.providers.setting(_SERVICES)
        if text is None or self._store.providers.setting(_CLUSTER + cluster) is None:
            raise InvalidState(f"the cluster {cluster} is not trusted")
        found: dict[str, str | None] = {}
        for host in self._hosts(cluster):
            try:
                await self._call(host, "ConfigureTrustedHost", {"services": json.loads(text)})
            except VSphereError as failure:
                found[host.name] = failure.message
            else:
                found[host.name] = None
        return found

    def _hosts(self, cluster: str) -> list[HostRecord]:
        hosts = self._store.inventory.hosts()
        return [one for one in hosts if one.parent == f"cluster/{cluster}"]

    async def attestation(self, cluster: str) -> dict[str, dict[str, Any]]:
        """The attestation status of a cluster's hosts, as they tell it."""
        found: dict[str, dict[str, Any]] = {}
        for host in self._hosts(cluster):
            try:
                found[host.name] = await self._call(host, "AttestationStatus", {})
            except VSphereError as failure:
                found[host.name] = {"status": "notAttested", "messages": [failure.message]}
            self._notice(host, found[host.name])
        return found

    async def poll(self) -> None:
        """Look at the hosts of all trusted clusters; changes become events."""
        for cluster in self._store.providers.settings(_CLUSTER):
            await self.attestation(cluster)

    def _notice(self, host: HostRecord, status: Mapping[str, Any]) -> None:
        if self._seen.get(host.name) == status["status"]:
            return
        self._seen[host.name] = status["status"]
        passed = status["status"] == "attested"
        self._events.add(
            "TaHostAttestPassEvent" if passed else "TaHostAttestFailEvent",
            f"host {host.name} is {status['status']}: "
            + ("; ".join(status["messages"]) or f"by {status['serviceId']}"),
            user="vCenter",
            entity=Entity("host", host.name, host.uuid),
            failed=not passed,
        )
