"""On which line of a TOML file a setting begins; the parser of the standard library does not say."""

import tomllib
from collections.abc import Mapping
from typing import Any

MAX_LINES = 2000
"""Lines of a file from which on settings have no lines: each line is parsed together with all before."""

Path_ = tuple[str, ...]


def lines_of(text: str) -> Mapping[Path_, int]:
    """The line of each table and setting, by its path; none if the file is not valid or is long."""
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        return {}
    found: dict[Path_, int] = {}
    begin = 0
    for number in range(1, len(lines) + 1):
        if begin == number - 1 and not lines[begin].partition("#")[0].strip():
            begin = number  # an empty line or a comment, between two statements
            continue
        try:
            document = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # inside a statement of several lines
        for path in _paths(document):
            found.setdefault(path, begin + 1)
        begin = number
    return found


def _paths(document: Mapping[str, Any]) -> list[Path_]:
    """Tables and the settings in them."""
    paths: list[Path_] = []
    for section, table in document.items():
        paths.append((section,))
        if isinstance(table, dict):
            paths += [(section, key) for key in table]
    return paths
