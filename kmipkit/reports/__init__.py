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
    about: str = ""
    """What the test is about, for the page."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """By what the page can be filtered, besides the outcome and any text."""


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
    facts: Sequence[tuple[str, str]] = ()
    """What was tested, with what and when: pairs of name and value."""
    statements: Sequence[tuple[str, str]] = ()
    """What the peer says of itself: pairs of name and value."""
    problem: str = ""
    """Why the tests could not go on, or not even begin: for JUnit, an error."""
    failures_first: bool = False
    """Whether the page has the failures first, rather than the order of the run."""

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
    Tests that could not go on are an error, lest a run that has ended early looks like one that passed.
    """
    number = Counter(result.outcome for result in report.results)
    suite = ET.Element(
        "testsuite",
        name=report.title,
        tests=str(len(report.results) + bool(report.problem)),
        failures=str(number[Outcome.FAILED]),
        errors=str(int(bool(report.problem))),
        skipped=str(sum(number[o] for o in Outcome if o not in (Outcome.PASSED, Outcome.FAILED))),
    )
    if report.facts:
        properties = ET.SubElement(suite, "properties")
        for name, value in (*report.facts, *report.statements):
            ET.SubElement(properties, "property", name=printable(name), value=printable(value))
    for result in report.results:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=printable(result.group),
            name=printable(result.name),
            time=f"{result.seconds:.3f}",
        )
        if result.about:
            properties = ET.SubElement(case, "properties")
            ET.SubElement(properties, "property", name="about", value=printable(result.about))
        if result.outcome is not Outcome.PASSED:
            kind = "failure" if result.outcome is Outcome.FAILED else "skipped"
            prefix = "warning: " if result.outcome is Outcome.WARNED else ""
            why = ET.SubElement(case, kind, message=printable(prefix + "; ".join(result.reasons)))
            # What shows the text of a failure, rather than its message, has a line for each reason.
            why.text = "\n".join(map(printable, result.reasons))
    if report.problem:
        case = ET.SubElement(suite, "testcase", classname=report.title, name=f"all {report.name}")
        ET.SubElement(case, "error", message=printable(report.problem)).text = printable(
            report.problem
        )
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The counts, what the tester adds, and every result."""
    rows = [dict(result.members) for result in report.results]
    return {**report.counts(), **report.members, report.name: rows}


def as_json(report: Report) -> str:
    """The document as JSON."""
    return printable_json(json.dumps(document(report), indent=2, ensure_ascii=False)) + "\n"


def as_html(report: Report) -> str:
    """A page with the facts, the tables and the results, which can be filtered and printed."""
    from kmipkit.reports.page import page  # the template engine is not needed for the other forms

    return page(report)


def escaped(text: str) -> str:
    """Text of others, as a page can show it."""
    return html.escape(printable(text))


FORMS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {"junit": junit, "json": as_json, "html": as_html}
)


def write(form: str, path: Path, report: Report) -> None:
    """Write a report. ReportNotWritten if that fails."""
    write_text(path, FORMS[form](report))


def write_text(path: Path, text: str) -> None:
    """Write the text of a report. ReportNotWritten if that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportNotWritten(f"{path}: {error.strerror}") from None
