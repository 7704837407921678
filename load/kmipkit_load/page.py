"""The results as one page: figures, plots and tables, readable on wide and small screens, in light and
dark. Text of the server is escaped as on a terminal."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from kmipkit.reports import escaped
from kmipkit_load.comparison import Comparison
from kmipkit_load.plots import Axis, Curve, linear, logarithmic, number, plot
from kmipkit_load.results import Document
from kmipkit_load.texts import (
    NOTHING,
    duration,
    generator,
    latency_rows,
    loop,
    objects,
    protocol,
    rate,
)

_STYLE = Path(__file__).with_name("page.css")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{title}</title>
<style>
{style}</style></head>
<body>
<h1>{title}</h1>
{body}
</body></html>
"""

_TAIL = (50.0, 90.0, 99.0, 99.9, 99.99)
SHOWN = 5
"""Curves of single operations in a plot."""


def _page(title: str, parts: Sequence[str]) -> str:
    style = _STYLE.read_text(encoding="utf-8")
    return _PAGE.format(title=escaped(title), style=style, body="\n".join(filter(None, parts)))


def run_page(document: Document) -> str:
    """The page of a run."""
    settings = document["settings"]
    return _page(
        f"Load on {document['server']['target']}: {settings['mix']}",
        [
            _paragraph(f"{loop(settings)}; {protocol(settings)}."),
            _paragraph(_when(document), "faint"),
            _paragraph(settings["description"], "faint"),
            _paragraph("" if document["requests"] else NOTHING, "bad"),
            *(_paragraph(text, "bad") for text in document["problems"]),
            _cards(document),
            f'<div class="plots">{"".join(_plots(document))}</div>',
            "<h2>Latencies</h2>",
            _table(latency_rows(document)),
            _errors(document),
            _connections(document),
            "<h2>The load generator</h2>",
            _paragraph(generator(document["generator"])),
            *(_paragraph(text, "bad") for text in document["generator"]["limits"]),
            "<h2>Clean-up</h2>",
            _cleanup(document["cleanup"]),
            "<h2>Settings</h2>",
            _settings(settings),
        ],
    )


def comparison_page(comparison: Comparison, documents: tuple[Document, Document]) -> str:
    """The page of a comparison of two runs."""
    rows = [["", "before", "after", "ratio"]]
    for row in comparison.rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        rows.append([row.name, row.shown(row.before), row.shown(row.after), ratio])
    before, after = documents
    names = tuple(
        f"{name}: {each['started']}"
        for name, each in zip(("before", "after"), documents, strict=True)
    )
    curves = [
        Curve(name, _tail(document["distribution"]), number, dashed=number == 2)
        for name, document, number in zip(names, documents, count(1))
    ]
    return _page(
        f"Comparison: {before['server']['target']} and {after['server']['target']}",
        [
            *(_paragraph(f"The runs differ in {text}.") for text in comparison.differences),
            *(_paragraph(f"Note: {text}.", "bad") for text in comparison.warnings),
            f'<div class="plots">{_percentile_plot(curves)}'
            f"{_time_plot('Requests per second', documents, names)}</div>",
            "<h2>Figures</h2>",
            _table(rows),
        ],
    )


