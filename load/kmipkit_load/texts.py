"""The results as lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kmipkit_load.results import Document

COLUMNS = ("mean", "p50", "p90", "p95", "p99", "p99.9", "max")
NOTHING = "Nothing was measured: no request began in the time of the measurement."
SHOWN = 10
"""Objects that are left, or errors, of which a summary shows each."""


NONE = "–"
"""In the place of a latency, if there is none."""


def rate(value: float) -> str:
    """Requests in a second, which may be fewer than one."""
    if value >= 99.5 or not value:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2g}"


def objects(number: int) -> str:
    """So many objects."""
    return f"{number:,} object{'s' if number != 1 else ''}"


def duration(milliseconds: float | None) -> str:
    """A time with three digits, or two decimals."""
    if milliseconds is None:
        return NONE
    value, unit = (milliseconds / 1000, "s") if milliseconds >= 999.5 else (milliseconds, "ms")
    decimals = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f} {unit}"


def loop(settings: Mapping[str, Any]) -> str:
    """How requests were sent, in words."""
    number = settings["connections"]
    kind = {
        "keep": "",
        "cold": ", a new one for each request",
        "resumed": ", a new one for each request, with TLS resumption",
    }[settings["reuse"]]
    connections = f"{number:,} connection{'s' if number != 1 else ''}{kind}"
    if settings["loop"] == "closed":
        return f"closed loop on {connections}"
    return (
        f"open loop, {rate(settings['rate'])} requests/s ({settings['arrivals']}) on {connections}"
    )


def protocol(settings: Mapping[str, Any]) -> str:
    """What was spoken, in words."""
    encodings = {"text/xml": "XML", "application/json": "JSON"}
    encoding = encodings.get(settings["encoding"], "TTLV")
    tls = f", TLS {settings['tls']}" if settings["tls"] else ""
    return f"KMIP {settings['kmip']}, {encoding} over {settings['transport']}{tls}"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
        ]
        yield "  ".join(cells).rstrip()


def latency_rows(document: Document) -> list[list[str]]:
    """Numbers and latencies by operation, with a row of headings."""
    rows = [["", "requests", "failed", *COLUMNS]]
    entries = dict(document["operations"])
    if len(entries) != 1:
        entries["all"] = document
    for label, entry in entries.items():
        latency = [duration(entry["latency"][column]) for column in COLUMNS]
        total = entry["succeeded"] + entry["failed"]
        rows.append([label, f"{total:,}", f"{entry['failed']:,}", *latency])
    return rows


def summary(document: Document) -> Iterator[str]:
    """What a person reads first."""
    settings = document["settings"]
    yield f"{document['server']['target']}: mix {settings['mix']}, {loop(settings)}"
    yield f"{protocol(settings)}; {duration(document['seconds'] * 1000)} measured"
    yield ""
    if not document["requests"]:
        yield NOTHING
    yield f"{rate(document['rate'])} requests/s"
    yield ""
    yield from table(latency_rows(document))
    yield from _connections(document["connections"])
    yield from _errors(document["errors"])
    yield ""
    yield generator(document["generator"])
    yield from document["generator"]["limits"]
    cleanup = document["cleanup"]
    yield from removal_lines(cleanup["removed"], cleanup["left"], document["run"])
    yield from document["problems"]
    if document["interrupted"]:
        yield "The run was interrupted; the results are those until then."


def _connections(connections: Mapping[str, Any]) -> Iterator[str]:
    if connections["opened"]:
        handshake = connections["handshake"]
        yield ""
        yield (
            f"{connections['opened']:,} connections opened, {connections['resumed']:,} with a resumed"
            f" TLS session; ready after {duration(handshake['p50'])} (p50),"
            f" {duration(handshake['p99'])} (p99)"
        )


def _errors(errors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if errors:
        yield ""
        yield "Errors:"
    for error in errors[:SHOWN]:
        example = f" ({error['example']})" if error["example"] else ""
        yield f"  {error['count']:,} × {error['operation']}: {error['reason']}{example}"
    if len(errors) > SHOWN:
        yield f"  and {len(errors) - SHOWN:,} more kinds; --json has all of them"


def generator(effort: Mapping[str, Any]) -> str:
    """What the load generator itself needed, in words."""
    shares = ", ".join(f"{share:.0%}" for share in effort["processor"]) or "nothing measurable"
    lag = effort["lag_p99"]
    late = (
        ""
        if lag is None
        else f"; its own delay was at most {duration(lag)} for 99 % of the requests"
    )
    return f"The load generator used {shares} of a core{late}."


def leftover_lines(runs: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What earlier runs have left."""
    if not runs:
        yield "No run has left anything here."
    for run, identifiers in sorted(runs.items()):
        yield f"{run}  {objects(len(identifiers))}"


def removal_lines(removed: int, left: Mapping[str, str], run: str = "") -> Iterator[str]:
    """What became of the created objects. ``run`` is who has left them, if somebody else could help."""
    if removed:
        yield f"Cleaned up: {objects(removed)} destroyed."
    if left:
        yield f"{objects(len(left))} could not be destroyed:"
        for identifier, reason in list(left.items())[:SHOWN]:
            yield f"  {identifier}: {reason}"
        if len(left) > SHOWN:
            yield f"  and {len(left) - SHOWN:,} more"
        if run:
            yield f"To try again: kmipkit bench clean {run} with the options of this server."
