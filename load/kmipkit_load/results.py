"""The results of a run as a document: what ``--json`` prints, what pages and comparisons read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kmipkit.terminal import printable_json
from kmipkit_load.cleanup import Removal
from kmipkit_load.errors import LoadError
from kmipkit_load.fleet import Run
from kmipkit_load.histogram import PERCENTILES, Histogram, merged
from kmipkit_load.measures import Effort, Measures
from kmipkit_load.settings import Settings
from kmipkit_load.shape import DOCUMENT, faults

FORMAT = 1
"""The version of the document."""

BUSY = 0.85
"""A process that used more than this share of a core may have been the limit itself."""
LATE = 0.1
"""The generator's own delay at 99 %, relative to the median latency, that is still harmless."""
MIN_LAGS = 100
"""Requests with which 1 % of them says something."""
MIN_LATE = 1_000_000
"""Nanoseconds of its own delay that are always harmless."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """When and with what server a run was made."""

    started: datetime
    vendor: str
    """What Query calls the server."""


def document(settings: Settings, moment: Moment, run: Run, removal: Removal) -> dict[str, Any]:
    """The results; times in milliseconds unless their name says otherwise."""
    measures = run.measures
    return {
        "kmipkit_load": FORMAT,
        "run": settings.run,
        "started": moment.started.isoformat(timespec="seconds"),
        "server": {"target": settings.target.address, "vendor": moment.vendor},
        "settings": _settings(settings),
        "requests": measures.succeeded + measures.failed,
        "succeeded": measures.succeeded,
        "failed": measures.failed,
        "seconds": round(measures.seconds, 6),
        "rate": float(f"{measures.rate:.6g}"),
        "latency": _latency(measures.latency),
        "operations": {
            label: _operation(measures, label, settings) for label in sorted(measures.tallies)
        },
        "errors": _errors(measures),
        "connections": _connections(measures),
        "series": _series(measures),
        "distribution": [[round(ns / 1e6, 6), count] for ns, count in measures.latency],
        "generator": _generator(settings, measures),
        "cleanup": {"removed": removal.removed, "left": removal.left},
        "interrupted": run.was_interrupted,
        "problems": run.problems,
    }


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "mix": settings.mix.name,
        "description": settings.mix.description,
        "mix_requests": [
            {"request": line.label, "weight": line.weight, "key": line.key.name}
            | ({"data": line.data} if line.operation.has_data else {})
            for line in settings.mix.lines
        ],
        "objects": settings.mix.objects,
        "loop": "closed" if settings.rate is None else "open",
        "rate": settings.rate,
        "arrivals": None if settings.rate is None else settings.arrivals,
        "connections": settings.connections,
        "reuse": settings.reuse.value,
        "processes": settings.processes,
        "duration": settings.duration,
        "requests": settings.requests,
        "warm_up": settings.warm_up,
        "timeout": settings.timeout,
        "kmip": str(settings.version),
        "encoding": settings.encoding.media,
        "transport": "TLS" if settings.target.https is None else "HTTPS",
        "tls": settings.target.tls,
    }


def milliseconds(nanoseconds: float) -> float:
    """Milliseconds with microseconds as decimals."""
    return round(nanoseconds / 1e6, 3)


def _latency(histogram: Histogram) -> dict[str, float | None]:
    """Percentiles; all of them are null if there is no latency."""
    if not histogram.number:
        return dict.fromkeys(("mean", *(f"p{percent:g}" for percent in PERCENTILES), "max"))
    return {
        "mean": milliseconds(histogram.mean),
        **{f"p{percent:g}": milliseconds(histogram.percentile(percent)) for percent in PERCENTILES},
        "max": milliseconds(histogram.maximum),
    }


def _operation(measures: Measures, label: str, settings: Settings) -> dict[str, Any]:
    tally = measures.tallies[label]
    result: dict[str, Any] = {
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "latency": _latency(measures.latency_of(label)),
    }
    if settings.rate is not None:
        result["service"] = _latency(tally.service)
    return result


def _errors(measures: Measures) -> list[dict[str, Any]]:
    rows = [
        {
            "operation": label,
            "reason": reason,
            "count": count,
            "example": tally.examples.get(reason, ""),
        }
        for label, tally in measures.tallies.items()
        for reason, count in tally.failures.items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["operation"], row["reason"]))


def _connections(measures: Measures) -> dict[str, Any]:
    opened = measures.handshakes.number
    return {
        "opened": opened,
        "resumed": measures.resumed,
        "handshake": _latency(measures.handshakes) if opened else None,
    }


def _series(measures: Measures) -> list[dict[str, Any]]:
    return [_row(measures, numbers, length) for numbers, length in _stretches(measures)]


def _stretches(measures: Measures) -> Iterator[tuple[range, float]]:
    """The intervals, each with its seconds.

    A run without a known end ends within the last one. What is short then belongs to the one before,
    since a few responses in a moment say nothing about the rate.
    """
    if not measures.intervals:
        return
    width, last = measures.width / 1e9, max(measures.intervals)
    rest = width
    if measures.end is None:
        end = max(measures.seconds, (measures.last - measures.begin) / 1e9)
        rest = max(end - last * width, 1e-6)
    joined = 2 if rest < width / 2 and last > 0 else 1
    for number in range(last + 1 - joined):
        yield range(number, number + 1), width
    yield range(last + 1 - joined, last + 1), (joined - 1) * width + rest


def _row(measures: Measures, numbers: range, length: float) -> dict[str, Any]:
    intervals = [each for number in numbers if (each := measures.intervals.get(number))]
    latency = merged(each.latency for each in intervals)
    return {
        "from": round(numbers[0] * measures.width / 1e9, 3),
        "width": round(length, 6),
        "succeeded": sum(each.succeeded for each in intervals),
        "failed": sum(each.failed for each in intervals),
        "p50": milliseconds(latency.percentile(50)),
        "p99": milliseconds(latency.percentile(99)),
    }


def _generator(settings: Settings, measures: Measures) -> dict[str, Any]:
    efforts = measures.efforts
    lag = measures.lag
    return {
        "processor": [round(effort.processor, 3) for effort in efforts],
        "waiting": [round(effort.waiting, 3) for effort in efforts],
        "lag_p99": milliseconds(lag.percentile(99)) if lag.number else None,
        "limits": limits(settings, efforts, lag, measures.latency),
    }


def limits(
    settings: Settings, efforts: list[Effort], lag: Histogram, latency: Histogram
) -> list[str]:
    """In what way the load generator itself may have been the limit, and what to do; empty if it was
    not."""
    found = []
    most = max((effort.processor for effort in efforts), default=0.0)
    if most >= BUSY:
        found.append(
            f"A load process used {most:.0%} of a core, so the server may be able to do more."
            f" Use more processes: --processes {settings.processes + 1}."
        )
    elif (total := max((e.processor + e.waiting for e in efforts), default=0.0)) >= BUSY:
        waiting = total - most
        found.append(
            f"A load process waited for a core {waiting:.0%} of the time: its machine was full."
            " Run the load generator on another machine than the server."
        )
    late = lag.percentile(99) if lag.number >= MIN_LAGS else 0
    if late > max(MIN_LATE, LATE * latency.percentile(50)):
        found.append(
            f"1 % of the requests began {milliseconds(late):.1f} ms late or more although a"
            " connection was free: the generator could not keep the rate. Use more processes, or a"
            " machine with more free cores."
        )
    return found


def load(path: Path) -> Document:
    """The document in a file. LoadError if it has none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise LoadError(f"{path}: not valid JSON: {error}") from None
    except RecursionError:
        raise LoadError(f"{path}: not valid JSON: it is nested too deeply") from None
    number = value.get("kmipkit_load") if isinstance(value, dict) else None
    if number != FORMAT:
        raise LoadError(
            f"{path}: not a result of kmipkit bench run"
            + ("" if number is None else f" of this version (format {number}, not {FORMAT})")
        )
    for place in faults(value, DOCUMENT):
        raise LoadError(f"{path}: not a complete result of kmipkit bench run: {place}")
    return value  # type: ignore[no-any-return]  # a dictionary, see above


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def as_text(document: Document) -> str:
    """A document as the text of a JSON file."""
    return printable_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"
