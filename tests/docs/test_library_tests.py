"""Each library has tests that run with its lowest and its newest version."""

import re

import pytest
from documents import PROJECT
from library_tests import LIBRARIES, TOOLS, paths

from tools.lowest import requirements


def test_every_dependency_has_its_tests() -> None:
    """One without would break for a user who has another version of it than CI."""
    declared = {re.split(r"[\s\[]", line)[0].lower() for line in requirements("test", "otel")}
    assert declared == LIBRARIES.keys() | TOOLS
    assert not LIBRARIES.keys() & TOOLS


@pytest.mark.parametrize("path", paths())
def test_the_tests_are_there_and_run_with_each_version(path: str) -> None:
    assert (PROJECT / path).exists()
    if path.endswith(".py"):
        text = (PROJECT / path).read_text(encoding="utf-8")
        assert not re.search(r"^pytestmark = .*(standard|long)", text, re.MULTILINE)
