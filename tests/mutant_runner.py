"""Runs one test for each mutant, in a process that was forked with everything else already imported.

``python mutant_runner.py SHARD SHARDS`` prints a line of JSON for each mutant of the short table: its
name, the exit status of pytest, and what pytest printed. Starting Python and importing what does not
change would take most of the time of a mutant, so that is done once. The project's package itself is
imported by each child, with the mutation in it.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
if str(PROJECT / "tests") not in sys.path:
    sys.path.insert(0, str(PROJECT / "tests"))

import hypothesis.strategies  # noqa: E402, F401 -- imported for the children, as the rest
import laboratory  # noqa: E402, F401
import pytest  # noqa: E402
import trio.testing  # noqa: E402, F401
from requirement_mutants import FASTEST, VSPHERE, Mutant  # noqa: E402

_PLUGINS = ("cacheprovider", "xdist", "hypothesispytest")
OPTIONS = ("-q", "-x", "--assert=plain", *(f"-pno:{name}" for name in _PLUGINS))


def run(mutant: Mutant, test: str) -> tuple[int, str]:
    """The exit status of pytest with the mutant, and its output."""
    assert not any(name.startswith(VSPHERE) for name in sys.modules)
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _in_child(mutant, test, output.fileno())
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode(errors="replace")


def _in_child(mutant: Mutant, test: str, output: int) -> None:
    status = 70
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["MUTANT"] = json.dumps([VSPHERE + mutant.module, mutant.old, mutant.new])
        import mutant_plugin

        assert mutant_plugin
        status = int(pytest.main([*OPTIONS, test]))
        sys.stdout.flush()
    finally:
        os._exit(status)


def main(shard: int, shards: int) -> None:
    """Run every ``shards``-th mutant of the short table."""
    os.chdir(PROJECT)
    for mutant, test in list(FASTEST)[shard::shards]:
        status, output = run(mutant, test)
        print(json.dumps([mutant.name, status, output[-2000:]]), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
