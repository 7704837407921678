"""The table of clauses and their tests in docs/conformance.md is complete, and its tests exist."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIRECTORIES = {"u": "unit", "i": "integration", "p": "property", "a": "attacks", "v": "vectors"}

CLAUSES = {
    "1.4": (
        *("2.1.1-2.1.23", "2.2.1-2.2.9", "3.1-3.51", "4.1-4.41", "5.1-5.4", "6.1-6.19", "7.1-7.2"),
        *("8", "9.1", "9.1.3", "10", "11", "12.1-12.2"),
    ),
    "2.1": (
        *("2.1-2.9", "3.1-3.12", "4.1-4.63", "5.1-5.7", "6.1.1-6.1.57", "6.2.1-6.2.5", "7.1-7.41"),
        *("8.1-8.6", "9.1-9.21", "10.1-10.4", "11.1-11.64", "12.1-12.3", "13.1", "14.1-14.2"),
    ),
}
"""The clauses of the two specifications that say what a server or client does."""


def expanded(text: str) -> Iterator[str]:
    """Each clause of a list such as "4.1-4.3, 4.7"."""
    for part in filter(None, map(str.strip, text.split(","))):
        first, separator, last = part.partition("-")
        if not separator:
            yield first
            continue
        chapter, _, number = first.rpartition(".")
        assert last.rpartition(".")[0] == chapter, part
        for each in range(int(number), int(last.rpartition(".")[2]) + 1):
            yield f"{chapter}.{each}"


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| clauses \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    lines = [line.split("|")[1:-1] for line in table.strip().splitlines()[2:]]
    return [list(map(str.strip, cells)) for cells in lines]


@pytest.mark.parametrize(("column", "version"), [(1, "1.4"), (2, "2.1")])
def test_every_clause_is_in_one_row(column: int, version: str) -> None:
    listed = Counter(clause for row in rows() for clause in expanded(row[column]))
    expected = {clause for part in CLAUSES[version] for clause in expanded(part)}
    assert expected - set(listed) == set(), "clauses without a row"
    assert set(listed) - expected == set(), "no such clauses"
    assert [clause for clause, count in listed.items() if count > 1] == []


def test_every_test_exists() -> None:
    for title, first, second, tests in rows():
        if title.startswith("**"):
            continue
        names = re.findall(r"`(\w)/([\w/]+\.py)`", tests)
        assert names, f"{title}: no test"
        assert len(names) == tests.count("`") // 2, f"{title}: a name of another form"
        assert first or second, f"{title}: no clause"
        for directory, name in names:
            assert (ROOT / "tests" / DIRECTORIES[directory] / name).exists(), name
