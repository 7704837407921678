"""The lock files: every package is pinned by hash, and they fit what setup.cfg declares."""

import re

import pytest
from documents import PROJECT

from tools.lowest import requirements

LOCKS = ("ci.txt", "runtime.txt", "tools.txt")


def lock(name: str) -> str:
    return (PROJECT / "requirements" / name).read_text(encoding="utf-8")


def packages(name: str) -> dict[str, str]:
    """Name and version of each package in a lock file."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+) \\$", lock(name), re.MULTILINE))


def declared(*extras: str) -> set[str]:
    return {re.split(r"[\s\[]", line)[0].lower() for line in requirements(*extras)}


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_a_version_and_hashes_and_no_other_source(name: str) -> None:
    without_comments = re.sub(r"^ *#.*\n", "", lock(name), flags=re.MULTILINE)
    entries = re.split(r"^(?=\S)", without_comments, flags=re.MULTILINE)[1:]
    form = re.compile(r"[a-z0-9.-]+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n+")
    assert [entry[:80] for entry in entries if not form.fullmatch(entry)] == []
    assert len(packages(name)) == len(entries)


def test_the_lock_files_have_what_is_declared() -> None:
    """A dependency that is added to setup.cfg alone would be missing in CI."""
    assert declared("test", "check") <= packages("ci.txt").keys()
    assert declared("all") <= packages("runtime.txt").keys()


def test_what_runs_is_what_was_tested() -> None:
    assert packages("runtime.txt").items() <= packages("ci.txt").items()
