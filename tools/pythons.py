"""The Python interpreters of this machine that can run kmipkit: ``pythons.py oldest|newest``.

Prints the path of the interpreter. It looks for ``python3`` and ``python3.N`` on PATH, and for those that
pyenv has built: on PATH, pyenv's names work only for the selected version.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LOWEST = (3, 11)
PROBE = "import ensurepip, sqlite3, ssl, sys, venv; print(*sys.version_info[:3])"
"""Fails if the interpreter lacks a module that the tests need, for example without its venv package."""

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
        probe = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(map(int, probe.stdout.split())) if probe.returncode == 0 else None


def usable() -> dict[Path, Version]:
    """Every interpreter that is new enough, with its version."""
    versions = {path: version_of(path) for path in dict.fromkeys(candidates())}
    return {path: version for path, version in versions.items() if version and version >= LOWEST}


if __name__ == "__main__":
    choose = {"oldest": min, "newest": max}[sys.argv[1]]
    interpreters = usable()
    if not interpreters:
        sys.exit(f"no Python of version {LOWEST[0]}.{LOWEST[1]} or later with venv on this machine")
    print(choose(interpreters, key=lambda path: interpreters[path][:2]))
