"""The threat model and the security policy name tests, pages and settings that there are."""

import re

import pytest
from documents import PROJECT

PAGES = ("SECURITY.md", "docs/threat-model.md")
ATTACKERS = (
    "The network", "A client with a certificate", "Another account", "The administrator",
    "The thief of the disk", "The thief of the backup", "The supply chain",
)  # fmt: skip


def text(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_test_and_file_that_a_page_names_exists(page: str) -> None:
    """A promise whose test is gone is none."""
    named = re.findall(r"`((?:tests|requirements|tools)(?:/[\w.-]+)+)`", text(page))
    assert named
    assert [path for path in named if not (PROJECT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_page(page: str) -> None:
    folder = (PROJECT / page).parent
    links = re.findall(r"\]\(([^)#]+)", text(page))
    assert links
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_row_of_an_attack_names_a_test() -> None:
    [*tables] = re.findall(r"^\| attack .*?\n\n", text(PAGES[1]), re.MULTILINE | re.DOTALL)
    rows = [row for table in tables for row in table.strip().splitlines()[2:]]
    assert len(tables) == len(ATTACKERS) + 1
    assert [row for row in rows if "`tests/" not in row.split("|")[3]] == []


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_of_each_attacker_the_page_says_what_does_not_hold(attacker: str) -> None:
    [section] = re.findall(
        rf"^### {attacker}\n(.*?)(?=^##)", text(PAGES[1]), re.MULTILINE | re.DOTALL
    )
    assert "What does not hold:" in section


def test_every_test_of_an_attack_is_named() -> None:
    """But for those that were added before their row: then the page sends to the folder."""
    page = text(PAGES[1])
    files = sorted(path.name for path in (PROJECT / "tests" / "attacks").glob("test_*.py"))
    missing = [name for name in files if f"`tests/attacks/{name}`" not in page]
    assert not missing or "see the tests in `tests/attacks`" in page
