"""Compares the results of two runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kmipkit_load.results import Document
from kmipkit_load.texts import duration, rate, table

PERCENTILES = ("p50", "p90", "p99", "p99.9")
NOT_COMPARED = frozenset({"description", "mix_requests"})


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both runs."""

    name: str
    before: float
    after: float
    is_time: bool
    """Whether it is a latency in milliseconds, of which less is better."""

    @property
    def ratio(self) -> float | None:
        """After divided by before; None if that is not possible."""
        return self.after / self.before if self.before else None

    @property
    def worse_by(self) -> float:
        """By which part it became worse: 0.1 if a latency grew by 10 %, or a rate fell by 10 %."""
        if self.ratio is None:
            return 0.0
        return self.ratio - 1 if self.is_time else 1 - self.ratio

    def shown(self, value: float) -> str:
        """A value with its unit."""
        return duration(value) if self.is_time else f"{rate(value)}/s"

    def as_json(self) -> dict[str, Any]:
        """The row in a document."""
        return {
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "ratio": None if self.ratio is None else round(self.ratio, 4),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures that both runs have."""

    rows: tuple[Row, ...]
    differences: tuple[str, ...]
    """Settings in which the runs differ, so that the figures may not be comparable."""
    warnings: tuple[str, ...]

    def worse_than(self, share: float) -> list[Row]:
        """The rows that became worse by more than this part."""
        return [row for row in self.rows if row.worse_by > share]


def compare(before: Document, after: Document) -> Comparison:
    """Compare two runs."""
    return Comparison(
        tuple(_rows(before, after)),
        tuple(_differences(before, after)),
        tuple(_warnings(before, after)),
    )


def _rows(before: Document, after: Document) -> Iterator[Row]:
    yield Row("requests", before["rate"], after["rate"], is_time=False)
    yield from _latencies("all", before, after)
    shared = [label for label in before["operations"] if label in after["operations"]]
    if len(shared) < 2:
        return
    for label in shared:
        yield from _latencies(label, before["operations"][label], after["operations"][label])


def _latencies(label: str, before: Document, after: Document) -> Iterator[Row]:
    """The percentiles, unless one of the runs has none."""
    for name in PERCENTILES:
        one, other = before["latency"][name], after["latency"][name]
        if one is not None and other is not None:
            yield Row(f"{label}: {name}", one, other, is_time=True)


def _differences(before: Document, after: Document) -> Iterator[str]:
    for name, value in before["settings"].items():
        other = after["settings"].get(name)
        if name not in NOT_COMPARED and value != other:
            yield f"{name}: {_shown(value)} and {_shown(other)}"
    if before["settings"]["mix_requests"] != after["settings"]["mix_requests"]:
        yield "the requests of the mix"


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _warnings(before: Document, after: Document) -> Iterator[str]:
    for name, document in (("first", before), ("second", after)):
        if document["generator"]["limits"]:
            yield f"in the {name} run, the load generator itself may have been the limit"
        if document["failed"]:
            failed = f"{document['failed']:,} of {document['requests']:,} requests"
            yield f"in the {name} run, {failed} failed"


def lines(comparison: Comparison) -> Iterator[str]:
    """The comparison as lines of text."""
    rows = [["", "before", "after", "ratio"]]
    for row in comparison.rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        rows.append([row.name, row.shown(row.before), row.shown(row.after), ratio])
    yield from table(rows)
    for difference in comparison.differences:
        yield f"The runs differ in {difference}."
    for warning in comparison.warnings:
        yield f"Note: {warning}."


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as a document."""
    return {
        "figures": [row.as_json() for row in comparison.rows],
        "differences": list(comparison.differences),
        "warnings": list(comparison.warnings),
    }
