"""The three tutorials of the conformance tester are played as they are printed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from documents import blocks, free_port

PAGE = "docs/conformance-tutorials.md"
TIMEOUT = 300.0


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which all blocks of the page were run, and what they printed."""
    folder = tmp_path_factory.mktemp("tutorials")
    command = folder / "bin" / "kmipkit"
    command.parent.mkdir()
    # No links: a link to the Python of a virtual environment is outside of it.
    for program, arguments in ((command, " -m kmipkit"), (command.with_name("python3"), "")):
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        program.chmod(0o755)
    script = "\n".join(blocks(PAGE, "sh"))
    for port in (5697, 5698):
        script = script.replace(f":{port}", f":{free_port()}")
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": f"{command.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_the_outputs_are_those_of_the_page(played: tuple[Path, str]) -> None:
    """Three dots stand for what the page leaves out; numbers are those of the cases of the day."""
    printed = re.sub(r"[0-9]+", "0", played[1])
    for block in blocks(PAGE, "text"):
        for line in block.splitlines():
            shown = re.sub(r"[0-9]+", "0", line.split("...")[0].rstrip(", "))
            assert shown in printed, line


def test_judge_a_server(played: tuple[Path, str]) -> None:
    folder, _ = played
    assert "exit status 1" in (folder / "server.txt").read_text()
    before, after = (
        json.loads((folder / name).read_text()) for name in ("before.json", "after.json")
    )
    assert (before["failed"], before["known"], after["failed"], after["known"]) == (1, 0, 0, 1)
    assert "not today" in (folder / "server.html").read_text()


def test_judge_a_client(played: tuple[Path, str]) -> None:
    folder, _ = played
    written = json.loads((folder / "client.json").read_text())
    assert written["failed"] == 0
    assert [run["provocation"] for run in written["runs"]] == ["undisturbed", "refusal"]
    rules = {rule["rule"]: rule["verdict"] for rule in written["rules"]}
    assert rules["after-refusal"] == "kept"
    assert (folder / "wrong.txt").read_text().rstrip().endswith("exit status 1")
    assert (folder / "day.html").exists()


def test_write_a_case(played: tuple[Path, str]) -> None:
    folder, output = played
    assert "FIRST-M-1-14                 1.4    2 steps  Create, Get Attributes" in output
    assert (folder / "case.txt").read_text().rstrip().endswith("exit status 1")
    assert "passed   FIRST-M-1-14" in (folder / "played.txt").read_text()
