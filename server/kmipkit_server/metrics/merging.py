"""The metrics of several processes as those of one server.

What is counted is added up, also what processes have counted that have ended: a counter never goes
back. What is a state is added up as well, unless all processes see the same one, such as the size of the
store.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from prometheus_client.core import Metric

_COUNTED = frozenset({"counter", "histogram"})
"""The types whose values are added up, and kept when a process has ended."""

_Combine = Callable[[float, float], float]

_SAME: dict[str, _Combine] = {
    "kmipkit_build": max,
    "kmipkit_root_key_info": max,
    "kmipkit_connections_limit": max,
    "kmipkit_store_file_bytes": max,
    "kmipkit_store_objects": max,
    "kmipkit_store_object_bytes": max,
    "kmipkit_store_writable": min,
    "kmipkit_certificate_days_left": min,
    "kmipkit_client_certificates_ending": max,
    "kmipkit_audit_position": max,
    "kmipkit_audit_writable": min,
    "kmipkit_backup_age_seconds": min,
    "kmipkit_backup_bytes": max,
    "kmipkit_backup_duration_seconds": max,
    "kmipkit_backup_late": max,
    "process_start_time_seconds": min,
}
"""The metrics whose values are not added up, and how two of them make one."""

_STORED = frozenset(
    {
        ("kmipkit_queue_length", "asynchronous"),
        ("kmipkit_queue_length", "notifications"),
        ("kmipkit_state_entries", "tickets"),
    }
)
"""Series of other metrics that all processes read from the store."""


class _Sample(msgspec.Struct, array_like=True, frozen=True):
    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, array_like=True, frozen=True):
    """A metric with its samples, as it travels between processes."""

    name: str
    documentation: str
    type: str
    unit: str
    samples: list[_Sample]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Family]).decode


def pack(metrics: Iterable[Metric]) -> bytes:
    """Metrics for another process."""
    return _encode(
        [
            Family(
                each.name,
                each.documentation,
                each.type,
                each.unit,
                [_Sample(sample.name, sample.labels, sample.value) for sample in each.samples],
            )
            for each in metrics
        ]
    )


def unpack(data: bytes) -> list[Metric]:
    """Metrics of another process."""
    metrics = []
    for family in _decode(data):
        metric = Metric(family.name, family.documentation, family.type, family.unit)
        for sample in family.samples:
            metric.add_sample(sample.name, sample.labels, sample.value)
        metrics.append(metric)
    return metrics


def merge(processes: Sequence[bytes]) -> bytes:
    """The packed metrics of several processes as one, in the order in which they first come."""
    families: dict[str, Family] = {}
    values: dict[str, dict[tuple[Any, ...], float]] = {}
    for data in processes:
        for family in _decode(data):
            families.setdefault(family.name, family)
            known = values.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, *sorted(sample.labels.items()))
                value = float(sample.value)
                combine = _how(family.name, sample)
                known[key] = combine(known[key], value) if key in known else value
    return _encode([_with(families[name], values[name]) for name in families])


def _how(metric: str, sample: _Sample) -> _Combine:
    if any((metric, label) in _STORED for label in sample.labels.values()):
        return max
    return _SAME.get(metric, float.__add__)


def counted(data: bytes) -> bytes:
    """What stays of the metrics of a process that has ended."""
    return _encode([each for each in _decode(data) if each.type in _COUNTED])


def _with(family: Family, values: dict[tuple[Any, ...], float]) -> Family:
    samples = [_Sample(name, dict(labels), value) for (name, *labels), value in values.items()]
    return Family(family.name, family.documentation, family.type, family.unit, samples)
