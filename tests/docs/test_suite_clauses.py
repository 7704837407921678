"""The index of clauses of the tester's own suite is complete: no clause without a case or a reason.

The specifications are not part of the project. With them, each SHALL of each section is counted.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import gen_clauses
from tools.gen_clauses import EVERYTHING, VERSIONS, Row, matching, rows

SPECIFICATIONS = Path(__file__).resolve().parents[3] / "shared" / "spec"
EVERY, REASONS = rows()

_HEADING = re.compile(r"#+\s+(?:Appendix )?(?P<number>\d+(?:\.\d+)*)?\s")
_DEMAND = re.compile(r"\b(?:SHALL|MUST)\b")


def demands(version: str) -> Iterator[str]:
    """The section of each SHALL and MUST of a specification."""
    section = ""
    text = (SPECIFICATIONS / f"kmip-spec-v{version}.md").read_text(encoding="utf-8")
    for line in text.splitlines():
        heading = _HEADING.match(line)
        if heading:
            section = heading["number"] or section
        else:
            yield from [section] * len(_DEMAND.findall(line))


def test_each_clause_has_cases_in_each_version_or_a_reason() -> None:
    assert {row.fact: problems for row in EVERY if (problems := list(wrong(row)))} == {}


def wrong(row: Row) -> Iterator[str]:
    """What a row of the index lacks."""
    if bool(row.patterns) == bool(row.reason) or row.reason not in {"", *REASONS}:
        yield "it needs either cases or one of the reasons"
    if not row.sections:
        yield "it names no section"
    for pattern in row.patterns:
        if pattern != EVERYTHING and not matching(Row(row.fact, {}, (pattern,), "")):
            yield f"no case matches {pattern}"
    for version in row.sections:
        if not row.reason and not matching(row, version):
            yield f"no case of KMIP {version}"


@pytest.mark.standard
@pytest.mark.parametrize("version", VERSIONS)
def test_each_demand_of_the_standard_is_in_the_index(version: str) -> None:
    if not SPECIFICATIONS.is_dir():
        pytest.skip("the specifications are not here")
    listed: Counter[str] = Counter()
    for row in EVERY:
        listed.update(row.sections.get(version, {}))
    assert listed == Counter(demands(version))


def test_the_page_is_the_index() -> None:
    """A reader relies on its figures."""
    assert gen_clauses.PAGE.read_text(encoding="utf-8") == gen_clauses.page()


def test_most_of_what_can_be_seen_is_tested() -> None:
    for version in VERSIONS:
        _, seen, tested = gen_clauses.figures(version, EVERY)
        assert tested >= 0.85 * seen
