"""Tables of docs/performance.md and docs/sizing.md, from measured figures: ``gen_figures.py [--check]``.

The figures are in docs/figures.json, which ``python -m bench --json docs/figures.json`` writes. What is
reckoned from them is in one table of docs/sizing.md, apart from what is measured.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from bench import connections
from bench.comparison import GO, KMIPKIT, PYKMIP
from bench.figures import peers_table
from bench.million import tables as million
from bench.rows import Row, table

PROJECT = Path(__file__).resolve().parents[1]
DOCS = PROJECT / "docs"
FIGURES = DOCS / "figures.json"
MILLION, CONNECTIONS = DOCS / "million.json", DOCS / "connections.json"
PAGES = ("performance.md", "scaling.md", "sizing.md")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Site:
    """What one site is assumed to have, and to do."""

    hosts: int = 20
    """Hypervisors, each of which reads keys when it starts."""
    keys: int = 500
    """Keys of virtual machines, disks and tapes that are in use."""
    new_keys: int = 5
    """Keys that are created on a day; each takes the place of another one."""
    reads: int = 2
    """How often a key in use is read on a day."""
    open_connections: int = 25
    """Connections that clients keep open."""


SITE = Site()
YEARS = 5
SITES = (1, 10, 100, 1_000, 10_000)
RESTART_SECONDS = 60
"""Within this time after a power failure of all sites, each host has connected and all keys are read."""
FIRST_READ = 467 / 190
"""The work of a Get of a key that nobody has just read, in Gets of one that is read again and again: such
answers are prepared, and were measured. From the instructions of both (docs/performance.md)."""
USE = 0.5
"""The part of a core that may be used, so that latencies stay low."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures from which sizes are reckoned."""

    get: float
    create: float
    cold: float
    most_objects: int
    memory_base: float
    """Megabytes with the fewest objects."""
    memory_object: float
    """Bytes for each further object."""
    disk_object: float
    """Bytes of the database for each object."""
    audit_record: float
    """Bytes of the audit log for each record."""
    idle: float
    """Kilobytes for each open connection."""


def measured(document: Document) -> Measured:
    """The figures of a run."""
    stores = {int(number): size for number, size in document["stores"].items()}
    least, most = min(stores), max(stores)
    few, many = stores[least], stores[most]
    rates = document["rates"]
    # Each Create and each Locate so far is a record.
    records = most + document["locates"] * len(stores)
    return Measured(
        get=rates["get"][KMIPKIT],
        create=rates["create"][KMIPKIT],
        cold=rates["cold"][KMIPKIT],
        most_objects=most,
        memory_base=few["memory"],
        memory_object=max(many["memory"] - few["memory"], 0) * 1e6 / (most - least),
        disk_object=many["disk"] * 1e6 / most,
        audit_record=many["audit"] * 1e6 / records,
        idle=document["idle_kilobytes"],
    )


@dataclass(frozen=True, slots=True)
class Need:
    """What a number of sites needs."""

    sites: int
    objects: int
    connections: int
    restart: float
    """Seconds of work for one core, when all sites start at once."""
    cores: int
    memory: float
    """Gigabytes."""
    database: float
    """Gigabytes."""
    audit: float
    """Gigabytes in a year."""
    share: float
    """The part of one core that an ordinary day takes on average."""


def need(sites: int, figures: Measured, site: Site = SITE) -> Need:
    """What these sites need after five years."""
    objects = sites * (site.keys + site.new_keys * 365 * YEARS)
    connections = sites * site.open_connections
    get = figures.get / FIRST_READ
    restart = sites * (site.hosts / figures.cold + site.keys / get)
    reads, creates = sites * site.keys * site.reads, sites * site.new_keys
    day = reads / get + creates / figures.create
    memory = figures.memory_base * 1e6 + objects * figures.memory_object
    return Need(
        sites,
        objects,
        connections,
        restart,
        max(ceil(restart / RESTART_SECONDS / USE), 1),
        (memory + connections * figures.idle * 1e3) / 1e9,
        objects * figures.disk_object / 1e9,
        (reads + creates) * 365 * figures.audit_record / 1e9,
        day / 86_400,
    )


