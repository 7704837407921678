"""Writes the lock files in ``requirements/``: ``lock.py [--upgrade]``, as ``make lock`` runs it.

``runtime.txt`` has what an installation of kmipkit consists of, ``ci.txt`` also what the tests and
checks need, ``tools.txt`` the tools of this script and of ``sbom.py``. All have versions and hashes.
They are made with the oldest supported Python, and name no package index.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lowest import requirements

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = (
    sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--allow-unsafe",
    "--strip-extras", "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links",
)  # fmt: skip


class LockFile(NamedTuple):
    """A file to write, and what it must have."""

    name: str
    requirements: Iterable[str]
    arguments: tuple[str, ...] = ()


def files() -> Iterable[LockFile]:
    """All of them, each after those that constrain it."""
    build = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    yield LockFile("ci.txt", [*requirements("all", "test", "check"), *build["requires"]])
    yield LockFile("runtime.txt", requirements("all"), ("--constraint=requirements/ci.txt",))
    yield LockFile("tools.txt", (PROJECT / "requirements/tools.in").read_text("utf-8").split("\n"))


def main() -> None:
    environment = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"}
    for file in files():
        # The lines, and not setup.cfg itself: its extras name each other, which would be a requirement
        # of kmipkit itself.
        output = f"--output-file=requirements/{file.name}"
        command = [*COMMAND, *sys.argv[1:], output, *file.arguments, "-"]
        lines = "\n".join(file.requirements)
        subprocess.run(command, cwd=PROJECT, env=environment, check=True, input=lines, text=True)


if __name__ == "__main__":
    main()
