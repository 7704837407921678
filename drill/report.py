"""The report of a drill, for people and for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from drill.drilling import Result
from drill.faults import ALL_FAULTS
from drill.history import Outcome
from drill.outages import answers, longest_gap


@dataclass(frozen=True, slots=True)
class Row:
    """How long a kind of fault has kept clients from service, in seconds."""

    fault: str
    times: int
    using: float
    """The longest outage of a client that uses keys."""
    changing: float
    """The same of a client that creates and revokes them."""
    typical: float
    """The median over all clients and occurrences."""
    goal: float

    @property
    def is_reached(self) -> bool:
        """Whether the goal is reached."""
        return max(self.using, self.changing) < self.goal


def rows(result: Result) -> list[Row]:
    """A row for each kind of fault."""
    return list(_rows(result))


def _rows(result: Result) -> Iterator[Row]:
    times = answers(result.history)
    for name, fault in ALL_FAULTS.items():
        windows = [window for window in result.windows if window.fault == name]
        if not windows:
            continue
        gaps: dict[str, list[float]] = {"uses": [], "changes": []}
        for client, own in times.items():
            kind = client.partition("-")[0]
            if kind in gaps:
                gaps[kind] += [longest_gap(own, window, result.seconds) for window in windows]
        yield Row(
            name,
            len(windows),
            max(gaps["uses"], default=0.0),
            max(gaps["changes"], default=0.0),
            median([*gaps["uses"], *gaps["changes"]]),
            fault.goal,
        )


def counts(result: Result) -> Mapping[str, int]:
    """How many operations had each outcome."""
    return {
        outcome.value: sum(1 for each in result.history if each.outcome is outcome)
        for outcome in Outcome
    }


def is_good(result: Result) -> bool:
    """Whether nothing was lost, and nothing else was wrong."""
    return not result.findings and not result.complaints


def document(result: Result) -> dict[str, Any]:
    """All of it, for programs."""
    plan = result.plan
    return {
        "seed": plan.seed,
        "seconds": round(result.seconds, 1),
        "clients": plan.clients,
        "workers": plan.workers,
        "operations": counts(result),
        "objects": result.objects,
        "unacknowledged_objects": result.unacknowledged,
        "failures": result.failures,
        "faults": [
            {
                "fault": row.fault,
                "what": ALL_FAULTS[row.fault].what,
                "times": row.times,
                "longest_using": round(row.using, 2),
                "longest_changing": round(row.changing, 2),
                "median": round(row.typical, 2),
                "goal": row.goal,
                "reached": row.is_reached,
            }
            for row in rows(result)
        ],
        "findings": [
            {
                "kind": each.kind.value,
                "object": each.name,
                "detail": each.detail,
                "evidence": [str(operation) for operation in each.evidence],
            }
            for each in result.findings
        ],
        "complaints": list(result.complaints),
    }


def text(result: Result) -> str:
    """All of it, for people."""
    return "\n".join([*_summary(result), "", *_table(rows(result)), "", *_verdict(result)])


def _summary(result: Result) -> Iterator[str]:
    said = counts(result)
    plan = result.plan
    yield (
        f"{result.seconds / 60:.0f} minutes, {plan.clients} clients, seed {plan.seed}:"
        f" {sum(said.values()):,} operations"
    )
    yield (
        f"{said['done']:,} acknowledged, {said['refused']:,} refused because of the object,"
        f" {said['failed']:,} failed, {said['unknown']:,} without an answer"
    )
    yield (
        f"{result.objects:,} objects acknowledged; {result.unacknowledged:,} others made by a Create"
        " without an answer"
    )
    for what, number in sorted(result.failures.items(), key=lambda item: -item[1]):
        yield f"  {number:6,}  {what}"


def _table(table: Sequence[Row]) -> Iterator[str]:
    yield "| what fails | times | longest outage, using keys | creating and revoking | median | goal | |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for row in table:
        mark = "reached" if row.is_reached else "**missed**"
        yield (
            f"| {ALL_FAULTS[row.fault].what} | {row.times} | {row.using:.1f} s | {row.changing:.1f} s"
            f" | {row.typical:.1f} s | < {row.goal:g} s | {mark} |"
        )


def _verdict(result: Result) -> Iterator[str]:
    if is_good(result):
        yield "Nothing acknowledged is lost, nothing revoked was used, and each object has one order."
    for finding in result.findings[:20]:
        yield str(finding)
    if len(result.findings) > 20:
        yield f"... and {len(result.findings) - 20} more"
    yield from result.complaints[:20]
