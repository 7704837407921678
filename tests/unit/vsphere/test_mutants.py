"""Each requirement's tests fail when its behaviour is broken: the table of mutants, run.

A mutant that survives means that the tests of a requirement do not verify it.
"""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from requirement_mutants import FASTEST, MUTANTS, VSPHERE, Mutant

pytestmark = pytest.mark.standard

PROJECT = Path(__file__).resolve().parents[3]
FAILED = 1
"""The exit status of pytest when a test failed, and of nothing else."""


@functools.cache
def files_of(requirement: int) -> tuple[str, ...]:
    """The files with tests of a requirement: those that need no other process first."""
    pattern = re.compile(rf"def test_(?:r\d\d_)*r{requirement:02}_")
    paths = [
        path
        for path in sorted((PROJECT / "tests").rglob("test_*.py"))
        if pattern.search(path.read_text())
    ]
    units = [path for path in paths if "unit" in path.parts]
    return tuple(str(path.relative_to(PROJECT)) for path in units or paths)


def test_every_requirement_has_a_mutant() -> None:
    assert {mutant.requirement for mutant in MUTANTS} == set(range(1, 48))
    assert [mutant.requirement for mutant in MUTANTS] == sorted(m.requirement for m in MUTANTS)
    assert [mutant.requirement for mutant, _ in FASTEST] == list(range(1, 48))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_text_to_mutate_is_there(mutant: Mutant) -> None:
    path = PROJECT / "client" / (VSPHERE + mutant.module).replace(".", "/")
    assert path.with_suffix(".py").read_text().count(mutant.old) == 1
    assert files_of(mutant.requirement)


SHARDS = 8
"""Parts of the short form, which test workers run beside each other; the normal run has one."""


@pytest.mark.parametrize(
    "shard", [0, *(pytest.param(shard, marks=pytest.mark.long) for shard in range(1, SHARDS))]
)
def test_a_test_of_each_requirement_fails_with_its_first_mutant(shard: int) -> None:
    """The short form; each mutant is loaded into a process in which all else is imported."""
    runner = str(PROJECT / "tests" / "mutant_runner.py")
    command = [sys.executable, runner, str(shard), str(SHARDS)]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    results = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(results) == len(FASTEST[shard::SHARDS])
    for name, status, output in results:
        assert status == FAILED, f"{name} survives, or cannot be tested:\n{output}"


@pytest.mark.long
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_files_of_a_requirement_fail_with_its_mutant(mutant: Mutant) -> None:
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "mutant_plugin",
        ),
        *("-k", f"r{mutant.requirement:02}_", *files_of(mutant.requirement)),
    ]
    text = json.dumps([VSPHERE + mutant.module, mutant.old, mutant.new])
    paths = (str(PROJECT / "tests"), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "MUTANT": text, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    if run.returncode == 0 and " passed" not in run.stdout:
        pytest.skip("the tests of this requirement need what is not installed here")
    assert run.returncode == FAILED, (
        f"this mutant survives:\n{run.stdout[-2000:]}{run.stderr[-2000:]}"
    )
