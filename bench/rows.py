"""The lines of the table that the benchmark prints."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; ``goal`` is the required ratio."""

    measurement: str
    reference: str
    measured: str
    ratio: float
    goal: str
    reached: bool


def at_least(
    measurement: str, reference: float, measured: float, goal: float, unit: str = "/s"
) -> Row:
    """A row in which more is better."""
    ratio = measured / reference
    return Row(
        measurement,
        f"{reference:,.0f}{unit}",
        f"{measured:,.0f}{unit}",
        ratio,
        f"≥ {goal:g}",
        ratio >= goal,
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| measurement | compared with | kmipkit | ratio | goal | |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for row in rows:
        mark = "reached" if row.reached else "**missed**"
        lines.append(
            f"| {row.measurement} | {row.reference} | {row.measured} | {row.ratio:.2f}"
            f" | {row.goal} | {mark} |"
        )
    return "\n".join(lines)
