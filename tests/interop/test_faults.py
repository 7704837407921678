"""Faults and personalities on real clients: what each of them does is what docs/faults.md says.

The page is the table of these tests. What it says of a client is measured; where a client takes what is
false for true, that is a finding about this client.
"""

import sys
from pathlib import Path

import pytest
from documents import PROJECT
from fault_trials import (
    ACCEPTS,
    BREAKS,
    CRASHES,
    PAGE,
    REFUSES,
    UNTOUCHED,
    WAITS,
    WORKS,
    WRONG,
    Program,
    Trial,
    cell,
    documented,
    try_fault,
    try_personality,
)
from kmipkit_server.test_mode.faults.file import personalities
from kmipkit_server.test_mode.faults.kinds import KINDS
from programs import ARSENAL_FOLDER, PROGRAMS

CLIENTS, ROWS = documented()
PERSONALITY = "personality"


def python(client: str) -> list[str]:
    warnings = ["-W", "ignore"]  # of PyKMIP, about what it uses of the module ssl
    return [sys.executable, *warnings, str(PROGRAMS / "python" / "trials.py"), client]


def check(command: list[str], client: str) -> None:
    """Compare what a client does with its column of the page."""
    column = CLIENTS.index(client)
    differences = []
    with Program(command) as program:
        for trial, verdicts in ROWS:
            said = verdicts[column]
            done, results = attempt(program, trial, said)
            if done != said:
                shown = " | ".join(each.strip()[:100] for each in results)
                differences.append(f"{cell(trial)}: {said} in {PAGE}, but {done}: {shown}")
    assert not differences, "\n".join(differences)


def attempt(program: Program, trial: Trial, said: str) -> tuple[str, list[str]]:
    name, options = trial
    if name == PERSONALITY:
        return try_personality(program, options["name"])
    return try_fault(program, trial, waits=said == WAITS)


def test_our_own_client() -> None:
    check(python("kmipkit"), "kmipkit")


def test_pykmip() -> None:
    pytest.importorskip("kmip")
    check(python("pykmip"), "PyKMIP")


@pytest.mark.standard
def test_kmip_go(go_client: list[str]) -> None:
    check([*go_client, "trials"], "kmip-go")


@pytest.mark.standard
def test_the_client_of_nlnet_labs(rust_programs: Path) -> None:
    check([str(rust_programs / "trials")], "kmip-protocol")


@pytest.mark.standard
def test_the_client_of_scality(node_folder: Path) -> None:
    package = str(node_folder / ARSENAL_FOLDER)
    check(["node", str(node_folder / "trials.js"), package], "Arsenal")


# --- the page ------------------------------------------------------------------------------------


def test_the_page_has_every_fault_and_personality() -> None:
    assert {name for (name, _), _ in ROWS} == {*KINDS, PERSONALITY}
    shown = [options["name"] for (name, options), _ in ROWS if name == PERSONALITY]
    assert shown == personalities()


def test_every_fault_reaches_a_client() -> None:
    for trial, verdicts in ROWS:
        assert set(verdicts) != {UNTOUCHED}, trial


def test_our_own_client_neither_crashes_nor_believes_what_is_false() -> None:
    """But for the Time Stamp of a response, to which the standard attaches no meaning for clients."""
    column = CLIENTS.index("kmipkit")
    for (name, options), verdicts in ROWS:
        good = {WORKS, REFUSES, WAITS} | ({ACCEPTS} if name == "time-stamp" else set())
        assert verdicts[column] in good or name == PERSONALITY, (name, options)


def test_the_page_explains_its_words() -> None:
    text = (PROJECT / PAGE).read_text(encoding="utf-8")
    for word in (WORKS, REFUSES, BREAKS, ACCEPTS, WRONG, WAITS, CRASHES, UNTOUCHED):
        assert f"| {word} |" in text