def _paragraph(text: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f"<p{kind}>{escaped(text)}</p>" if text else ""


def _when(document: Document) -> str:
    vendor = document["server"]["vendor"]
    server = f"; the server calls itself {vendor}" if vendor else ""
    measured = duration(document["seconds"] * 1000)
    ended = " The run was interrupted." if document["interrupted"] else ""
    return f"{document['started']}, {measured} measured{server}.{ended}"


def _cards(document: Document) -> str:
    latency = document["latency"]
    cards = [
        ("requests/s", rate(document["rate"])),
        *((name, duration(latency[name])) for name in ("p50", "p99", "p99.9", "max")),
        ("failed", f"{document['failed']:,} of {document['requests']:,}"),
    ]
    return (
        '<div class="cards">'
        + "".join(f"<div><b>{escaped(value)}</b>{escaped(name)}</div>" for name, value in cards)
        + "</div>"
    )


def _plots(document: Document) -> list[str]:
    series = document["series"]
    if not series:
        return []
    return [
        _time_plot("Requests per second", (document,), ("succeeded",)),
        _latency_over_time(series),
        _percentile_plot([Curve("all requests", _tail(document["distribution"]), 1)]),
        _histogram(document["distribution"]),
        _by_operation(document["operations"]),
    ]


def _seconds(value: float) -> str:
    return f"{number(value)} s"


def _time_plot(title: str, documents: Sequence[Document], names: Sequence[str]) -> str:
    curves, ends, highest = [], [1e-9], [1.0]
    for color, document, name in zip(count(1), documents, names, strict=False):
        series = document["series"]
        rates = [(row["from"], row["succeeded"] / row["width"]) for row in series]
        failed = [(row["from"], row["failed"] / row["width"]) for row in series]
        ends.append(max((row["from"] + row["width"] for row in series), default=0.0))
        succeeded = [value for _, value in rates]
        curves.append(Curve(name, rates, color, bars=len(documents) == 1, dashed=color > 1))
        if len(documents) == 1:
            curves.append(Curve("failed", failed, 6, bars=True, bases=succeeded))
            succeeded = [one + other for one, (_, other) in zip(succeeded, failed, strict=True)]
        highest += succeeded
    description = f"{title} over time, at most {max(highest):,.0f}"
    return plot(title, description, linear(max(ends), _seconds), linear(max(highest)), curves)


def _milliseconds(value: float) -> str:
    return f"{number(value)} ms" if value < 1000 else f"{number(value / 1000)} s"


def _latency_axis(values: Sequence[float]) -> Axis:
    positive = [value for value in values if value > 0] or [1.0]
    return logarithmic(min(positive), max(positive), _milliseconds)


def _latency_over_time(series: Sequence[Mapping[str, Any]]) -> str:
    busy = [row for row in series if row["p50"]]
    curves = [
        Curve(name, [(row["from"] + row["width"] / 2, row[name]) for row in busy], color)
        for color, name in enumerate(("p50", "p99"), 1)
    ]
    end = max((row["from"] + row["width"] for row in series), default=1.0)
    axis = _latency_axis([row[name] for row in busy for name in ("p50", "p99")])
    return plot(
        "Latency over time",
        "Median and 99th percentile over time",
        linear(end, _seconds),
        axis,
        curves,
    )


def _tail(distribution: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Latency by "one in N": the place of a percentile is 1 / (1 - share)."""
    total = sum(amount for _, amount in distribution)
    points, seen = [], 0.0
    for value, amount in distribution:
        points.append((total / max(total - seen, 1), value))
        seen += amount
    if points:
        points.append((float(total), distribution[-1][0]))
    return points


def _percentile_plot(curves: Sequence[Curve]) -> str:
    values = [value for curve in curves for _, value in curve.points]
    most = max((place for curve in curves for place, _ in curve.points), default=10.0)
    places = [1 / (1 - percent / 100) for percent in _TAIL]
    ticks = [place for place in places if place <= max(most, 10.001)]
    x = Axis(
        1.0, max(most, 10.0), ticks, lambda place: f"{100 * (1 - 1 / place):.6g} %", is_log=True
    )
    return plot(
        "Latency by percentile",
        "Latency by percentile, logarithmic",
        x,
        _latency_axis(values),
        curves,
    )


def _histogram(distribution: Sequence[Sequence[float]]) -> str:
    """How many requests took how long: forty bars of equal width on a logarithmic axis."""
    values = [value for value, _ in distribution if value > 0] or [1.0]
    axis = _latency_axis(values)
    bars, step = 40, (axis.high / axis.low) ** (1 / 40)
    counts = [0.0] * bars
    for value, amount in distribution:
        counts[min(int(axis.place(value) * bars), bars - 1)] += amount
    points = [(axis.low * step**index, amount) for index, amount in enumerate(counts)]
    return plot(
        "Requests by latency",
        "How many requests took how long",
        axis,
        linear(max(*counts, 1.0)),
        [Curve("requests", points, 1, bars=True)],
    )


def _by_operation(operations: Mapping[str, Mapping[str, Any]]) -> str:
    """Percentiles of each operation, if there are several."""
    measured = [label for label in operations if operations[label]["latency"]["p50"] is not None]
    most = sorted(measured, key=lambda label: -operations[label]["succeeded"])[:SHOWN]
    if len(most) < 2:
        return ""
    names = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
    curves = [
        Curve(
            label,
            [
                (1 / (1 - percent / 100), operations[label]["latency"][name])
                for name, percent in names.items()
            ],
            color,
        )
        for color, label in enumerate(most, 1)
    ]
    values = [value for curve in curves for _, value in curve.points]
    ticks = [1 / (1 - percent / 100) for percent in (50.0, 90.0, 99.0, 99.9)]
    x = Axis(
        ticks[0], ticks[-1], ticks, lambda place: f"{100 * (1 - 1 / place):.6g} %", is_log=True
    )
    title = "Latency by operation"
    return plot(
        title, "Percentiles of the most frequent operations", x, _latency_axis(values), curves
    )


def _table(rows: Sequence[Sequence[str]], style: str = "") -> str:
    head, *body = rows
    cells = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escaped(cell)}</td>' for cell in row)}</tr>" for row in body
    )
    kind = f' class="{style}"' if style else ""
    return f'<div class="scroll"><table{kind}><tr>{cells}</tr>{lines}</table></div>'


def _errors(document: Document) -> str:
    rows = [
        [error["operation"], error["reason"], f"{error['count']:,}", error["example"]]
        for error in document["errors"]
    ]
    if not rows:
        return ""
    return "<h2>Errors</h2>" + _table(
        [["operation", "reason", "number", "what the server said"], *rows], "words"
    )


def _connections(document: Document) -> str:
    connections = document["connections"]
    if not connections["opened"]:
        return ""
    handshake = connections["handshake"]
    return "<h2>Connections</h2>" + _paragraph(
        f"{connections['opened']:,} opened while measuring, {connections['resumed']:,} of them with a"
        f" resumed TLS session; ready after {duration(handshake['p50'])} (p50),"
        f" {duration(handshake['p99'])} (p99)."
    )


def _cleanup(cleanup: Mapping[str, Any]) -> str:
    left = cleanup["left"]
    removed = f"{objects(cleanup['removed'])} destroyed."
    text = f"{removed} {len(left):,} could not be destroyed." if left else removed
    rows = [[identifier, reason] for identifier, reason in left.items()]
    return _paragraph(text, "bad" if left else "") + (
        _table([["left on the server", "reason"], *rows], "words") if rows else ""
    )


def _settings(settings: Mapping[str, Any]) -> str:
    rows = [
        [name.replace("_", " "), "none" if value is None else str(value)]
        for name, value in settings.items()
        if name != "mix_requests"
    ]
    mix = "; ".join(f"{row['request']} × {row['weight']:g}" for row in settings["mix_requests"])
    return _table([["setting", "value"], *rows, ["requests of the mix", mix]], "words")
