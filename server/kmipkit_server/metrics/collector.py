"""The metrics of a server in the form of Prometheus, made from plain counters when somebody asks.

Each metric has a fixed number of label values, or those of the configuration: no client can add one.
"""

import platform
import sqlite3
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from kmipkit import __version__
from kmipkit_server.audit.log import AuditLog
from kmipkit_server.backup.schedule import Backups
from kmipkit_server.counters.histogram import Histogram
from kmipkit_server.engine import asynchronous
from kmipkit_server.engine.computing import Computer
from kmipkit_server.engine.notifications import NOTICE, Notifications
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.state import ServerState
from kmipkit_server.engine.warnings import Warnings
from kmipkit_server.identity import tickets
from kmipkit_server.identity.sightings import Sightings
from kmipkit_server.metrics.operations import OperationCounters
from kmipkit_server.net.counters import ConnectionCounters
from kmipkit_server.net.listener import Listener
from kmipkit_server.net.validity import Validity
from kmipkit_server.store.base import Store
from kmipkit_server.store.key_rotation import RootKeyName

Source = Callable[[], Iterable[Metric]]
"""Makes the metrics of a part of the server."""


@dataclass(frozen=True, slots=True)
class ServerCollector(Collector):
    """All metrics of a server."""

    sources: tuple[Source, ...]

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        for source in self.sources:
            yield from source()


def build_info() -> Iterator[Metric]:
    """The versions of the server and of what it stands on."""
    value = {
        "version": __version__,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
    }
    yield InfoMetricFamily("kmipkit_build", "The versions of the server and its libraries.", value)


def operations(counters: OperationCounters) -> Iterator[Metric]:
    """What was asked of the server, with which result, and how long it took."""
    labels = ("operation", "version", "tenant", "outcome", "reason")
    total = CounterMetricFamily("kmipkit_operations", "Operations, by their result.", labels=labels)
    for each in counters.counts():
        total.add_metric(
            (each.operation, each.version, each.tenant, each.outcome, each.reason), each.number
        )
    yield total
    durations = HistogramMetricFamily(
        "kmipkit_request_duration_seconds",
        "From a whole request to its response, by the operation of its only item; Batch for several.",
        labels=("operation", "tenant"),
    )
    for key, histogram in counters.durations().items():
        durations.add_metric(key, _buckets(histogram), histogram.sum)
    yield durations
    yield _counter(
        "kmipkit_messages_refused",
        "Messages that could not be read.",
        "reason",
        counters.refusals().items(),
    )


def connections(listener: Listener) -> Iterator[Metric]:
    """Connections, handshakes, and why they failed."""
    counters = listener.counters
    yield GaugeMetricFamily(
        "kmipkit_connections_open", "Open connections.", listener.open_connections
    )
    yield GaugeMetricFamily(
        "kmipkit_connections_limit", "limits.connections.", listener.limits.connections
    )
    yield from accepted(counters)
    yield _counter(
        "kmipkit_connections_closed",
        "Connections that have ended after their handshake.",
        "reason",
        counters.closed.items(),
    )
    yield CounterMetricFamily(
        "kmipkit_handshakes", "TLS handshakes that succeeded.", counters.handshakes
    )
    yield _counter(
        "kmipkit_handshake_failures",
        "TLS handshakes that failed.",
        "reason",
        counters.handshake_failures.items(),
    )
    yield _histogram(
        "kmipkit_handshake_duration_seconds",
        "Duration of TLS handshakes that succeeded, waiting for the client included.",
        counters.handshake_seconds,
    )
    yield _counter(
        "kmipkit_clients_refused",
        "Clients refused after their handshake.",
        "reason",
        counters.clients_refused.items(),
    )


def accepted(counters: ConnectionCounters) -> Iterator[Metric]:
    """Connections that were accepted, and those that were refused before their handshake."""
    yield CounterMetricFamily(
        "kmipkit_connections_accepted", "Connections that got a place.", counters.accepted
    )
    yield _counter(
        "kmipkit_connections_refused",
        "Connections that got no place.",
        "reason",
        counters.refused.items(),
    )


def store(store: Store) -> Iterator[Metric]:
    """The store and its writer."""
    figures = store.figures
    writer = figures.writer
    size = GaugeMetricFamily(
        "kmipkit_store_file_bytes", "Size of the files of the store.", labels=("file",)
    )
    for name, count in figures.file_bytes.items():
        size.add_metric((name,), count)
    yield size
    root_key = GaugeMetricFamily(
        "kmipkit_root_key_info", "The root key in use.", labels=RootKeyName._fields
    )
    root_key.add_metric(store.rotations.root_key, 1)
    yield root_key
    yield GaugeMetricFamily(
        "kmipkit_store_objects", "Objects that are not destroyed.", figures.objects
    )
    yield GaugeMetricFamily(
        "kmipkit_store_object_bytes",
        "Bytes of the material and attributes of all objects.",
        figures.object_bytes,
    )
    yield CounterMetricFamily("kmipkit_store_commits", "Commits on disk.", writer.commits)
    yield CounterMetricFamily(
        "kmipkit_store_commit_failures", "Groups that could not be written.", writer.failures
    )
    yield GaugeMetricFamily(
        "kmipkit_store_writable", "0 if the last commit has failed.", float(not writer.is_failing)
    )
    yield _histogram("kmipkit_store_group_size", "Requests in one commit.", writer.group_size)
    yield _histogram(
        "kmipkit_store_commit_duration_seconds",
        "Until a commit is on disk.",
        writer.commit_seconds,
    )
    yield _histogram(
        "kmipkit_store_write_wait_seconds",
        "From the submission of a write until it is on disk.",
        writer.wait_seconds,
    )


