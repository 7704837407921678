"""The verdicts as text, and as :mod:`kmipkit.reports` writes them."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kmipkit.reports import Outcome, Pane, Report, Result
from kmipkit.terminal import printable
from kmipkit_vsphere.check_kms.runner import Run, Verdict
from kmipkit_vsphere.check_kms.steps import Step

OUTCOMES = (Outcome.PASSED, Outcome.WARNED, Outcome.FAILED, Outcome.SKIPPED)
_INDENT = " " * 9
_WIDTH = 110


def make_report(run: Run, address: str, facts: Mapping[str, str]) -> Report:
    """The report of a run against the key server at an address."""
    return Report(
        title=f"vCenter with the key server {address}",
        results=[_result(verdict) for verdict in run.verdicts],
        outcomes=OUTCOMES,
        name="steps",
        columns=("Step", "Moment", "Seconds"),
        members={"keyServer": {"address": address, **facts}, "interrupted": run.is_interrupted},
    )


def _result(verdict: Verdict) -> Result:
    step = verdict.step
    return Result(
        name=step.name,
        group="vcenter.check-kms",
        outcome=verdict.outcome,
        members=_members(verdict),
        cells=(step.name, step.moment, f"{verdict.seconds:.3f}"),
        reasons=[
            text for text in (verdict.problem or verdict.note, *_consequences(verdict)) if text
        ],
        seconds=verdict.seconds,
        panes=[Pane("source", [("source", step.source)])],
    )


def _members(verdict: Verdict) -> dict[str, Any]:
    step, view = verdict.step, verdict.view
    return {
        "step": step.name,
        "moment": step.moment,
        "source": step.source,
        "outcome": verdict.outcome.value,
        "seconds": round(verdict.seconds, 3),
        "note": verdict.note,
        "problem": verdict.problem,
        "client": None
        if view is None
        else {
            "color": view.colour.value,
            "eventTypeId": view.event,
            "alarms": list(view.alarms),
            "message": view.message,
        },
        "advice": verdict.advice,
    }


def _consequences(verdict: Verdict) -> Iterator[str]:
    """What an administrator sees, and what the vendor should do."""
    view = verdict.view
    if view is not None:
        event = f", event {view.event}" if view.event else ""
        noun = "alarm" if len(view.alarms) == 1 else "alarms"
        alarms = f", {noun} {' and '.join(view.alarms)}" if view.alarms else ""
        yield f"vSphere Client: {view.colour.value}{event}{alarms}. {view.message}"
        yield f"Vendor: {verdict.advice}"


def lines(verdict: Verdict) -> Iterator[str]:
    """A verdict for a terminal, wrapped; texts of the server are escaped before."""
    step = verdict.step
    said = verdict.problem or verdict.note
    head = f"{verdict.outcome.value:<8} {step.name:<20} {verdict.seconds:7.3f} s  "
    yield from _wrapped(said, head, " " * len(head))
    if verdict.view is not None:
        source = f"Source: {step.source}"
        for text in (f"Moment: {step.moment}", source, *_consequences(verdict)):
            yield from _wrapped(text, _INDENT, _INDENT + "  ")


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def listed(steps: Sequence[Step]) -> Iterator[str]:
    """The table of the steps."""
    for step in steps:
        optional = "  (optional)" if step.optional else ""
        needed = [*step.needs, *([" or ".join(step.needs_any)] if step.needs_any else [])]
        needs = f"  needs {', '.join(needed)}" if needed else ""
        yield f"{step.name}{optional}{needs}"
        yield f"    {step.moment}"
        yield f"    {step.source}"
