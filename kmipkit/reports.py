"""Reports of tests: JUnit XML for CI, JSON for scripts, HTML for people.

A report does not know what was tested. Each tester describes its verdicts as :class:`Result` and says
what the page and the document have besides, so that all testers write the same files. Text of the peer
is escaped here in the same way as on a terminal.
"""

import html
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kmipkit.errors import KMIPError
from kmipkit.terminal import printable, printable_json


class ReportNotWritten(KMIPError):
    """The file of a report cannot be written."""


class Outcome(Enum):
    """The result of a test."""

    PASSED = "passed"
    WARNED = "warned"
    """Passed, with a problem that somebody should look at."""
    FAILED = "failed"
    KNOWN = "known"
    """Failed, as the list of known deviations of the target says."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Pane:
    """Texts side by side, which the page shows on demand: pairs of heading and text."""

    summary: str
    texts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict on one test."""

    name: str
    group: str
    """What JUnit calls the class of the test."""
    outcome: Outcome
    members: Mapping[str, Any]
    """The test in the JSON document."""
    cells: Sequence[str] = ()
    """The test on the page: a text for each column of the report."""
    reasons: Sequence[str] = ()
    seconds: float = 0.0
    panes: Sequence[Pane] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A further table on the page. The outcome of a row is the text in the ``outcome`` column."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    outcome: int


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run."""

    title: str
    results: Sequence[Result]
    outcomes: Sequence[Outcome]
    """Those that this tester has, in the order of the summary."""
    name: str
    """What the tests are called, in the plural: a member of the JSON document, a heading of the page."""
    columns: Sequence[str]
    """The columns of the page before the outcome."""
    members: Mapping[str, Any] = field(default_factory=dict)
    """Further members of the JSON document."""
    tables: Sequence[Table] = ()
    """Further tables, before the results."""

    def counts(self) -> dict[str, int]:
        """The number of tests with each outcome."""
        totals = Counter(result.outcome for result in self.results)
        return {outcome.value: totals[outcome] for outcome in self.outcomes}

    def summary(self) -> str:
        """The counts as a line of text."""
        return ", ".join(f"{number} {name}" for name, number in self.counts().items())


def junit(report: Report) -> str:
    """One test suite with a test case for each result.

    JUnit has no warnings: a test that did not fail and did not simply pass is skipped, with its reasons.
    """
    number = Counter(result.outcome for result in report.results)
    suite = ET.Element(
        "testsuite",
        name=report.title,
        tests=str(len(report.results)),
        failures=str(number[Outcome.FAILED]),
        skipped=str(sum(number[o] for o in Outcome if o not in (Outcome.PASSED, Outcome.FAILED))),
    )
    for result in report.results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=printable(result.group),
            name=printable(result.name),
            time=f"{result.seconds:.3f}",
        )
        if result.outcome is not Outcome.PASSED:
            kind = "failure" if result.outcome is Outcome.FAILED else "skipped"
            prefix = "warning: " if result.outcome is Outcome.WARNED else ""
            ET.SubElement(case, kind, message=printable(prefix + "; ".join(result.reasons)))
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The counts, what the tester adds, and every result."""
    rows = [dict(result.members) for result in report.results]
    return {**report.counts(), **report.members, report.name: rows}


def as_json(report: Report) -> str:
    """The document as JSON."""
    return printable_json(json.dumps(document(report), indent=2, ensure_ascii=False)) + "\n"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; }}
.passed {{ color: #176b2c; }} .failed {{ color: #a3181d; font-weight: 600; }}
.known, .warned {{ color: #8a5a00; }}
.skipped, .not {{ color: #555; }}
.pair {{ display: flex; gap: 1rem; }} .pair div {{ flex: 1; min-width: 0; }}
.pair pre {{ overflow-x: auto; background: #f6f6f6; padding: .6rem; }}
pre {{ font-size: 13px; line-height: 1.35; white-space: pre-wrap; }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
{tables}
<table>{head}
{rows}
</table></html>
"""


def as_html(report: Report) -> str:
    """A page with tables, and details of each result that has some."""
    tables = "".join(map(_table, report.tables))
    return _PAGE.format(
        title=_text(report.title),
        summary=report.summary(),
        tables=tables and f"{tables}<h2>{_text(report.name.capitalize())}</h2>",
        head=_head((*report.columns, "Outcome", "Reason")),
        rows="\n".join(map(_row, report.results)),
    )


def _text(text: str) -> str:
    return html.escape(printable(text))


def _head(columns: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<th>{_text(column)}</th>' for column in columns)}</tr>"


def _row(result: Result) -> str:
    cells = "".join(f"<td>{_text(cell)}</td>" for cell in result.cells)
    outcome, reasons = result.outcome.value, _text("; ".join(result.reasons))
    panes = "".join(map(_pane, result.panes))
    return f'<tr>{cells}<td class="{outcome}">{outcome}</td><td>{reasons}{panes}</td></tr>'


def _pane(pane: Pane) -> str:
    texts = "".join(
        f"<div><h4>{_text(heading)}</h4><pre>{html.escape(text)}</pre></div>"
        for heading, text in pane.texts
    )
    return (
        f"<details><summary>{_text(pane.summary)}</summary>"
        f'<div class="pair">{texts}</div></details>'
    )


def _table(table: Table) -> str:
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td class="{_text(cell)}">{_text(cell)}</td>'
            if column == table.outcome
            else f"<td>{_text(cell)}</td>"
            for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in table.rows
    )
    return f"<h2>{_text(table.heading)}</h2><table>{_head(table.columns)}{rows}</table>"


FORMS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {"junit": junit, "json": as_json, "html": as_html}
)


def write(form: str, path: Path, report: Report) -> None:
    """Write a report. ReportNotWritten if that fails."""
    try:
        path.write_text(FORMS[form](report), encoding="utf-8")
    except OSError as error:
        raise ReportNotWritten(f"{path}: {error.strerror}") from None
