"""On which line of a TOML file a setting begins; the parser of the standard library does not say."""

import tomllib
from collections.abc import Mapping
from typing import Any

from kmipkit.toml_text import parse as parse_toml

MAX_LINES = 20_000
"""Lines of a file from which on settings have no lines."""
MAX_STATEMENT = 500
"""Lines of one statement at most: each of them is parsed together with those before it."""

Path_ = tuple[str | int, ...]
"""The keys of a setting; an index for each array of tables on the way."""


def lines_of(text: str) -> Mapping[Path_, int]:
    """The line of each table and setting, by its path; none if the file is not valid or is long."""
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        return {}
    finder = _Finder()
    begin = 0
    for number in range(1, len(lines) + 1):
        if begin == number - 1 and not lines[begin].partition("#")[0].strip():
            begin = number  # an empty line or a comment, between two statements
            continue
        if number - begin > MAX_STATEMENT:
            return {}
        statement = "\n".join(lines[begin:number])
        try:
            document = parse_toml(statement)
        except tomllib.TOMLDecodeError:
            continue  # inside a statement of several lines
        finder.add(statement, document, begin + 1)
        begin = number
    return finder.found


class _Finder:
    """Collects the lines. Each statement is valid TOML by itself, so that none is parsed twice."""

    def __init__(self) -> None:
        self.found: dict[Path_, int] = {}
        self._table: Path_ = ()
        self._counts: dict[Path_, int] = {}
        """The number of tables in each array of tables so far."""

    def add(self, statement: str, document: Mapping[str, Any], line: int) -> None:
        """Note what a statement sets."""
        if not statement.lstrip().startswith("["):
            self._note(self._table, document, line)
            return
        path, value = [], document
        while isinstance(value, dict) and value:
            [(key, value)] = value.items()
            path.append(key)
        self._table = self._resolved(path, is_array=isinstance(value, list))
        for length in range(1, len(self._table) + 1):
            self.found.setdefault(self._table[:length], line)

    def _resolved(self, keys: list[str], *, is_array: bool) -> Path_:
        """The path of a header: a key of an array of tables stands for its last table."""
        path: Path_ = ()
        for number, key in enumerate(keys):
            path = (*path, key)
            if is_array and number == len(keys) - 1:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                self.found.setdefault(path, 0)
                path = (*path, self._counts[path] - 1)
        return path

    def _note(self, table: Path_, values: Mapping[str, Any], line: int) -> None:
        for key, value in values.items():
            path = (*table, key)
            self.found.setdefault(path, line)
            if isinstance(value, dict):
                self._note(path, value, line)
