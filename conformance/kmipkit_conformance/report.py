"""The report of a run: its verdicts and profiles, as :mod:`kmipkit.reports` writes them."""

from collections.abc import Sequence

from kmipkit.reports import Outcome, Pane, Report, Result, Table
from kmipkit.ttlv.printer import format_item
from kmipkit_conformance.placeholders import readable
from kmipkit_conformance.player import Verdict
from kmipkit_conformance.profiles import ProfileVerdict

OUTCOMES = (Outcome.PASSED, Outcome.FAILED, Outcome.KNOWN, Outcome.SKIPPED)


def make_report(verdicts: Sequence[Verdict], profiles: Sequence[ProfileVerdict] = ()) -> Report:
    """The report of these verdicts."""
    return Report(
        title="KMIP conformance",
        results=[_result(verdict) for verdict in verdicts],
        outcomes=OUTCOMES,
        name="cases",
        columns=("Case", "Version"),
        members={"profiles": [_profile(verdict) for verdict in profiles]},
        tables=[_profile_table(profiles)] if profiles else (),
    )


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
            "outcome": verdict.outcome.value,
            "step": verdict.step,
            "reasons": list(verdict.reasons),
        },
        cells=(case.name, str(case.version)),
        reasons=verdict.reasons,
        seconds=verdict.seconds,
        panes=_messages(verdict),
    )


def _messages(verdict: Verdict) -> Sequence[Pane]:
    """The expected and the received message side by side, without keys."""
    if verdict.expected is None or verdict.actual is None:
        return ()
    sides = (("expected", verdict.expected), ("received", verdict.actual))
    texts = [(name, format_item(readable(item))) for name, item in sides]
    return (Pane(f"step {verdict.step}", texts),)


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
