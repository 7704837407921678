"""The Python interpreters of this machine that can run kmipkit: ``pythons.py oldest|newest``.

Prints the path of one. Found are ``python3`` and ``python3.N`` on PATH, and what pyenv has built,
whose names on PATH work for the version in use only.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LOWEST = (3, 11)
ASK = "import ensurepip, sqlite3, ssl, sys, venv; print(*sys.version_info[:3])"
"""Fails where a part is missing that the tests need, as of a Python without its venv package."""

Version = tuple[int, ...]


def candidates() -> Iterator[Path]:
    """Files that may be an interpreter; the one in use is the first."""
    yield Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [Path(folder) for folder in os.get_exec_path()]
    for folder in (*folders, *pyenv.glob("versions/*/bin")):
        yield from sorted(
            path for path in folder.glob("python3*") if re.fullmatch(r"python3(\.\d+)?", path.name)
        )


def version_of(path: Path) -> Version | None:
    """The version of an interpreter; None if it cannot be used."""
    try:
        done = subprocess.run([path, "-c", ASK], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


def usable() -> dict[Path, Version]:
    """Every interpreter that is new enough, with its version."""
    found = {path: version_of(path) for path in dict.fromkeys(candidates())}
    return {path: version for path, version in found.items() if version and version >= LOWEST}


if __name__ == "__main__":
    choose = {"oldest": min, "newest": max}[sys.argv[1]]
    found = usable()
    if not found:
        sys.exit(f"no Python of version {LOWEST[0]}.{LOWEST[1]} or later with venv on this machine")
    print(choose(found, key=lambda path: found[path][:2]))
