"""What is wrong with a trust authority, as its own vCenter sees it: events, and alarms while it lasts.

Certificates that expire soon are reported once; the rest has an alarm, which ends by itself.
"""

from collections.abc import Iterable
from typing import Final

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.vcenter.alarm_definitions import PREFIX
from kmipkit_vsphere.vcenter.alarms import Alarms
from kmipkit_vsphere.vcenter.calls.events import AlarmName, Entity
from kmipkit_vsphere.vcenter.calls.trust import TrustAuthorityHostHealth
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.health import expiry_warning
from kmipkit_vsphere.vcenter.key_server_trust import Trust
from kmipkit_vsphere.vcenter.trust_authority import TrustAuthorityCluster

AUTHORITY: Final = Entity("trustAuthority", "trust authority")
_STATE: Final = "kms.crypto.TrustAuthority"

Hosts = dict[str, TrustAuthorityHostHealth]


class TrustAuthorityMonitor:
    """Looks at the trust authority of one vCenter, if it has one."""

    def __init__(
        self,
        cluster: TrustAuthorityCluster,
        trust: Trust,
        events: EventLog,
        alarms: Alarms,
        clock: Clock,
    ) -> None:
        self._cluster = cluster
        self._trust = trust
        self._events = events
        self._alarms = alarms
        self._clock = clock
        self._warned: set[tuple[str, str]] = set()

    async def poll(self) -> None:
        """Ask all Trust Authority hosts; what is new becomes events."""
        if not self._cluster.is_configured:
            return
        hosts = await self._cluster.health()
        self._report_cluster(hosts)
        for provider in self._cluster.primary_keys:
            self._report_provider(provider, hosts)
            self._report_certificates(provider)

    def _report_cluster(self, hosts: Hosts) -> None:
        silent = {name: health for name, health in hosts.items() if not health.answers}
        outdated = [
            f"{name} has another configuration (trust-authority-remediate)"
            for name, health in hosts.items()
            if health.answers and not health.applied
        ]
        is_gone = len(silent) == len(hosts)
        self._report(
            AlarmName.TRUST_AUTHORITY,
            AUTHORITY,
            "ClusterNotAvailable" if is_gone else "ClusterUnhealthy",
            [*_reasons(silent), *outdated],
            Color.RED if is_gone else Color.YELLOW,
        )

    def _report_provider(self, provider: str, hosts: Hosts) -> None:
        reported = [
            health.providers[provider] for health in hosts.values() if provider in health.providers
        ]
        problems = [state.problem for state in reported if state.problem is not None]
        if reported:  # nobody knows about it while no host answers
            entity = Entity("provider", provider)
            self._report(AlarmName.PRIMARY_KEY, entity, "KmsUnhealthy", problems, Color.RED)

    def _report(
        self,
        alarm: AlarmName,
        entity: Entity,
        kind: str,
        reasons: Iterable[str],
        colour: Color,
    ) -> None:
        """Begin or end an alarm, with an event if it begins."""
        text = "; ".join(dict.fromkeys(reasons))
        event_type = f"{_STATE}.{kind}"
        message = f"the {entity.name}: {text}" if text and entity is AUTHORITY else text
        if self._alarms.set(alarm, entity, PREFIX + event_type, message, colour):
            self._events.add(event_type, message, user="vCenter", entity=entity, reason=text)

    def _report_certificates(self, provider: str) -> None:
        client = self._trust.client_certificate(provider)
        own = [] if client is None else [client]
        servers = self._trust.server_certificates(provider)
        for side, certificates in (("Client", own), ("Server", servers)):
            warnings = [expiry_warning(certificate, self._clock()) for certificate in certificates]
            expiry = next(filter(None, warnings), "")
            if not expiry:
                self._warned.discard((provider, side))
            elif (provider, side) not in self._warned:
                self._warned.add((provider, side))
                owner = "services'" if side == "Client" else "key server's"
                self._events.add(
                    f"TrustAuthority.KMS{side}CertExpirationEvent",
                    f"the {owner} certificate of the trusted key provider {provider} {expiry}",
                    user="vCenter",
                    entity=Entity("provider", provider),
                )


def _reasons(hosts: Hosts) -> list[str]:
    return [problem for health in hosts.values() for problem in health.problems]
