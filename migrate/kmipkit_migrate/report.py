"""What became of a migration, and what a comparison has found: as text, as JSON and as a page."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime

from kmipkit.reports import Outcome, Report, Result
from kmipkit_migrate.comparison import DIFFERENT, EQUAL, EXTRA, MISSING, Compared
from kmipkit_migrate.copying import BY_TLS, END_TO_END, FROM_SOURCE
from kmipkit_migrate.journal import ALREADY, COPIED, LEFT_OUT, NOT_COPIED, PARTLY, Entry
from kmipkit_migrate.migration import Outcome as Migrated
from kmipkit_migrate.server import Server

_OF_ENTRIES = {
    COPIED: Outcome.PASSED,
    PARTLY: Outcome.WARNED,
    ALREADY: Outcome.SKIPPED,
    LEFT_OUT: Outcome.SKIPPED,
    NOT_COPIED: Outcome.FAILED,
}
_OF_COMPARED = {
    EQUAL: Outcome.PASSED,
    DIFFERENT: Outcome.FAILED,
    MISSING: Outcome.FAILED,
    EXTRA: Outcome.WARNED,
}


def facts(source: Server, target: Server, now: datetime) -> tuple[tuple[str, str], ...]:
    """What was done with what."""
    return (
        ("from", f"{source.name}, KMIP {source.version}"),
        ("to", f"{target.name}, KMIP {target.version}"),
        ("time (UTC)", f"{now:%Y-%m-%d %H:%M:%S}"),
    )


def of_migration(done: Migrated, about: Sequence[tuple[str, str]]) -> Report:
    """The report of a migration."""
    ways = Counter(entry.protection for entry in done.entries if entry.protection)
    return Report(
        title="Migration",
        results=[_entry(entry) for entry in done.entries],
        outcomes=(Outcome.PASSED, Outcome.WARNED, Outcome.SKIPPED, Outcome.FAILED),
        name="objects",
        columns=("id", "on the target", "type", "name", "state", "protection"),
        members={
            **dict(about),
            "outcomes": dict(Counter(entry.outcome for entry in done.entries)),
            "protection": dict(ways),
            "not_wrapped_because": done.problem,
        },
        facts=(*about, *((f"keys protected {way}", str(ways[way])) for way in _WAYS if ways[way])),
        failures_first=True,
    )


_WAYS = (END_TO_END, FROM_SOURCE, BY_TLS)


def _entry(entry: Entry) -> Result:
    return Result(
        name=entry.id,
        group="migration",
        outcome=_OF_ENTRIES[entry.outcome],
        members=asdict(entry),
        cells=(
            entry.id,
            entry.to or "",
            entry.type,
            entry.name,
            entry.state,
            entry.protection or "",
        ),
        reasons=[f"{note.what}: {note.why}" for note in entry.notes],
    )


def of_comparison(found: Sequence[Compared], about: Sequence[tuple[str, str]]) -> Report:
    """The report of a comparison."""
    return Report(
        title="Comparison",
        results=[_compared(each) for each in found],
        outcomes=(Outcome.PASSED, Outcome.WARNED, Outcome.FAILED),
        name="objects",
        columns=("id", "on the target", "type", "name"),
        members={**dict(about), "outcomes": dict(Counter(each.outcome for each in found))},
        facts=about,
        failures_first=True,
    )


def _compared(each: Compared) -> Result:
    reasons = [f"{one.what}: {one.source} / {one.target}" for one in each.differences]
    if each.outcome in (MISSING, EXTRA):
        reasons.insert(0, f"only on the {'source' if each.outcome == MISSING else 'target'}")
    return Result(
        name=each.id or each.to or "",
        group="comparison",
        outcome=_OF_COMPARED[each.outcome],
        members=asdict(each),
        cells=(each.id or "", each.to or "", each.type, each.name),
        reasons=[*reasons, *each.notes],
    )


def lines_of_migration(done: Migrated) -> Iterator[str]:
    """What a person has to know: each object that is not whole, and how keys were protected."""
    for entry in done.entries:
        if entry.notes or entry.outcome in (ALREADY, NOT_COPIED):
            yield f"{entry.outcome}: {entry.id}{_described(entry.type, entry.name)}"
            yield from (f"    {note.what}: {note.why}" for note in entry.notes)
    ways = Counter(entry.protection for entry in done.entries if entry.protection)
    for way, meaning in (
        (END_TO_END, "wrapped by the source, and unwrapped by the target"),
        (FROM_SOURCE, "wrapped by the source, and unwrapped here, in memory"),
        (BY_TLS, "not wrapped, but protected by TLS alone"),
    ):
        if ways[way]:
            yield f"keys {meaning}: {ways[way]}"
    if done.problem:
        yield f"keys are not wrapped: {done.problem}"


def lines_of_comparison(found: Sequence[Compared]) -> Iterator[str]:
    """Each object that is not the same on both servers."""
    for each in found:
        if each.outcome != EQUAL:
            yield f"{each.outcome}: {each.id or each.to}{_described(each.type, each.name)}"
            for one in each.differences:
                yield f"    {one.what}: {one.source} on the source, {one.target} on the target"
            yield from (f"    {note}" for note in each.notes)


def summary(outcomes: Sequence[str]) -> str:
    """How many objects there are with each outcome."""
    counts = Counter(outcomes)
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "no objects"


def _described(kind: str, name: str) -> str:
    return "".join((f", {kind}" if kind else "", f', "{name}"' if name else ""))