def queues(
    store: Store, computer: Computer, state: ServerState, notifications: Notifications
) -> Iterator[Metric]:
    """What waits, what runs at the same time, and what the server keeps in memory."""
    figures = store.figures
    pools = {"workers": computer.figures, "reading_threads": figures.readers}
    lengths = {
        "writer": figures.queued,
        "asynchronous": figures.entries.get(asynchronous.WAITING, 0),
        "notifications": figures.entries.get(NOTICE, notifications.length),
        **{name: pool.waiting for name, pool in pools.items()},
    }
    length = GaugeMetricFamily("kmipkit_queue_length", "What waits.", labels=("queue",))
    for name, count in lengths.items():
        length.add_metric((name,), count)
    yield length
    used = GaugeMetricFamily("kmipkit_places_used", "Places in use.", labels=("pool",))
    total = GaugeMetricFamily("kmipkit_places", "Places that there are.", labels=("pool",))
    for name, pool in pools.items():
        used.add_metric((name,), pool.used)
        total.add_metric((name,), pool.places)
    yield used
    yield total
    held = GaugeMetricFamily(
        "kmipkit_state_entries",
        "What the server keeps between requests.",
        labels=("kind",),
    )
    held.add_metric(("multipart_operations",), len(state.computations))
    held.add_metric(("tickets",), figures.entries.get(tickets.VALID, 0))
    yield held
    yield _counter(
        "kmipkit_limits_reached",
        "Requests and operations refused because of a limit or quota.",
        "limit",
        state.limits_reached.items(),
    )


def backups(source: Backups) -> Iterator[Metric]:
    """The age of the newest backup, and what became of those since the start."""
    figures = source.figures
    age = source.age()
    if age is not None and figures.last is not None:
        yield GaugeMetricFamily(
            "kmipkit_backup_age_seconds", "Since the state that the newest backup has.", age
        )
        yield GaugeMetricFamily(
            "kmipkit_backup_bytes", "Bytes of the newest backup.", figures.last.manifest.size
        )
    yield GaugeMetricFamily(
        "kmipkit_backup_late", "1 if the newest backup is too old.", int(source.is_late)
    )
    yield GaugeMetricFamily(
        "kmipkit_backup_duration_seconds", "How long the last backup took.", figures.seconds
    )
    yield _counter(
        "kmipkit_backups",
        "Backups since the start, by their result.",
        "outcome",
        (("success", figures.made), ("failure", figures.failed)),
    )


def warnings(warned: Warnings) -> Iterator[Metric]:
    """How often the server has done what it will refuse later."""
    yield _counter(
        "kmipkit_policy_warnings",
        "Operations that an algorithm rule permits now, and will refuse later.",
        "rule",
        warned.counts.items(),
    )


def certificates(
    validities: Callable[[], Iterable[Validity]], sightings: Sightings, clock: Clock
) -> Iterator[Metric]:
    """How long certificates and revocation lists are still valid."""
    days = GaugeMetricFamily(
        "kmipkit_certificate_days_left",
        "Days until a certificate or revocation list ends; negative after that.",
        labels=("role", "name"),
    )
    now = clock()
    left = {(each.role, each.name): each.days_left(now) for each in validities()}
    for labels, count in left.items():
        days.add_metric(labels, count)
    yield days
    # A number only: a time for each account would be as many series as there are accounts.
    yield GaugeMetricFamily(
        "kmipkit_client_certificates_ending",
        "Certificates of clients that end within 30 days, and have no successor yet.",
        value=sum(1 for _ in sightings.ending(now)),
    )


def audit(log: AuditLog) -> Iterator[Metric]:
    """The audit log, as far as it is written, on the disk and signed."""
    position = GaugeMetricFamily(
        "kmipkit_audit_position",
        "The number of the last record that is written, on the disk, and signed.",
        labels=("state", "log"),
    )
    position.add_metric(("written", log.name), log.position.number)
    position.add_metric(("synced", log.name), log.synced.number)
    position.add_metric(("signed", log.name), log.checkpoint_number)
    yield position
    yield GaugeMetricFamily(
        "kmipkit_audit_writable",
        "0 if the last record could not be written.",
        float(log.failing_since is None),
    )


def _counter(
    name: str, documentation: str, label: str, counts: Iterable[tuple[str, int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=(label,))
    for value, count in counts:
        family.add_metric((value,), count)
    return family


def _histogram(name: str, documentation: str, histogram: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, documentation, _buckets(histogram), histogram.sum)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    return [
        ("+Inf" if bound == float("inf") else str(bound), count)
        for bound, count in histogram.buckets()
    ]
