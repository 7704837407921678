"""Reports: JUnit XML for CI, JSON for scripts, HTML for people."""

import html
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from kmipkit_conformance.errors import ConformanceError
from kmipkit_conformance.player import Outcome, Verdict

Verdicts = Sequence[Verdict]


def counts(verdicts: Verdicts) -> dict[str, int]:
    """How many cases have which outcome."""
    found = Counter(verdict.outcome for verdict in verdicts)
    return {outcome.value: found[outcome] for outcome in Outcome}


def junit(verdicts: Verdicts) -> str:
    """One test suite, a test case for each case."""
    number = counts(verdicts)
    suite = ET.Element(
        "testsuite",
        name="KMIP conformance",
        tests=str(len(verdicts)),
        failures=str(number["failed"]),
        skipped=str(number["skipped"]),
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
            ET.SubElement(case, kind, message=_in_xml(message))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _in_xml(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def as_json(verdicts: Verdicts) -> str:
    """The counts and every verdict."""
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
    return json.dumps({**counts(verdicts), "cases": rows}, indent=2, ensure_ascii=False) + "\n"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>KMIP conformance</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
.passed {{ color: #176b2c; }} .failed {{ color: #a3181d; font-weight: 600; }} .skipped {{ color: #555; }}
</style>
<h1>KMIP conformance</h1>
<p>{summary}</p>
<table><tr><th>Case</th><th>Version</th><th>Outcome</th><th>Why</th></tr>
{rows}
</table></html>
"""


def as_html(verdicts: Verdicts) -> str:
    """A page with a table."""
    rows = "\n".join(
        f"<tr><td>{html.escape(verdict.case.name)}</td><td>{verdict.case.version}</td>"
        f'<td class="{verdict.outcome.value}">{verdict.outcome.value}</td>'
        f"<td>{html.escape('; '.join(verdict.reasons))}</td></tr>"
        for verdict in verdicts
    )
    summary = ", ".join(f"{number} {name}" for name, number in counts(verdicts).items())
    return _PAGE.format(summary=summary, rows=rows)


FORMS: Mapping[str, Callable[[Verdicts], str]] = MappingProxyType(
    {"junit": junit, "json": as_json, "html": as_html}
)


def write(form: str, path: Path, verdicts: Verdicts) -> None:
    """Write a report. ConformanceError if the file cannot be written."""
    try:
        path.write_text(FORMS[form](verdicts), encoding="utf-8")
    except OSError as error:
        raise ConformanceError(f"{path}: {error.strerror}") from None
