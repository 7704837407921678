"""Programs in other languages, with which tests talk to ours: built once, in the cache of pytest.

Later sessions find there what has not changed. A test is skipped where a tool is missing, or where its
registry cannot be reached.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("interop") / "clients"
BUILD_TIMEOUT = 1200.0

ARSENAL = "@scality/arsenal@8.5.16"
"""The client of Scality, which is unpacked into :data:`ARSENAL_FOLDER` of its programs."""
ARSENAL_FOLDER = "node_modules/arsenal"

Tool = tuple[str, Sequence[str], tuple[int, int]]
"""A command, its arguments to show the version, and the lowest version that builds the program."""

GO: Tool = ("go", ("version",), (1, 24))
CARGO: Tool = ("cargo", ("--version",), (1, 74))
NODE: Tool = ("node", ("--version",), (20, 0))


def require(tool: Tool) -> None:
    """Skip the test if a tool is missing or too old."""
    command, arguments, lowest = tool
    if shutil.which(command) is None:
        pytest.skip(f"there is no {command} on this machine")
    output = subprocess.run([command, *arguments], capture_output=True, text=True).stdout
    version = re.search(r"(\d+)\.(\d+)", output)
    if version is None or (int(version[1]), int(version[2])) < lowest:
        pytest.skip(f"{command} is older than {lowest[0]}.{lowest[1]}: {output.strip()}")


def fetch(command: Sequence[str], folder: Path) -> None:
    """Fetch packages; skip the test if the registry cannot be reached."""
    process = run(command, folder)
    if process.returncode:
        pytest.skip(f"{' '.join(command)} failed: {process.stderr[-300:]}")


def run(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"CGO_ENABLED": "0"},  # Go alone: the C parts of its library take longest
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
    )


def build(command: Sequence[str], folder: Path) -> None:
    process = run(command, folder)
    assert process.returncode == 0, process.stderr


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One build at a time, where several processes run the tests."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
