"""Runs one test for each mutant, in a process that was forked with everything else already imported.

``python mutant_runner.py SHARD SHARDS`` prints a line of JSON for each mutant of the short table: its
name, the exit status of pytest, and what pytest printed. Starting Python and importing what does not
change would take most of the time of a mutant, so that is done once. The package that is mutated is
imported by each child, from bytecode that the first child has written.
"""

import contextlib
import gc
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# As for pytest, see pyproject.toml.
sys.path[:0] = [each for each in (str(PROJECT / "tests"), str(PROJECT)) if each not in sys.path]

import hypothesis.strategies  # noqa: E402, F401 -- imported for the children, as the rest
import pytest  # noqa: E402
import trio.testing  # noqa: E402, F401
from requirement_mutants import FASTEST, VSPHERE, Mutant  # noqa: E402

SCENES = ("vsphere_scene", "trusted_scene", "software_tpm")
"""What the tests import of the mutated package: each child for itself."""
_PLUGINS = ("cacheprovider", "xdist", "hypothesispytest", "unraisableexception")
OPTIONS = ("-q", "-x", "--assert=plain", *(f"-pno:{name}" for name in _PLUGINS))


def preload() -> None:
    """Import what the scenes import, but not the package that is mutated."""
    with tempfile.TemporaryFile() as names:
        if (child := os.fork()) == 0:
            for scene in SCENES:
                importlib.import_module(scene)
            os.write(names.fileno(), "\n".join(sys.modules).encode())
            os._exit(0)
        os.waitpid(child, 0)
        names.seek(0)
        for name in names.read().decode().split("\n"):
            if not f"{name}.".startswith((VSPHERE, *SCENES, "__main__")):
                with contextlib.suppress(ImportError):  # some are made by others
                    importlib.import_module(name)
    gc.freeze()  # the children share these pages


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
    with tempfile.TemporaryDirectory() as bytecode:
        sys.pycache_prefix, sys.dont_write_bytecode = bytecode, False
        preload()
        for mutant, test in FASTEST[shard::shards]:
            status, output = run(mutant, test)
            print(json.dumps([mutant.name, status, output[-2000:]]), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
