"""What got better or worse between two reports: what a vendor asks after each release."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_conformance.cli import conformance
from kmipkit_conformance.comparison import Change, Played, differences, is_worse

from kmipkit.reports import Outcome

SCALE = [Outcome.FAILED, Outcome.KNOWN, Outcome.SKIPPED, Outcome.PASSED]
outcomes = st.sampled_from(SCALE)
reports = st.dictionaries(
    st.sampled_from("ABCDE"), st.builds(Played, outcomes, st.integers(0, 2), st.just(()))
)


@given(reports, reports)
def test_the_comparison_is_the_same_in_both_directions(
    before: dict[str, Played], after: dict[str, Played]
) -> None:
    """What one reading calls better, the other calls worse."""
    opposite = {
        Change.WORSE: Change.BETTER,
        Change.BETTER: Change.WORSE,
        Change.NEW: Change.GONE,
        Change.GONE: Change.NEW,
        Change.OTHER: Change.OTHER,
    }
    there = {each.case: opposite[each.change] for each in differences(before, after)}
    back = {each.case: each.change for each in differences(after, before)}
    assert there == back
    assert not list(differences(before, before))


@given(reports, reports)
def test_only_what_fell_is_worse(before: dict[str, Played], after: dict[str, Played]) -> None:
    fell = any(
        SCALE.index(after[case].outcome) < SCALE.index(before[case].outcome)
        for case in before.keys() & after.keys()
    )
    fails_anew = any(after[case].outcome is Outcome.FAILED for case in after.keys() - before.keys())
    assert is_worse(list(differences(before, after))) is (fell or fails_anew)


def write(path: Path, **outcomes: str) -> Path:
    cases = [
        {"case": name, "outcome": outcome, "step": 1, "reasons": [f"{name}: \x1b[2J"]}
        for name, outcome in outcomes.items()
    ]
    path.write_text(json.dumps({"cases": cases}))
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(conformance, ["diff", *map(str, arguments)])


def test_the_command_names_what_changed_and_fails_if_something_got_worse(tmp_path: Path) -> None:
    before = write(tmp_path / "a.json", A="passed", B="failed", C="passed")
    after = write(tmp_path / "b.json", A="failed", B="passed", C="passed", D="passed")
    result = run(before, after)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].split() == ["worse", "A", "passed", "->", "failed", "at", "step", "1"]
    assert "\x1b" not in result.output
    assert lines[-1] == "1 worse, 1 better, 0 other, 1 new, 0 gone"
    shown = json.loads(run(before, after, "--json").output)
    assert [(each["case"], each["change"]) for each in shown] == [
        ("A", "worse"),
        ("B", "better"),
        ("D", "new"),
    ]
    assert run(after, after).exit_code == 0


@pytest.mark.parametrize("text", ["", "[]", '{"cases": [{}]}', '{"cases": [{"case": []}]}', "null"])
def test_what_is_no_report_is_an_error(tmp_path: Path, text: str) -> None:
    """One line that says which file, and how to make one."""
    good, bad = write(tmp_path / "a.json", A="passed"), tmp_path / "b.json"
    bad.write_text(text)
    result = run(good, bad)
    assert result.exit_code == 2, "1 would mean that a case got worse"
    assert "not a report" in result.output
    assert "b.json" in result.output


UUIDS = ("ecca359a-9940-48b8-8e63-5d607a69d194", "af6a9f8f-bd89-40e9-825b-9b3d29a1ba7d")


def report(path: Path, *rows: tuple[str, str, str], problem: str = "") -> Path:
    cases = [
        {"case": name, "outcome": outcome, "step": 1, "reasons": [reason]}
        for name, outcome, reason in rows
    ]
    path.write_text(json.dumps({"cases": cases, "problem": problem}))
    return path


def test_what_is_new_in_each_run_is_no_difference(tmp_path: Path) -> None:
    """Identifiers and dates would otherwise make every failure look like another one."""
    before, after = (
        report(tmp_path / f"{day}.json", ("A", "failed", f"Locate: got '{uuid}' on 2026-11-{day}"))
        for day, uuid in enumerate(UUIDS, 10)
    )
    assert run(before, after).output == "0 worse, 0 better, 0 other, 0 new, 0 gone\n"
    other = report(tmp_path / "3.json", ("A", "failed", "Locate: got nothing"))
    assert "1 other" in run(before, other).output


def test_cases_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two folders may have a case of the same name; the failure of one must not be hidden."""
    good = report(tmp_path / "a.json", ("A", "passed", ""), ("A", "passed", ""))
    bad = report(tmp_path / "b.json", ("A", "failed", "why"), ("A", "passed", ""))
    result = run(good, bad)
    assert result.exit_code == 1
    assert "1 worse, 0 better" in result.output


def test_a_run_that_ended_early_is_not_as_good_as_before(tmp_path: Path) -> None:
    """The cases that are gone might all fail."""
    good = report(tmp_path / "a.json", ("A", "passed", ""), ("B", "passed", ""))
    ended = report(tmp_path / "b.json", ("A", "passed", ""), problem="kms:5696: Connection refused")
    result = run(good, ended)
    assert result.exit_code == 1
    assert "the run has ended early: kms:5696: Connection refused" in result.output
    assert run(ended, good).exit_code == 0
