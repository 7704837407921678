"""The port for monitoring, put together from the parts of a server."""

from dataclasses import dataclass
from functools import partial

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from kmipkit_server.audit.service import Audit
from kmipkit_server.backup.schedule import Backups
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.engine.notifications import Notifications
from kmipkit_server.engine.peers import ALONE, Peers
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.warnings import Warnings
from kmipkit_server.metrics import collector
from kmipkit_server.metrics.certificates import certificate_problem, revocation_problem
from kmipkit_server.metrics.operations import OperationCounters
from kmipkit_server.metrics.pages import MetricsPage, pages
from kmipkit_server.metrics.readiness import Check, Readiness, StoreProbe, immediate
from kmipkit_server.metrics.server import MonitoringServer
from kmipkit_server.metrics.whole import READINESS, WholeServer
from kmipkit_server.net.listener import Listener
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.net.validity import validities
from kmipkit_server.store.base import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """What is watched."""

    store: Store
    dispatcher: Dispatcher
    listener: Listener
    tls: TLSSettings
    notifications: Notifications
    operations: OperationCounters
    warnings: Warnings
    clock: Clock
    backups: Backups
    audit: Audit | None = None
    peers: Peers = ALONE

    def collect(self) -> list[Metric]:
        """The metrics of this process."""
        return [metric for each in collectors(self) for metric in each.collect()]


def server(
    parts: Parts, *, is_tls: bool = False, needs_certificate: bool = False
) -> MonitoringServer:
    """A server for monitoring.

    Args:
        is_tls: whether it uses TLS, with the server's own certificate.
        needs_certificate: whether its clients need one of ``tls.ca``.
    """
    readiness = Readiness(checks(parts))
    whole = WholeServer(parts.peers, readiness, parts.collect)
    parts.peers.answer(READINESS, whole.answer_readiness)
    content = pages(whole.reasons, MetricsPage(whole.metrics))
    if not is_tls:
        return MonitoringServer(content)
    if not needs_certificate:
        return MonitoringServer(content, parts.tls.context_for_all)
    revocations = parts.tls.revocations
    return MonitoringServer(content, lambda: parts.tls.context, revocations.require_valid)


def checks(parts: Parts) -> dict[str, Check]:
    """Why the server may not be ready."""
    tls, clock, listener = parts.tls, parts.clock, parts.listener
    return {
        "serving": immediate(lambda: "the server is stopping" if listener.is_draining else None),
        "certificate": immediate(lambda: certificate_problem(tls, clock())),
        "revocation": immediate(lambda: revocation_problem(tls, clock())),
        "store": StoreProbe(parts.store, clock),
        **(
            {}
            if parts.audit is None
            else {"audit": immediate(partial(_audit_problem, parts.audit))}
        ),
    }


def _audit_problem(audit: Audit) -> str | None:
    """Why the audit makes the server refuse requests."""
    since = audit.log.refusing_since
    return (
        None
        if since is None
        else f"the audit log cannot be written since {since:%Y-%m-%d %H:%M:%S} UTC"
    )


def collectors(parts: Parts) -> tuple[Collector, ...]:
    """The metrics of the server and of its process."""
    dispatcher, store = parts.dispatcher, parts.store
    audit = parts.audit
    sources = (
        collector.build_info,
        partial(collector.operations, parts.operations),
        partial(collector.connections, parts.listener),
        partial(collector.store, store),
        partial(
            collector.queues,
            store,
            dispatcher.computer,
            dispatcher.server.state,
            parts.notifications,
        ),
        partial(collector.warnings, parts.warnings),
        partial(
            collector.certificates,
            lambda: validities(parts.tls),
            dispatcher.server.state.sightings,
            parts.clock,
        ),
        *((partial(collector.backups, parts.backups),) if parts.backups.is_configured else ()),
        *(() if audit is None else (partial(collector.audit, audit.log),)),
    )
    return (
        collector.ServerCollector(sources),
        ProcessCollector(registry=CollectorRegistry()),
    )
