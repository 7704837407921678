"""Two reports of the same server: what got better or worse between them."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from kmipkit.reports import Outcome
from kmipkit_conformance.errors import ConformanceError


class Change(Enum):
    """How the verdict on a case changed."""

    WORSE = "worse"
    BETTER = "better"
    OTHER = "other"
    """Failed before and after, at another step or for another reason."""
    NEW = "new"
    GONE = "gone"


_RANK = {Outcome.FAILED: 0, Outcome.KNOWN: 1, Outcome.SKIPPED: 2, Outcome.PASSED: 3}
"""From worse to better. A case that is not played any more is worse than one that passes."""

_OF_ONE_RUN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Played:
    """A case as a report has it."""

    outcome: Outcome
    step: int
    reasons: tuple[str, ...]

    def kind(self) -> list[str]:
        """The reasons without what is new in each run: identifiers, dates and numbers."""
        return [_OF_ONE_RUN.sub("0", reason) for reason in self.reasons]

    def text(self) -> str:
        """The outcome, with the step if it failed."""
        failed = self.outcome in (Outcome.FAILED, Outcome.KNOWN)
        return f"{self.outcome.value} at step {self.step}" if failed else self.outcome.value


@dataclass(frozen=True, slots=True)
class Difference:
    """A case whose verdict changed; None where a report does not have it."""

    case: str
    change: Change
    before: Played | None
    after: Played | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a report tells."""

    cases: Mapping[str, Played]
    """By name; the second case of a name, from another folder, has a number."""
    problem: str
    """Why the run could not go on, so that cases are missing."""


def read(path: Path) -> Told:
    """A JSON report. ConformanceError if the file is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Told(dict(_numbered(document["cases"])), str(document.get("problem") or ""))
    except OSError as error:
        raise ConformanceError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConformanceError(
            f"{path}: not a report of `kmipkit conformance run --report json:FILE`"
        ) from None


def _numbered(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Played]]:
    seen = Counter[str]()
    for row in rows:
        name = str(row["case"])
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", _played(row)


def _played(row: Mapping[str, Any]) -> Played:
    reasons = tuple(str(reason) for reason in row["reasons"])
    return Played(Outcome(row["outcome"]), int(row["step"]), reasons)


def differences(before: Mapping[str, Played], after: Mapping[str, Played]) -> Iterator[Difference]:
    """The cases whose verdicts differ, the worse ones first."""
    found = [
        Difference(case, change, before.get(case), after.get(case))
        for case in dict.fromkeys((*before, *after))
        if (change := _change(before.get(case), after.get(case))) is not None
    ]
    order = list(Change)
    yield from sorted(found, key=lambda difference: order.index(difference.change))


def _change(before: Played | None, after: Played | None) -> Change | None:
    if before is None:
        return Change.NEW
    if after is None:
        return Change.GONE
    if _RANK[before.outcome] != _RANK[after.outcome]:
        return Change.WORSE if _RANK[after.outcome] < _RANK[before.outcome] else Change.BETTER
    is_failure = after.outcome in (Outcome.FAILED, Outcome.KNOWN)
    is_other = (before.step, before.kind()) != (after.step, after.kind())
    return Change.OTHER if is_failure and is_other else None


def is_worse(found: Sequence[Difference]) -> bool:
    """Whether a case got worse, or a new one fails."""
    return any(
        each.change is Change.WORSE
        or (each.change is Change.NEW and each.after and each.after.outcome is Outcome.FAILED)
        for each in found
    )


def members(difference: Difference) -> dict[str, Any]:
    """A difference for JSON."""
    sides = {"before": difference.before, "after": difference.after}
    return {
        "case": difference.case,
        "change": difference.change.value,
        **{
            name: None
            if played is None
            else {
                "outcome": played.outcome.value,
                "step": played.step,
                "reasons": list(played.reasons),
            }
            for name, played in sides.items()
        },
    }


def summary(found: Sequence[Difference]) -> str:
    """The number of cases with each change, as a line of text."""
    counts = Counter(difference.change for difference in found)
    return ", ".join(f"{counts[change]} {change.value}" for change in Change)
