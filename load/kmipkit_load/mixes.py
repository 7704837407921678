"""Mixes: which requests a run sends, as a TOML file.

    description = "Hosts that start after a power failure"
    objects = 500

    [[requests]]
    operation = "get"
    weight = 95

    [[requests]]
    operation = "create"
    weight = 5
    key = "AES-128"

All faults of a file are reported at once; unknown names are refused with a suggestion.
"""

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kmipkit.toml_text import parse as parse_toml
from kmipkit_load.errors import MixError
from kmipkit_load.keys import KEYS, Key
from kmipkit_load.operations import OPERATIONS, Operation

FOLDER = Path(__file__).parent / "mixes"
"""The mixes that come with kmipkit."""

OBJECTS = 100
MAX_OBJECTS, MAX_PAIRS = 100_000, 10
MAX_DATA = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of request in a mix."""

    operation: Operation
    weight: float = 1.0
    """How often it is sent, relative to the other lines."""
    key: Key = KEYS["AES-256"]
    data: int = 1024
    """Bytes that are encrypted, signed, digested or retrieved."""

    @property
    def label(self) -> str:
        """What results call it: the operation, and the key if that is not the default one."""
        is_usual = not self.operation.kinds or self.key.name == self.operation.default
        return self.operation.name if is_usual else f"{self.operation.name} {self.key.name}"


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix."""

    name: str
    lines: tuple[Line, ...]
    description: str = ""
    objects: int = OBJECTS
    """Objects of each kind that are prepared before the measurement; at most 10 of them key pairs."""

    def with_keys(self, names: Iterable[str]) -> "Mix":
        """The mix with other keys: each line that works with keys of this kind, once for each key.

        MixError if no line of the mix works with a key.
        """
        chosen = [KEYS[name] for name in names]
        if not chosen:
            return self
        kinds = {kind for line in self.lines for kind in line.operation.kinds}
        unused = [key.name for key in chosen if key.kind not in kinds]
        if unused:
            raise MixError(f"no request of the mix {self.name} uses a key {' or '.join(unused)}")
        return replace(self, lines=tuple(_spread(self.lines, chosen)))


def _spread(lines: Iterable[Line], chosen: Iterable[Key]) -> Iterator[Line]:
    for line in lines:
        keys = [key for key in chosen if key.kind in line.operation.kinds]
        for key in keys or [line.key]:
            yield replace(line, key=key, weight=line.weight / max(len(keys), 1))


def built_in() -> Mapping[str, Path]:
    """The files of the mixes that come with kmipkit, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def find(name: str) -> Mix:
    """A mix by the name of a built-in one, of an operation, or of a file. MixError if there is none."""
    files = built_in()
    if name in files:
        return load(files[name])
    if name in OPERATIONS:
        return of_operation(name)
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        return load(path)
    known = (*files, *OPERATIONS)
    raise MixError(
        f"{name!r} is neither a mix, nor an operation, nor a file"
        f"{_suggestion(name, known)}; kmipkit bench mixes lists them"
    )


def of_operation(name: str) -> Mix:
    """A mix of one operation only."""
    operation = OPERATIONS[name]
    line = Line(operation, key=KEYS[operation.default])
    return Mix(name, (line,), f"only: {operation.summary}")


def load(path: Path) -> Mix:
    """The mix in a file. MixError with all its faults."""
    try:
        document = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MixError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MixError(f"{path}: not valid TOML: {error}") from None
    return parse(document, path.stem, str(path))


def parse(document: Mapping[str, Any], name: str, place: str) -> Mix:
    """The mix in a document. MixError with all its faults."""
    reading = _Reading()
    reading.names(document, {"description", "objects", "requests"}, place)
    description = reading.text(document, "description", "", place)
    objects = reading.number(document, "objects", OBJECTS, (1, MAX_OBJECTS), place)
    rows = document.get("requests")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        reading.faults.append(f"{place}: expected one table [[requests]] or more")
        rows = []
    lines = [reading.line(row, f"{place}: [[requests]] {n}") for n, row in enumerate(rows, 1)]
    if reading.faults:
        raise MixError(*reading.faults)
    return Mix(name, tuple(line for line in lines if line is not None), description, int(objects))


class _Reading:
    """Faults, while a document is read."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def names(self, table: Mapping[str, Any], known: Iterable[str], place: str) -> None:
        """Note names that a table may not have."""
        every = sorted(known)
        self.faults += [
            f"{place}: unknown key {name!r}; the keys are {', '.join(every)}"
            f"{_suggestion(name, every)}"
            for name in table
            if name not in every
        ]

    def text(self, table: Mapping[str, Any], name: str, default: str, place: str) -> str:
        value = table.get(name, default)
        if not isinstance(value, str):
            self.faults.append(f"{place}: {name} must be a text")
            return default
        return value

    def number(
        self,
        table: Mapping[str, Any],
        name: str,
        default: float,
        bounds: tuple[float, float],
        place: str,
    ) -> float:
        """A number within bounds; a whole one if the default is one."""
        value = table.get(name, default)
        least, most = bounds
        types = (int,) if isinstance(default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, types) or not least <= value <= most:
            kind = "a whole number" if isinstance(default, int) else "a number"
            self.faults.append(f"{place}: {name} must be {kind} from {least:,} to {most:,}")
            return default
        return value

    def line(self, row: Mapping[str, Any], place: str) -> Line | None:
        """A line of the mix; None if it has no valid operation."""
        name = row.get("operation")
        if not isinstance(name, str) or name not in OPERATIONS:
            self.faults.append(
                f"{place}: operation must be one of {', '.join(OPERATIONS)}"
                f"{_suggestion(str(name), OPERATIONS) if name is not None else ''}"
            )
            return None
        operation = OPERATIONS[name]
        optional = {"key": bool(operation.kinds), "data": operation.has_data}
        self.names(row, ["operation", "weight", *(key for key in optional if optional[key])], place)
        return Line(
            operation,
            self.number(row, "weight", 1.0, (0.001, 1_000_000), place),
            self._key(row, operation, place),
            int(self.number(row, "data", 1024, (1, MAX_DATA), place)),
        )

    def _key(self, row: Mapping[str, Any], operation: Operation, place: str) -> Key:
        name = self.text(row, "key", operation.default, place)
        suited = [key for key in KEYS if KEYS[key].kind in operation.kinds]
        if operation.kinds and name not in suited:
            self.faults.append(
                f"{place}: key must be one of {', '.join(suited)}{_suggestion(name, suited)}"
            )
            name = operation.default
        return KEYS[name]


def _suggestion(name: str, known: Iterable[str]) -> str:
    similar = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {similar[0]}?" if similar else ""
