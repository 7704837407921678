"""What the next increment must know of the last part: a file in the directory of the backups.

It has hashes of the database, with a key that only the server knows, and a MAC of its own. Without it,
or if it does not belong to the last part, the next part is a full one.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec

from kmipkit_server.backup.contents import EXTENT
from kmipkit_server.backup.directory import write_durably

PURPOSE = "backup state"
"""For which purpose the store derives the key."""
SIZE = 16
"""Bytes of the hash of an extent."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of a directory after a part."""

    manifest: str
    """The hash of its manifest."""
    extents: bytes
    """The hashes of all extents of the database."""
    audit: Mapping[str, int]
    """Up to where the files of the audit log are in the parts."""

    def changed(self, extents: bytes) -> Iterator[int]:
        """The numbers of the extents whose hashes differ."""
        for number in range(len(extents) // SIZE):
            place = slice(number * SIZE, (number + 1) * SIZE)
            if self.extents[place] != extents[place]:
                yield number


class _File(msgspec.Struct):
    manifest: str
    extents: str
    audit: dict[str, int]
    mac: str = ""


def load(path: Path, key: bytes) -> State | None:
    """The state in a file; None if there is none, or another program has changed it."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
        mac, file.mac = bytes.fromhex(file.mac), ""
        extents = b64decode(file.extents)
    except (OSError, ValueError):
        return None
    if not hmac.compare_digest(mac, _mac(file, key)):
        return None
    return State(file.manifest, extents, file.audit)


def save(path: Path, key: bytes, state: State) -> None:
    """Store a state. OSError if that fails."""
    file = _File(state.manifest, b64encode(state.extents).decode(), dict(state.audit))
    file.mac = _mac(file, key).hex()
    write_durably(path, msgspec.json.encode(file))


def _mac(file: _File, key: bytes) -> bytes:
    return blake2b(msgspec.json.encode(file), key=key).digest()


def extents_of(path: Path, key: bytes) -> bytes:
    """The hashes of all extents of a database file."""
    with path.open("rb") as file:
        return b"".join(
            blake2b(extent, key=key, digest_size=SIZE).digest()
            for extent in iter(lambda: file.read(EXTENT), b"")
        )


def ranges(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as pairs of the first one and how many follow each other."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and sum(found[-1]) == number:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return tuple(found)
