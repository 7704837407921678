"""A directory of backups: its parts, its chains, and what may be removed.

A part is a file with encrypted data and its manifest, which is written last: without it there is no
part. A chain is a full part with the increments after it.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from kmipkit_server.backup import manifest
from kmipkit_server.backup.errors import BackupError
from kmipkit_server.backup.manifest import Kind, Manifest

MANIFEST, DATA, NEW, STATE = ".json", ".age", ".new", "state.json"
_LOCK = ".lock"


class Part(NamedTuple):
    """A part in a directory."""

    path: Path
    """The file of its manifest."""
    text: bytes
    manifest: Manifest

    @property
    def data(self) -> Path:
        """The file with its encrypted data."""
        return self.path.with_suffix(DATA)

    @property
    def digest(self) -> str:
        """The hash by which the next part refers to it."""
        return manifest.digest(self.text)


Chain = tuple[Part, ...]
"""A full part, and the increments after it."""


def file_name(created: datetime, number: int, kind: Kind) -> str:
    """The name of a part, without what its files end with."""
    return f"{created:%Y%m%dT%H%M%SZ}-{number:06d}-{kind.value}"


def parts(directory: Path) -> list[Part]:
    """All parts, in their order. BackupError if the directory or a manifest cannot be read."""
    try:
        paths = sorted(directory.glob(f"[0-9]*{MANIFEST}"))
        if not directory.is_dir():
            raise BackupError(f"{directory} is not a directory")
        found = [Part(path, text := path.read_bytes(), _parsed(path, text)) for path in paths]
    except OSError as error:
        raise BackupError(f"{error.filename or directory}: {error.strerror}") from None
    return sorted(found, key=lambda part: part.manifest.number)


def _parsed(path: Path, text: bytes) -> Manifest:
    try:
        return manifest.parse(text)
    except ValueError as error:
        raise BackupError(f"{path} is not the manifest of a backup: {error}") from None


def chains(found: Sequence[Part]) -> list[Chain]:
    """The parts by chains, oldest first. Increments without a full part are a chain of their own."""
    result: list[list[Part]] = []
    for part in found:
        if part.manifest.kind is Kind.FULL or not result:
            result.append([])
        result[-1].append(part)
    return [tuple(chain) for chain in result]


def require_linked(chain: Chain) -> None:
    """BackupError if a part of a chain is missing, or is in another place."""
    for part in chain:
        if part.manifest.data != part.data.name:
            raise BackupError(
                f"{part.path} is the manifest of {part.manifest.data}: the files were exchanged or"
                " renamed"
            )
    first = chain[0]
    if first.manifest.kind is not Kind.FULL:
        raise BackupError(
            f"{first.path} needs the part before it, which is missing: only a chain that begins with"
            " a full part can be opened"
        )
    for before, part in pairwise(chain):
        if part.manifest.number != before.manifest.number + 1:
            missing = before.manifest.number + 1
            raise BackupError(f"{part.path}: the part before it, number {missing}, is missing")
        if part.manifest.previous != before.digest:
            raise BackupError(
                f"{part.path} does not follow {before.path.name}: one of them was exchanged or changed"
            )


def chain_at(directory: Path, moment: datetime | None) -> Chain:
    """The newest chain up to its last part before a moment. BackupError if there is none."""
    found = parts(directory)
    if not found:
        raise BackupError(f"{directory} has no backup")
    early = [part for part in found if moment is None or part.manifest.created <= moment]
    if not early:
        first = found[0].manifest.created
        raise BackupError(
            f"{directory}: there is no backup of that time; the first one was made at"
            f" {first:%Y-%m-%d %H:%M:%S} UTC"
        )
    return chains(early)[-1]


def expired(found: Sequence[Part], now: datetime, keep: timedelta) -> list[Part]:
    """The parts of chains that nothing needs: their last part is older than ``keep``.

    The newest chain always stays, and no chain loses a part.
    """
    return [
        part
        for chain in chains(found)[:-1]
        if now - chain[-1].manifest.created > keep
        for part in chain
    ]


def remove(part: Part) -> None:
    """Remove a part: the manifest first, so that no manifest is without its data."""
    part.path.unlink()
    part.data.unlink(missing_ok=True)


def remove_incomplete(directory: Path, found: Sequence[Part]) -> None:
    """Remove what a process that was killed has left: data without a manifest, and files in work."""
    complete = {part.data for part in found}
    for path in (*directory.glob(f"[0-9]*{DATA}"), *directory.glob(f"*{NEW}")):
        if path not in complete:
            path.unlink()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes from making backups in the directory; it is made if it does not exist.

    BackupError if another process does so now.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise BackupError(f"{directory} is not a directory") from None
    except OSError as error:
        raise BackupError(f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BackupError(f"{directory}: another process makes a backup in it now") from None
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file that only the user can read: all of it or nothing."""
    new = path.with_name(f"{path.name}{NEW}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync(path.parent)


def sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
