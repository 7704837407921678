"""The page about complaints of users has every item, and what it names exists."""

import re

import pytest
from documents import PROJECT

PAGE = "docs/field.md"
TEXT = (PROJECT / PAGE).read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\w?\d+) \|(.*)\|$", TEXT, re.MULTILINE)
NUMBERS = [number for number, _ in ROWS]


def test_every_item_is_there_once_and_in_order() -> None:
    complaints = [str(n) for n in range(1, 56)]
    wishes = [f"S{n}" for n in range(1, 22)]
    lessons = [f"L{n}" for n in range(1, 11)]
    assert complaints + wishes + lessons == NUMBERS


@pytest.mark.parametrize(("number", "row"), ROWS, ids=NUMBERS)
def test_each_item_has_an_answer_and_a_proof(number: str, row: str) -> None:
    """A proof is a test or a page, and it is there."""
    *_, answer, proof = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]
    assert answer, number
    named = re.findall(r"`((?:tests|tools)/[\w./-]+?)(?:::(\w+))?`", proof)
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", proof)
    assert named or links, number
    for path, test in named:
        text = (PROJECT / path).read_text(encoding="utf-8")
        assert not test or re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), (path, test)
    for link, anchor in links:
        text = ((PROJECT / PAGE).parent / link).read_text(encoding="utf-8")
        assert not anchor or anchor in _anchors(text), (link, anchor)


def _anchors(text: str) -> set[str]:
    """The anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_what_comes_later_names_the_work() -> None:
    for number, row in ROWS:
        for later in re.findall(r"\*\*later\*\*(.{0,12})", row):
            assert re.match(r" \((1[6-9]|20)(, (1[6-9]|20))*\)", later), number
