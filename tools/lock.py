"""Writes the lock files in ``requirements/``: ``lock.py [--upgrade]``, as ``make lock`` runs it.

``runtime.txt`` has what an installation of kmipkit consists of, ``ci.txt`` also what the tests and
checks need, ``tools.txt`` the tools of this script and of ``sbom.py``. All have versions and hashes.
They are made with the oldest supported Python, and name no package index.
"""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
COMMAND = (
    sys.executable, "-m", "piptools", "compile", "--quiet", "--generate-hashes", "--allow-unsafe",
    "--strip-extras", "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links",
)  # fmt: skip
FILES = (
    ("requirements/ci.txt", "--extra=test", "--extra=check", "--all-build-deps", "setup.cfg"),
    ("requirements/runtime.txt", "--constraint=requirements/ci.txt", "setup.cfg"),
    ("requirements/tools.txt", "requirements/tools.in"),
)


def main() -> None:
    environment = {**os.environ, "CUSTOM_COMPILE_COMMAND": "make lock"}
    for output, *arguments in FILES:
        command = [*COMMAND, *sys.argv[1:], f"--output-file={output}", *arguments]
        subprocess.run(command, cwd=PROJECT, env=environment, check=True)


if __name__ == "__main__":
    main()
