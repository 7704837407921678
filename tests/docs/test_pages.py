"""Every page: its code blocks are closed, and its spelling is that of the United States."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
_FENCE = re.compile(r" {0,3}(?P<marks>`{3,}|~{3,})(?P<info>[^\n]*)")
_BRITISH = re.compile(r"\b(?:colou|behaviou|favou|honou|neighbou)r\w*|\blicences?\b", re.IGNORECASE)


def unbalanced(text: str) -> list[int]:
    """The lines of fences that close nothing, or are never closed (CommonMark 0.31.2, §4.5).

    A fence inside an open block is its text, unless it closes it: then it has no information after it.
    One with information of its own is reported too, since it shows that the block was never closed.
    """
    faults: list[int] = []
    opened: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if fence is None:
            continue
        marks, information = fence["marks"], fence["info"].strip()
        if opened is None:
            if not information:
                faults.append(number)
            opened = number, marks
        elif marks.startswith(opened[1]):
            if information:
                faults.append(number)
            else:
                opened = None
    return faults if opened is None else [*faults, opened[0]]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_code_blocks_of_a_page_are_closed(path: Path) -> None:
    assert unbalanced(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("```sh\nls\n```\n", []),
        ("````text\n```\n````\n", []),
        ("```sh\nls\n", [1]),
        ("```sh\nls\n```sh\nls\n```\n", [3]),
        ("text\n```\n", [2, 2]),
        ("~~~text\n```\n~~~\n", []),
    ],
)
def test_blocks_that_are_not_closed_are_found(text: str, lines: list[int]) -> None:
    assert unbalanced(text) == lines


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_spelling_of_a_page(path: Path) -> None:
    assert _BRITISH.findall(path.read_text(encoding="utf-8")) == []
