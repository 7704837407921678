"""How far the rewriting of a volume has come, so that it goes on there after a crash.

The journal is a small JSON file beside the descriptor: the locator under which the new data key
lies locked, the bytes that are durable, and the state of the source when it began. A source that
was written to since then makes the copy worthless, and it begins anew.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from kmipkit_vsphere.model.files import write_durably


@dataclass(frozen=True, slots=True)
class Journal:
    """What is rewritten: ``locator`` of the copy, ``done`` in bytes, ``source`` as it was."""

    path: Path
    locator: str
    source: tuple[int, int]
    done: int = 0

    @classmethod
    def of(cls, path: Path, locator: str, source: Path) -> Self:
        """A journal of something that is about to begin."""
        return cls(path, locator, _state(source))

    @classmethod
    def load(cls, path: Path, source: Path) -> Self | None:
        """The journal of a copy that can be gone on with, else None."""
        try:
            found = json.loads(path.read_text())
            kept = cls(
                path, str(found["locator"]), (found["source"][0], found["source"][1]), found["done"]
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None
        if type(kept.done) is not int or not source.exists() or kept.source != _state(source):
            return None
        return kept

    def save(self, done: int = 0) -> Self:
        """Write it, durably, with this many bytes done."""
        content = {"locator": self.locator, "source": list(self.source), "done": done}
        write_durably(self.path, json.dumps(content) + "\n")
        return replace(self, done=done)

    def remove(self) -> None:
        """There is nothing to go on with any more."""
        self.path.unlink(missing_ok=True)


def _state(source: Path) -> tuple[int, int]:
    found = source.stat()
    return found.st_size, found.st_mtime_ns
