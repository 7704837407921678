"""The rehearsal of the page for operators: played over processes, it prints what the page shows."""

from pathlib import Path

from tools import gen_rehearsal


def test_the_rehearsal_prints_what_the_page_shows(tmp_path: Path) -> None:
    """An operator who types what is there sees what is there, whatever the identifiers and times."""
    text = gen_rehearsal.PAGE.read_text(encoding="utf-8")
    shown = gen_rehearsal.comparable(gen_rehearsal.section(text))
    played = gen_rehearsal.comparable(gen_rehearsal.played(text, tmp_path))
    assert played == shown, "run: tools/gen_rehearsal.py"


def test_another_output_is_another_page() -> None:
    """What is ignored are identifiers and times, and not which identifier is where."""
    one, two = (f"{number}c4f1d0e-52e6-4dd5-9c3f-3c2a3d0c7b22" for number in range(2))
    same = gen_rehearsal.comparable(f"{one} {two} 2026-11-29 07:21:08.309      success")
    assert same == gen_rehearsal.comparable(f"{two} {one} 2027-01-01 00:00:00  success")
    assert same != gen_rehearsal.comparable(f"{one} {one} 2026-11-29 07:21:08.309 success")
    assert same != gen_rehearsal.comparable(f"{one} {two} 2026-11-29 07:21:08.309 failed")
