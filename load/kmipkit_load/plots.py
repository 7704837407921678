"""Plots as SVG inside a page: no script, no file of others, colors from the page's style.

A plot is small enough to be read on a phone in its own size; on wide screens several stand side by side.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10

from kmipkit.reports import escaped

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 34

Point = tuple[float, float]
Label = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Curve:
    """A line, or with ``bars`` one bar for each point, as wide as the distance to the next one.

    ``bases`` are the values where the bars begin, if they stand upon others.
    """

    name: str
    points: Sequence[Point]
    color: int
    """A color of the page's style, from 1 to 6."""
    bars: bool = False
    dashed: bool = False
    bases: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to positions: linear, or logarithmic from the lowest value on."""

    low: float
    high: float
    ticks: Sequence[float]
    label: Label
    is_log: bool = False

    def place(self, value: float) -> float:
        """The position from 0 to 1."""
        if self.is_log:
            value, low, high = (log10(max(each, self.low)) for each in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0


def number(value: float) -> str:
    """A short label: 1,500 or 0.25."""
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:g}"


def linear(highest: float, label: Label = number, low: float = 0.0) -> Axis:
    """An axis with about four round ticks."""
    span = max(highest - low, 1e-9)
    step = 10 ** floor(log10(span / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= 4.5)
    count = ceil(span / step - 1e-9)
    ticks = [low + index * step for index in range(count + 1)]
    return Axis(low, ticks[-1], ticks, label)


def logarithmic(lowest: float, highest: float, label: Label = number) -> Axis:
    """An axis with a tick at each power of ten, and between them where there are few."""
    low = max(lowest, 1e-6)
    high = max(highest, low * 1.001)
    first, last = floor(log10(low)), ceil(log10(high))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    every = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    bottom = max([tick for tick in every if tick <= low], default=every[0])
    top = min([tick for tick in every if tick >= high], default=every[-1])
    return Axis(bottom, top, [tick for tick in every if bottom <= tick <= top], label, is_log=True)


def plot(title: str, description: str, x: Axis, y: Axis, curves: Sequence[Curve]) -> str:
    """A figure with its legend."""
    inner = [_grid(x, y), *(_curve(curve, x, y) for curve in curves)]
    return (
        f"<figure><figcaption>{escaped(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escaped(description)}">'
        f"{''.join(inner)}</svg>{_legend(curves)}</figure>"
    )


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM), 1)


def _grid(x: Axis, y: Axis) -> str:
    parts = []
    for tick in y.ticks:
        at = _y(y, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(
            f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{escaped(y.label(tick))}</text>'
        )
    for tick in x.ticks:
        at = _x(x, tick)
        anchor = "end" if tick == x.ticks[-1] else "middle"
        parts.append(
            f'<text x="{at}" y="{HEIGHT - BOTTOM + 18}" text-anchor="{anchor}">'
            f"{escaped(x.label(tick))}</text>"
        )
    return "".join(parts)


def _curve(curve: Curve, x: Axis, y: Axis) -> str:
    if curve.bars:
        return _bars(curve, x, y)
    places = [(_x(x, a), _y(y, b)) for a, b in curve.points]
    if len(set(places)) == 1:  # no line would be seen
        [(across, down), *_] = places
        return f'<circle class="series-{curve.color}" cx="{across}" cy="{down}" r="4"/>'
    path = " ".join(f"{across},{down}" for across, down in places)
    dashes = ' stroke-dasharray="5 4"' if curve.dashed else ""
    return f'<polyline class="series-{curve.color}" points="{path}"{dashes}/>'


def _bars(curve: Curve, x: Axis, y: Axis) -> str:
    starts = [point[0] for point in curve.points]
    distances = [after - before for before, after in pairwise(starts)]
    ends = [*starts[1:], starts[-1] + (distances[-1] if distances else x.high - starts[-1])]
    bases = curve.bases or [0.0] * len(starts)
    return "".join(
        _bar(curve, x, y, point, end, base)
        for point, end, base in zip(curve.points, ends, bases, strict=True)
    )


def _bar(curve: Curve, x: Axis, y: Axis, point: Point, end: float, base: float) -> str:
    left, right = _x(x, point[0]), _x(x, end)
    top, bottom = _y(y, base + point[1]), _y(y, base)
    return (
        f'<rect class="series-{curve.color}" x="{left}" y="{top}" '
        f'width="{max(round(right - left - 0.5, 1), 0.5)}" height="{round(bottom - top, 1)}"/>'
    )


def _legend(curves: Iterable[Curve]) -> str:
    entries = "".join(
        f'<li><span class="key series-{curve.color}{" dashed" if curve.dashed else ""}"></span>'
        f"{escaped(curve.name)}</li>"
        for curve in curves
    )
    return f'<ul class="legend">{entries}</ul>'
