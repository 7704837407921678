"""The report of a run: its verdicts and profiles, as :mod:`kmipkit.reports` writes them."""

from collections.abc import Iterator, Sequence

from kmipkit import __version__
from kmipkit.reports import Outcome, Pane, Report, Result, Table
from kmipkit.ttlv.printer import format_item
from kmipkit.ttlv.text import date_text
from kmipkit_conformance.placeholders import readable
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.profiles import ProfileVerdict
from kmipkit_conformance.running import Run
from kmipkit_conformance.support import UNKNOWN, Offer

OUTCOMES = (Outcome.PASSED, Outcome.FAILED, Outcome.KNOWN, Outcome.SKIPPED)

LEFT = "objects of the cases may be left on the server"


def make_report(
    run: Run,
    profiles: Sequence[ProfileVerdict] = (),
    target: str = "",
    offer: Offer = UNKNOWN,
) -> Report:
    """The report of a run against the server at an address, and of what the server says of itself."""
    offered = [] if offer is UNKNOWN else list(offer.facts())
    return Report(
        title="KMIP conformance",
        results=[_result(verdict) for verdict in run.verdicts],
        outcomes=OUTCOMES,
        name="cases",
        columns=("Case", "Version"),
        members={
            "target": target,
            "tool": f"kmipkit {__version__}",
            "started": date_text(int(run.started)),
            "seconds": round(run.seconds, 3),
            "server": dict(offered),
            "interrupted": run.is_interrupted,
            "not_played": run.unplayed,
            "problem": run.problem,
            "clean_up": run.clean_up,
            "obsolete_deviations": run.obsolete_deviations,
            "profiles": [_profile(verdict) for verdict in profiles],
        },
        tables=[_profile_table(profiles)] if profiles else (),
        facts=list(_facts(run, target)),
        statements=offered,
        problem=run.problem,
        failures_first=True,
    )


def _facts(run: Run, target: str) -> Iterator[tuple[str, str]]:
    if target:
        yield "Target", target
    yield "Tool", f"kmipkit {__version__}"
    yield "Started", date_text(int(run.started))
    yield "Duration", f"{run.seconds:.1f} s"
    if run.is_interrupted:
        yield "Interrupted", "by the user"
    if run.problem:
        yield "Ended early", run.problem
    if run.unplayed:
        yield "Not played", f"{run.unplayed} of {run.unplayed + len(run.verdicts)} cases"
    if run.clean_up:
        yield "Clean-up", "; ".join((*run.clean_up, LEFT))
    if run.obsolete_deviations:
        yield "Listed deviations that pass", ", ".join(run.obsolete_deviations)


def _result(verdict: Verdict) -> Result:
    case = verdict.case
    return Result(
        name=case.name,
        group=f"kmip-{case.version}.{case.family}",
        outcome=verdict.outcome,
        members={
            "case": case.name,
            "version": str(case.version),
            "family": case.family,
            "about": case.about,
            "outcome": verdict.outcome.value,
            "step": verdict.step,
            "reasons": list(verdict.reasons),
            "claim": verdict.claim,
        },
        cells=(case.name, str(case.version)),
        reasons=list(lines(verdict)),
        seconds=verdict.seconds,
        panes=_messages(verdict),
        about=case.about,
        tags={"Profile": case.family, "Version": str(case.version)},
    )


def lines(verdict: Verdict) -> Iterator[str]:
    """The reasons as lines of text, with the step."""
    reasons = list(verdict.reasons)
    if verdict.outcome is Outcome.KNOWN:
        yield f"known deviation: {reasons.pop(0)}"
    step = "" if verdict.outcome is Outcome.SKIPPED else f"step {verdict.step}: "
    for reason in reasons:
        yield f"{step}{reason}"
    if verdict.claim:
        yield f"broken: {verdict.claim}"


def _messages(verdict: Verdict) -> Sequence[Pane]:
    """What was sent, and the expected and the received message, side by side, without keys."""
    sides = (
        ("request", verdict.sent),
        ("expected", verdict.expected),
        ("received", verdict.actual),
    )
    texts = [(name, format_item(readable(item))) for name, item in sides if item is not None]
    return (Pane(f"Messages of step {verdict.step}", texts),) if texts else ()


def _profile(verdict: ProfileVerdict) -> dict[str, object]:
    return {
        "profile": verdict.profile.title,
        "version": str(verdict.version),
        "standing": verdict.standing.value,
        "cases": verdict.played,
        "because": list(verdict.because),
    }


def _profile_table(profiles: Sequence[ProfileVerdict]) -> Table:
    rows = [
        (
            verdict.profile.title,
            str(verdict.version),
            verdict.standing.value,
            "; ".join(verdict.because),
        )
        for verdict in profiles
    ]
    return Table("Profiles", ("Profile", "Version", "Result", "Cases"), rows, outcome=2)
