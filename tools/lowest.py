"""The lowest versions that setup.cfg permits, as constraints for pip: ``lowest.py EXTRA...``."""

import configparser
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def lowest(*extras: str) -> Iterator[str]:
    """One line for each requirement of the package and of the extras."""
    declared = configparser.ConfigParser()
    declared.read(PROJECT / "setup.cfg", encoding="utf-8")
    lists = [declared["options"]["install_requires"]]
    lists += [declared["options.extras_require"][extra] for extra in extras]
    for line in "\n".join(lists).split("\n"):
        if line:
            match = re.fullmatch(r"([\w-]+) >= ([\d.]+)", line)
            if match is None:
                sys.exit(f"setup.cfg: {line!r} has no lowest version")
            yield f"{match[1]} == {match[2]}"


if __name__ == "__main__":
    print("\n".join(lowest(*sys.argv[1:])))