def sizing_measured(document: Document) -> str:
    """The measured figures that the sizes are reckoned from."""
    figures = measured(document)
    rows = (
        ("Get, by one process", f"{figures.get:,.0f} per second"),
        ("Create, durable, by one process", f"{figures.create:,.0f} per second"),
        ("new connection with one Get, by one process", f"{figures.cold:,.0f} per second"),
        ("memory of the server with 1,000 objects", f"{figures.memory_base:,.0f} MB"),
        ("memory for each further object", f"{figures.memory_object:,.0f} bytes"),
        ("memory for each open connection", f"{figures.idle:,.0f} kB"),
        ("database for each object", f"{figures.disk_object:,.0f} bytes"),
        ("audit log for each record", f"{figures.audit_record:,.0f} bytes"),
    )
    lines = ["| measured | |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)])


def sizing_assumed(_: Document) -> str:
    """What a site is assumed to be."""
    rows = (
        ("hosts, each of which connects when it starts", SITE.hosts),
        ("keys in use", SITE.keys),
        ("new keys on a day, each in the place of another one", SITE.new_keys),
        ("reads of each key in use on a day", SITE.reads),
        ("work of a first Get of a key, in repeated Gets", f"{FIRST_READ:.1f}"),
        ("connections that stay open", SITE.open_connections),
        ("years for which all keys are kept", YEARS),
        ("seconds in which all hosts and keys are served after a power failure", RESTART_SECONDS),
        ("part of a core that may be used", f"{USE:.0%}"),
    )
    lines = ["| assumed for each site | |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows)])


def amount(gigabytes: float) -> str:
    """A size with its unit."""
    if gigabytes < 1:
        return f"{max(gigabytes * 1000, 1):,.0f} MB"
    return f"{gigabytes:,.1f} GB" if gigabytes < 100 else f"{gigabytes:,.0f} GB"


def sizing_reckoned(document: Document) -> str:
    """What many sites need; with a mark where the number of objects was not measured."""
    figures = measured(document)
    lines = [
        "| reckoned for sites | objects | open connections | restart: seconds of one core | cores"
        " | memory | database | audit log in a year | a day's share of one core |",
        f"|{' ---: |' * 9}",
    ]
    for each in (need(sites, figures) for sites in SITES):
        mark = " *" if each.objects > figures.most_objects else ""
        cells = (
            f"{each.sites:,}",
            f"{each.objects:,}{mark}",
            f"{each.connections:,}",
            f"{each.restart:,.1f}",
            f"{each.cores:,}",
            amount(each.memory),
            amount(each.database),
            amount(each.audit),
            f"{each.share:.2%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def provenance(document: Document) -> str:
    """When and where the figures were measured."""
    machine = document["machine"]
    load, cores = machine["load_average"], machine["cores"]
    busy = (
        f" Other programs used the machine (load average {load:g} before the measurements), so that these"
        " figures are lower, and vary more, than those of a quiet machine."
        if load > cores / 4
        else ""
    )
    return (
        f"Measured on {document['made']}, on {machine['cores']} cores with CPython"
        f" {machine['python']}, PyKMIP {machine[PYKMIP]} and kmip-go {machine[GO]}, with the audit"
        " log on." + busy
    )


def goals(document: Document) -> str:
    """The table that ``make bench`` prints."""
    return table(Row(**row) for row in document["rows"])


def measured_on(document: Document) -> str:
    """When and where the figures of one benchmark were measured."""
    machine = document["machine"]
    return (
        f"Measured on {document['made']}, on {machine['cores']} cores with CPython"
        f" {machine['python']}; load average before the measurements: {machine['load_average']:g}."
    )


def _of(file: Path, block: Callable[[Document], str]) -> Callable[[Document], str]:
    """A block from the figures of another benchmark."""
    return lambda _: block(json.loads(file.read_text(encoding="utf-8")))


BLOCKS: Mapping[str, Callable[[Document], str]] = {
    "provenance": provenance,
    "peers": peers_table,
    "goals": goals,
    "sizing-measured": sizing_measured,
    "sizing-assumed": sizing_assumed,
    "sizing-reckoned": sizing_reckoned,
    "million-provenance": _of(MILLION, measured_on),
    "million-goals": _of(MILLION, million.goals),
    "million-groups": _of(MILLION, million.groups),
    "million-slowest": _of(MILLION, million.slowest),
    "connections-provenance": _of(CONNECTIONS, measured_on),
    "connections": _of(CONNECTIONS, connections.table),
}
"""What is between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->``."""

_BLOCK = re.compile(
    r"(?P<begin><!-- figures: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of figures -->)",
    re.DOTALL,
)


def page(text: str, document: Document) -> str:
    """A page with its blocks as they should be."""

    def block(match: re.Match[str]) -> str:
        return f"{match['begin']}\n{BLOCKS[match['name']](document)}\n\n{match['end']}"

    return _BLOCK.sub(block, text)


def outdated(document: Document) -> Iterator[tuple[Path, str]]:
    """The pages that are not as they should be, with what they should be."""
    for path in (DOCS / name for name in PAGES):
        text = path.read_text(encoding="utf-8")
        if (wanted := page(text, document)) != text:
            yield path, wanted


def main() -> None:
    """Write the pages, or check that they are up to date."""
    document = json.loads(FIGURES.read_text(encoding="utf-8"))
    for path, text in outdated(document):
        if "--check" in sys.argv:
            raise SystemExit(f"{path.name} is not up to date: run tools/gen_figures.py")
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
