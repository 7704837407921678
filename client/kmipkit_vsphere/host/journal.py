"""The progress of an operation that rewrites a volume, so that it resumes after a crash.

The journal is a small JSON file beside the descriptor: the locator that holds the new data key,
locked; the number of bytes that are durable; and the size and modification time of the source when
the operation began. A copy may resume only if the source has not changed since: a guest could have
written to the part that is copied already. Then the copy is worthless and the operation starts over.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from msgspec.structs import replace

from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.files import write_durably
from kmipkit_vsphere.model.message import Count, Message


class Entry(Message):
    """The contents of the file. ``locator`` is empty for a decryption."""

    locator: str
    source: tuple[int, int]
    done: Count


@dataclass(frozen=True, slots=True)
class Journal:
    """One journal file and its contents."""

    path: Path
    entry: Entry

    @property
    def locator(self) -> str:
        """The key locator of the copy."""
        return self.entry.locator

    @property
    def done(self) -> int:
        """The bytes of the copy that are durable."""
        return self.entry.done

    @classmethod
    def of(cls, path: Path, locator: str, source: Path) -> Self:
        """The journal of an operation that is about to begin."""
        return cls(path, Entry(locator, _fingerprint(source), 0))

    @classmethod
    def load(cls, path: Path, source: Path) -> Self | None:
        """The journal of an operation that can resume, else None.

        An unreadable journal is no error: the operation starts over, as without a journal.
        """
        try:
            entry = decode(path.read_bytes(), Entry)
            if entry.source != _fingerprint(source):
                return None
        except (OSError, InvalidArgument):
            return None
        return cls(path, entry)

    def save(self, done: int = 0) -> Self:
        """Write it, durably, with this number of bytes; returns the journal as written."""
        entry = replace(self.entry, done=done)
        write_durably(self.path, encode(entry).decode() + "\n")
        return type(self)(self.path, entry)


def _fingerprint(source: Path) -> tuple[int, int]:
    state = source.stat()
    return state.st_size, state.st_mtime_ns
