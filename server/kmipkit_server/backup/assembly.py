"""Opening a chain: its parts one after the other become the database, the audit log and the small files.

The small files, among them the root key and private keys, stay in memory: who restores writes them at
the end. The database and the log go to a directory that only the user can read.
"""

import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from kmipkit_server.backup import archive
from kmipkit_server.backup import contents as parts_contents
from kmipkit_server.backup.contents import EXTENT, Contents, File
from kmipkit_server.backup.directory import Chain, Part, require_linked
from kmipkit_server.backup.encryption import Identities, decrypt
from kmipkit_server.backup.errors import BackupError
from kmipkit_server.backup.manifest import Kind

Progress = Callable[[str, int, int], None]

_MAX_CONTENTS = 64 << 20
"""Bytes of ``part.json``."""


@dataclass(slots=True, repr=False)
class Assembled:
    """What a chain has, at its last part."""

    directory: Path
    """Where database and audit log are."""
    contents: Contents
    files: dict[str, bytes] = field(default_factory=dict)
    """The small files, by their names."""

    @property
    def database(self) -> Path:
        """The database."""
        return self.directory / parts_contents.DATABASE

    @property
    def audit(self) -> Path:
        """The directory of the audit log."""
        return self.directory / parts_contents.AUDIT


class _Hashed:
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes], advance: Callable[[int], None]) -> None:
        self._file = file
        self._advance = advance
        self._hash = sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        self._advance(len(data))
        return data

    def digest(self) -> str:
        """The hash of the whole file."""
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()


def assemble(
    chain: Chain, identities: Identities, directory: Path, progress: Progress
) -> Assembled:
    """Open all parts of a chain into an empty directory. BackupError if one does not fit."""
    require_linked(chain)
    done, total = 0, sum(part.manifest.size for part in chain)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress("decrypting", done, total)

    assembled = None
    for part in chain:
        try:
            assembled = _open(part, identities, directory, advance)
        except OSError as error:
            raise BackupError(f"{error.filename or directory}: {error.strerror}") from None
    assert assembled is not None  # a chain has a part
    _drop_old_logs(assembled)
    return assembled


def _open(
    part: Part, identities: Identities, directory: Path, advance: Callable[[int], None]
) -> Assembled:
    try:
        file = part.data.open("rb")
    except FileNotFoundError:
        raise BackupError(f"{part.data} is missing; its manifest is there") from None
    with file:
        source = _Hashed(file, advance)

        def feed(write: Callable[[bytes], object]) -> None:
            decrypt(source, write, identities, part.manifest.cms, name=str(part.data))

        try:
            with archive.unpacked(feed) as members:
                assembled = _unpack(members, part, directory)
        except (tarfile.TarError, EOFError, msgspec.MsgspecError, StopIteration) as error:
            raise BackupError(f"{part.data} has not the contents of a backup: {error}") from None
        if source.digest() != part.manifest.sha256:
            raise BackupError(
                f"{part.data} was changed: it has another hash than its manifest says"
            )
    return assembled


def _unpack(members: tarfile.TarFile, part: Part, directory: Path) -> Assembled:
    stream = iter(members)
    contents = _contents(members, next(stream), part)
    assembled = Assembled(directory, contents)
    known = {file.name: file for file in contents.files}
    tails = {f"{parts_contents.AUDIT}/{tail.name}": tail for tail in contents.audit}
    for member in stream:
        content = members.extractfile(member)
        if content is None:
            raise BackupError(f"{part.data} has {member.name}, which is not a file")
        if member.name in known:
            assembled.files[member.name] = _small(known[member.name], content, part)
        elif member.name in tails:
            tail = tails[member.name]
            _append(
                assembled.audit / _require_inside(tail.name, part),
                tail.start,
                content,
                member.size,
                part,
            )
        elif member.name in (parts_contents.DATABASE, parts_contents.CHANGES):
            _apply(assembled, content, member.size, part)
        else:
            raise BackupError(f"{part.data} has a file that it does not list: {member.name}")
    return assembled


def _contents(members: tarfile.TarFile, member: tarfile.TarInfo, part: Part) -> Contents:
    content = members.extractfile(member)
    if member.name != parts_contents.CONTENTS or content is None or member.size > _MAX_CONTENTS:
        raise BackupError(f"{part.data} does not begin as a backup")
    contents = msgspec.json.decode(content.read(), type=Contents)
    manifest = part.manifest
    expected = (manifest.number, manifest.kind, manifest.previous, manifest.database)
    if (contents.number, contents.kind, contents.previous, contents.database) != expected:
        raise BackupError(f"{part.data} belongs to another manifest: it was exchanged")
    return contents


def _small(file: File, content: IO[bytes], part: Part) -> bytes:
    _require_inside(file.name, part)
    return content.read()


def _require_inside(name: str, part: Part) -> str:
    """The name of a file; BackupError if it is outside of the directory."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BackupError(f"{part.data} has a file with the name {name!r}")
    return name


def _opened(path: Path) -> IO[bytes]:
    """A file to write to, at any place, which only the user can read."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return open(descriptor, "r+b")


def _append(path: Path, start: int, content: IO[bytes], size: int, part: Part) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    with _opened(path) as file:
        if file.seek(0, os.SEEK_END) != start:
            raise BackupError(f"{part.data}: {path.name} does not continue the part before")
        archive.copy(content, file, size)


def _apply(assembled: Assembled, content: IO[bytes], size: int, part: Part) -> None:
    contents = assembled.contents
    if part.manifest.kind is Kind.INCREMENT and not assembled.database.exists():
        raise BackupError(f"{part.data}: there is no database that it could change")
    with _opened(assembled.database) as file:
        for first, count in contents.extents:
            start = first * EXTENT
            length = min(count * EXTENT, contents.database - start)
            file.seek(start)
            archive.copy(content, file, length)
            size -= length
        file.truncate(contents.database)
    if size:
        raise BackupError(f"{part.data} has more of the database than it lists")


def _drop_old_logs(assembled: Assembled) -> None:
    """Remove the files of the audit log that the server itself had removed before the last part."""
    if not assembled.contents.has_audit or not assembled.audit.is_dir():
        return
    sizes = {tail.name: tail.size for tail in assembled.contents.audit}
    for path in assembled.audit.rglob("*.jsonl"):
        size = sizes.get(str(path.relative_to(assembled.audit)))
        if size is None:
            path.unlink()
        elif path.stat().st_size != size:
            raise BackupError(f"{path.name}: a part of the audit log is missing")
