"""The pages about algorithm rules and approvals: their examples are policies, their tables complete."""

import pytest
from documents import PROJECT, blocks
from kmipkit_server.policy.algorithms.document import _READERS, KINDS
from kmipkit_server.policy.counts import PERIODS
from kmipkit_server.policy.document import read_policy

PAGES = ("docs/algorithms.md", "docs/approvals.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_are_policies(page: str) -> None:
    found = blocks(page, "toml")
    assert found
    for text in found:
        policy = read_policy(text)
        assert policy.rules or policy.sections["algorithms"]


def test_the_page_names_every_key_of_an_algorithm_rule() -> None:
    text = (PROJECT / PAGES[0]).read_text(encoding="utf-8")
    assert [key for key in (*KINDS, *_READERS) if f"`{key}`" not in text] == []


def test_the_page_names_every_key_of_approvals_and_every_period() -> None:
    text = (PROJECT / PAGES[1]).read_text(encoding="utf-8")
    keys = ("by", "number", "hours", "accounts", "groups", "users", "linked_groups", *PERIODS)
    assert [key for key in keys if f"`{key}`" not in text] == []
