"""The journal of a migration: which objects are on the target, under which identifiers.

A line for each step, written before and after it, so that a run that was killed anywhere is continued
without doing anything twice. There is nothing secret in it: identifiers and names of attributes.
"""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kmipkit_migrate.errors import MigrationError

FORM = 1
COPIED, PARTLY, NOT_COPIED = "copied", "copied in part", "not copied"
ALREADY, LEFT_OUT = "already there", "left out"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that did not come along, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of an object."""

    id: str
    """On the source."""
    outcome: str
    to: str | None = None
    """On the target; None if it is not there."""
    type: str = ""
    name: str = ""
    state: str = ""
    protection: str | None = None
    """How its key was protected on its way; None for what has no key."""
    notes: tuple[Note, ...] = ()


class Journal:
    """A journal in a file that only the user can read."""

    def __init__(self, path: Path, source: str, target: str) -> None:
        """Open it, or begin it. MigrationError if it is that of another migration."""
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.begun: set[str] = set()
        """Objects that may be on the target, although no entry says so."""
        self.wrapping_keys: set[str] = set()
        """The names of wrapping keys that may not be destroyed yet."""
        self.links_done: set[str] = set()
        self._lock = threading.Lock()
        self._has_failed = False
        header = {"form": FORM, "from": source, "to": target}
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._file = open(descriptor, "r+b")  # noqa: SIM115 - closed by close()
            text = self._file.read()
        except OSError as error:
            raise MigrationError(f"{path}: {error.strerror}") from None
        whole, _, rest = text.rpartition(b"\n")
        if rest:  # a line that was cut by the end of the process
            self._file.truncate(len(text) - len(rest))
        lines = whole.splitlines()
        try:
            if lines:
                self._read(lines, header)
            else:
                self._write(header)
        except MigrationError:
            self._file.close()
            raise

    def _read(self, lines: list[bytes], header: Mapping[str, Any]) -> None:
        try:
            first, *steps = map(json.loads, lines)
            if first != header:
                raise MigrationError(
                    f"{self.path} is the journal of a migration from {first.get('from')} to"
                    f" {first.get('to')}; --journal names another file"
                )
            for step in steps:
                self._apply(step)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise MigrationError(f"{self.path} is not the journal of a migration") from None

    def _apply(self, step: Mapping[str, Any]) -> None:
        if "begin" in step:
            self.begun.add(step["begin"])
        elif "wrapping_key" in step:
            change = self.wrapping_keys.discard if step["destroyed"] else self.wrapping_keys.add
            change(step["wrapping_key"])
        elif "links" in step:
            self.links_done.add(step["links"])
        else:
            notes = tuple(Note(**each) for each in step.pop("notes"))  # type: ignore[attr-defined]  # a dict
            self._add(Entry(**step, notes=notes))

    def _add(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        self.begun.discard(entry.id)

    @property
    def identifiers(self) -> dict[str, str]:
        """From identifiers of the source to those of the target."""
        return {each.id: each.to for each in self.entries.values() if each.to is not None}

    def begin(self, identifier: str) -> None:
        """Note that an object is about to be stored on the target."""
        with self._lock:
            self._write({"begin": identifier})
            self.begun.add(identifier)

    def note(self, entry: Entry) -> None:
        """Note what became of an object."""
        with self._lock:
            self._write(asdict(entry))
            self._add(entry)

    def note_links(self, identifier: str) -> None:
        """Note that the links of an object are set."""
        with self._lock:
            self._write({"links": identifier})
            self.links_done.add(identifier)

    def note_wrapping_key(self, name: str, *, is_destroyed: bool = False) -> None:
        """Note that a wrapping key is about to be stored on the servers, or that it is destroyed."""
        step = {"wrapping_key": name, "destroyed": is_destroyed}
        with self._lock:
            self._write(step)
            self._apply(step)

    def _write(self, step: Mapping[str, Any]) -> None:
        if self._has_failed:  # what follows a line that is cut could not be read
            raise MigrationError(f"{self.path} could not be written")
        self._has_failed = True
        try:
            self._file.write(json.dumps(step, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise MigrationError(f"{self.path}: {error.strerror}") from None
        self._has_failed = False

    def close(self) -> None:
        """Make all of it durable."""
        os.fsync(self._file.fileno())
        self._file.close()
