"""Reports: JUnit XML for CI, JSON for scripts, HTML for people."""

import html
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from kmipkit.terminal import printable, printable_json
from kmipkit.ttlv.printer import format_item
from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.placeholders import readable
from kmipkit_conformance.player import Outcome, Verdict
from kmipkit_conformance.profiles import ProfileVerdict

Verdicts = Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run."""

    verdicts: Verdicts
    profiles: Sequence[ProfileVerdict] = ()


def counts(verdicts: Verdicts) -> dict[str, int]:
    """The number of cases with each outcome."""
    totals = Counter(verdict.outcome for verdict in verdicts)
    return {outcome.value: totals[outcome] for outcome in Outcome}


def junit(report: Report) -> str:
    """One test suite with a test case for each case."""
    verdicts = report.verdicts
    number = counts(verdicts)
    suite = ET.Element(
        "testsuite",
        name="KMIP conformance",
        tests=str(len(verdicts)),
        failures=str(number["failed"]),
        skipped=str(number["skipped"] + number["known"]),
    )
    for verdict in verdicts:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"kmip-{verdict.case.version}.{verdict.case.family}",
            name=verdict.case.name,
            time=f"{verdict.seconds:.3f}",
        )
        if verdict.outcome is not Outcome.PASSED:
            kind = "failure" if verdict.outcome is Outcome.FAILED else "skipped"
            message = "; ".join(verdict.reasons)
            ET.SubElement(case, kind, message=printable(message))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_json(report: Report) -> str:
    """The counts, every verdict, and the profiles."""
    verdicts = report.verdicts
    profiles = [
        {
            "profile": verdict.profile.title,
            "version": str(verdict.version),
            "standing": verdict.standing.value,
            "cases": verdict.played,
            "because": list(verdict.because),
        }
        for verdict in report.profiles
    ]
    rows = [
        {
            "case": verdict.case.name,
            "version": str(verdict.case.version),
            "family": verdict.case.family,
            "outcome": verdict.outcome.value,
            "step": verdict.step,
            "reasons": list(verdict.reasons),
        }
        for verdict in verdicts
    ]
    document = {**counts(verdicts), "profiles": profiles, "cases": rows}
    return printable_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>KMIP conformance</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
.passed {{ color: #176b2c; }} .failed {{ color: #a3181d; font-weight: 600; }}
.known {{ color: #8a5a00; }}
.skipped, .not {{ color: #555; }}
.pair {{ display: flex; gap: 1rem; }} .pair div {{ flex: 1; min-width: 0; }}
.pair pre {{ overflow-x: auto; background: #f6f6f6; padding: .6rem; }}
pre {{ font-size: 13px; line-height: 1.35; }}
</style>
<h1>KMIP conformance</h1>
<p>{summary}</p>
{profiles}
<table><tr><th>Case</th><th>Version</th><th>Outcome</th><th>Reason</th></tr>
{rows}
</table></html>
"""


def as_html(report: Report) -> str:
    """A page with tables, and the messages of each step that failed."""
    rows = "\n".join(map(_row, report.verdicts))
    summary = ", ".join(f"{number} {name}" for name, number in counts(report.verdicts).items())
    return _PAGE.format(summary=summary, profiles=_profiles(report.profiles), rows=rows)


def _row(verdict: Verdict) -> str:
    outcome = verdict.outcome.value
    reasons = html.escape(printable("; ".join(verdict.reasons)))
    return (
        f"<tr><td>{html.escape(verdict.case.name)}</td><td>{verdict.case.version}</td>"
        f'<td class="{outcome}">{outcome}</td><td>{reasons}{_messages(verdict)}</td></tr>'
    )


def _messages(verdict: Verdict) -> str:
    """The expected and the received message side by side, without keys."""
    if verdict.expected is None or verdict.actual is None:
        return ""
    sides = (("expected", verdict.expected), ("received", verdict.actual))
    texts = "".join(
        f"<div><h4>{name}</h4><pre>{html.escape(format_item(readable(item)))}</pre></div>"
        for name, item in sides
    )
    return (
        f'<details><summary>step {verdict.step}</summary><div class="pair">{texts}</div></details>'
    )


def _profiles(profiles: Sequence[ProfileVerdict]) -> str:
    if not profiles:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(verdict.profile.title)}</td><td>{verdict.version}</td>"
        f'<td class="{verdict.standing.value}">{verdict.standing.value}</td>'
        f"<td>{html.escape('; '.join(verdict.because))}</td></tr>"
        for verdict in profiles
    )
    head = "<tr><th>Profile</th><th>Version</th><th>Result</th><th>Cases</th></tr>"
    return f"<table>{head}{rows}</table><h2>Cases</h2>"


FORMS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {"junit": junit, "json": as_json, "html": as_html}
)


def write(form: str, path: Path, report: Report) -> None:
    """Write a report. ConformanceError if the file cannot be written."""
    try:
        path.write_text(FORMS[form](report), encoding="utf-8")
    except OSError as error:
        raise ConformanceError(f"{path}: {error.strerror}") from None
