"""The short drill: machines fail while clients work, and nothing that was acknowledged is lost."""

import json
import subprocess
import sys
from typing import Any

import pytest
import stores
from documents import PROJECT

from drill import network
from drill.checker import Kind
from drill.faults import CARELESS, FAULTS, SHORT

PATIENCE = 900
"""Seconds until the drill counts as hanging: it takes one minute, and more on a busy machine."""


def drill(faults: str, code: int) -> Any:
    """The report of a drill that ends with this exit code."""
    reason = network.why_impossible()
    if reason is not None:
        pytest.skip(reason)
    command = [sys.executable, "-m", "drill", "--faults", faults, "--seed", "1", "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.drill
@stores.needs_postgresql
def test_nothing_acknowledged_is_lost() -> None:
    """An operator must be able to lose a machine, and a client to believe what it was told."""
    report = drill("short", 0)
    assert report["findings"] == report["complaints"] == []
    assert {row["fault"] for row in report["faults"]} == set(SHORT) <= set(FAULTS)
    # Otherwise the drill has shown nothing.
    assert report["operations"]["done"] > 100
    assert report["objects"] > 10


@pytest.mark.long
@pytest.mark.drill
@stores.needs_postgresql
def test_what_is_lost_is_found() -> None:
    """A drill that cannot fail shows nothing: here, an administrator makes the worst mistake."""
    kinds = {finding["kind"] for finding in drill(CARELESS, 1)["findings"]}
    assert Kind.LOST in kinds
    assert Kind.CONTRADICTION in kinds


def test_without_namespaces_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever cannot run the drill learns what is missing."""
    monkeypatch.setenv("PATH", "")
    assert network.why_impossible() == "the program unshare is missing"
