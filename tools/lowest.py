"""The lowest versions that setup.cfg permits, as constraints for pip: ``lowest.py EXTRA...``."""

import configparser
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def requirements(*extras: str) -> list[str]:
    """The lines of the package and of the extras, and of those that these name."""
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    lines = set(setup["options"]["install_requires"].split("\n"))
    waiting, seen = list(extras), set(extras)
    while waiting:
        text = setup["options.extras_require"][waiting.pop()]
        lines |= set(text.split("\n"))
        for others in re.findall(r"^kmipkit\[(.+)\]$", text, re.MULTILINE):
            new = set(others.split(",")) - seen
            seen |= new
            waiting += new
    return sorted(line for line in lines if line and not line.startswith("kmipkit["))


def lowest(*extras: str) -> Iterator[str]:
    """One line for each requirement of the package and of the extras."""
    for line in requirements(*extras):
        match = re.fullmatch(r"([\w-]+)(?:\[[\w,-]+\])? >= ([\d.]+)", line)
        if match is None:
            sys.exit(f"setup.cfg: {line!r} has no lowest version")
        yield f"{match[1]} == {match[2]}"


if __name__ == "__main__":
    print("\n".join(lowest(*sys.argv[1:])))
