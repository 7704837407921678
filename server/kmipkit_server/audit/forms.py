"""Records for people and for other programs: lines of a table, JSON, and CEF."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from kmipkit import __version__
from kmipkit_server.audit.query import Match
from kmipkit_server.audit.records import Entry, Event, Outcome
from kmipkit_server.store.owners import owner_name

HEADER = ("TIME (UTC)", "ACCOUNT", "ADDRESS", "WHAT", "OBJECT", "OUTCOME", "REASON")

_WIDTHS = (23, 16, 15, 16, 36, 8, 0)
"""Of the columns, if not all rows are known."""


def row(match: Match) -> tuple[str, ...]:
    """A record as the columns of a table."""
    entry = match.entry
    client = entry.client
    objects = entry.objects[0] if entry.objects else ""
    further = (entry.object_count or len(entry.objects)) - 1
    if further > 0:
        objects += f" +{further}"
    details = ": ".join(filter(None, (entry.reason, entry.message or entry.subject)))
    if entry.count:
        details += f" ({entry.count})"
    return (
        f"{entry.time:%Y-%m-%d %H:%M:%S}.{entry.time.microsecond // 1000:03}",
        owner_name(client.tenant, client.account) or client.user or "-",
        client.address or "-",
        entry.operation
        or entry.kind
        or (entry.cause and f"checkpoint: {entry.cause}")
        or entry.event,
        objects or "-",
        match.outcome or "-",
        details,
    )


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, with columns as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [line(each, widths) for each in rows]


def line(cells: Sequence[str], widths: Sequence[int] = _WIDTHS) -> str:
    """One row as a line."""
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def to_json(match: Match) -> str:
    """A record as JSON, with ``"committed":false`` if the change did not take place."""
    text = match.line.decode().rstrip("\n")
    if match.outcome != (match.entry.outcome or ""):
        return f'{text[:-1]},"committed":false}}'
    return text


# --- CEF: the Common Event Format of ArcSight, which most collectors read ---------------------------

_SEVERITIES: Mapping[Event, int] = MappingProxyType(
    {Event.TAMPERED: 10, Event.LOST: 9, Event.INTERRUPTION: 8, Event.RESTORED: 7, Event.LOSSES: 6}
)
_ORDINARY, _REFUSED = 3, 5


def to_cef(entry: Entry) -> str:
    """A record in CEF: version 0, on one line."""
    name = entry.operation or entry.kind or entry.event
    severity = _SEVERITIES.get(entry.event)
    if severity is None:
        severity = _REFUSED if entry.outcome is Outcome.FAILED else _ORDINARY
    header = ("CEF:0", "kmipkit", "kmipkit", __version__, str(entry.event), name, str(severity))
    head, *fields = header
    return "|".join((head, *map(_header, fields), _extension(entry)))


def _extension(entry: Entry) -> str:
    client = entry.client
    pairs: Iterable[tuple[str, object]] = (
        ("rt", int(entry.time.timestamp() * 1000)),
        ("externalId", entry.n),
        ("suser", client.account),
        ("suid", client.user),
        ("src", client.address),
        ("spt", client.port),
        ("act", entry.operation),
        ("outcome", entry.outcome),
        ("reason", entry.reason),
        ("msg", entry.message or entry.subject),
        ("cnt", entry.count),
        *_labelled("cs1", "objects", " ".join(entry.objects)),
        *_labelled("cs2", "certificate", client.certificate),
        *_labelled("cs3", "fingerprint", client.fingerprint),
        *_labelled("cs4", "clientCorrelationValue", entry.client_correlation_value),
        *_labelled("cs5", "serverCorrelationValue", entry.server_correlation_value),
        *_labelled("cs6", "tenant", client.tenant),
        *_labelled("cn1", "durationMicroseconds", entry.duration),
        *_labelled("cn2", "batchItem", entry.item),
        *_labelled("cn3", "batchItems", entry.items),
        ("hash", entry.hash),
    )
    return " ".join(f"{key}={_value(str(value))}" for key, value in pairs if value)


def _labelled(key: str, label: str, value: object) -> tuple[tuple[str, object], ...]:
    return ((f"{key}Label", label), (key, value)) if value else ()


def _header(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
