"""Making a part: a copy of the database while the server writes, encrypted into a new file.

Its data are complete on the disk before its manifest, and the manifest before the state for the next
part. A process that is killed leaves a file without a manifest, which the next one removes.
"""

import errno
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec

from kmipkit import __version__
from kmipkit_server.audit.signatures import Signer
from kmipkit_server.backup import archive, manifest, root_key, state
from kmipkit_server.backup import contents as parts_contents
from kmipkit_server.backup.archive import Member
from kmipkit_server.backup.contents import EXTENT, Contents, File, Tail
from kmipkit_server.backup.directory import (
    DATA,
    MANIFEST,
    NEW,
    STATE,
    Part,
    chains,
    expired,
    file_name,
    locked,
    parts,
    remove,
    remove_incomplete,
    sync,
    write_durably,
)
from kmipkit_server.backup.encryption import Recipients, encrypt
from kmipkit_server.backup.errors import BackupError
from kmipkit_server.backup.manifest import Kind, Manifest
from kmipkit_server.backup.state import State
from kmipkit_server.config import Config
from kmipkit_server.store.sqlite.snapshot import Snapshot, snapshot

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


def silent(_what: str, _done: int, _total: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What a server signs its backups with, and hashes its database with."""

    signer: Signer
    state: bytes

    @classmethod
    def derive(cls, derive_key: Callable[[str], bytes]) -> "Keys":
        """The keys of a store."""
        return cls(Signer(derive_key(manifest.PURPOSE)), derive_key(state.PURPOSE))


@dataclass(frozen=True, slots=True)
class Order:
    """What to back up, and where to."""

    config: Config
    config_file: Path | None
    directory: Path
    recipients: Recipients
    is_full: bool = False
    """Whether to begin a chain, even if an increment is possible."""
    has_audit: bool = True
    chain_age: timedelta | None = None
    """The age of a chain from which on a new one begins."""
    keep: timedelta | None = None
    """How long chains are kept; None: forever."""
    progress: Progress = field(default=silent)

    def as_full(self) -> "Order":
        """The same with all of the database."""
        return replace(self, is_full=True)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made."""

    part: Part
    removed: tuple[Part, ...] = ()
    """The parts of chains that were too old."""


def create(order: Order, keys: Keys, moment: datetime) -> Made:
    """Make a part. BackupError, StoreError or VaultError if that fails; then nothing is left of it.

    ``moment`` is the time now: what was acknowledged before is in it.
    """
    with locked(order.directory):
        found = parts(order.directory)
        _require_own(found, keys, order.directory)
        try:
            remove_incomplete(order.directory, found)
            with snapshot(
                order.config.database, lambda done, of: order.progress("copying", done, of)
            ) as copy:
                part = _Creation(order, keys, found, copy, moment).run()
            old = [] if order.keep is None else expired([*found, part], moment, order.keep)
            for each in old:
                remove(each)
        except OSError as error:
            raise BackupError(_explained(error, order.directory)) from None
        return Made(part, tuple(old))


def _explained(error: OSError, directory: Path) -> str:
    place = error.filename or directory
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}: the disk is full; no backup was made"
    return f"{place}: {error.strerror or error}"


def _require_own(found: list[Part], keys: Keys, directory: Path) -> None:
    for part in found:
        if part.manifest.key != keys.signer.key_id:
            raise BackupError(
                f"{directory} has backups of another server ({part.path.name}); give each server a"
                " directory of its own"
            )


class _Creation:
    def __init__(
        self, order: Order, keys: Keys, found: list[Part], copy: Snapshot, moment: datetime
    ) -> None:
        self._order = order
        self._keys = keys
        self._copy = copy
        self._root_key = root_key.place_of(order.config, copy.root_keys)
        self._moment = moment.replace(microsecond=0)
        self._last = found[-1] if found else None
        self._number = self._last.manifest.number + 1 if self._last else 1
        self._state = None if self._needs_full(found) else self._loaded_state()
        self._kind = Kind.FULL if self._state is None else Kind.INCREMENT

    def _needs_full(self, found: list[Part]) -> bool:
        order = self._order
        if order.is_full or not found:
            return True
        chain = chains(found)[-1]
        # Who cannot open the parts before has no use of an increment.
        others = chain[0].manifest.recipients != order.recipients.names
        is_old = (
            order.chain_age is not None
            and self._moment - chain[0].manifest.created >= order.chain_age
        )
        return others or is_old

    def _loaded_state(self) -> State | None:
        loaded = state.load(self._order.directory / STATE, self._keys.state)
        if loaded is None or self._last is None or loaded.manifest != self._last.digest:
            return None
        return loaded

    def run(self) -> Part:
        """Write the part."""
        extents = state.extents_of(self._copy.path, self._keys.state)
        changed: tuple[tuple[int, int], ...]
        if self._state is None:
            changed = ((0, len(extents) // state.SIZE),)
        else:
            changed = state.ranges(self._state.changed(extents))
        audit = parts_contents.audit_sizes(self._order.config) if self._order.has_audit else {}
        files = [
            (name, path, path.read_bytes())
            for name, path in parts_contents.sources(
                self._order.config, self._order.config_file, self._root_key.file
            )
        ]
        contents = self._contents(files, audit, changed)
        members = self._members(contents, files)
        directory = self._order.directory
        stem = file_name(self._moment, self._number, self._kind)
        data = directory / f"{stem}{DATA}"
        envelopes, size, hash_ = self._write_data(data, members)
        text = self._manifest(data, size, hash_, envelopes)
        path = directory / f"{stem}{MANIFEST}"
        write_durably(path, text)
        part = Part(path, text, manifest.parse(text))
        before = {} if self._state is None else self._state.audit
        state.save(
            directory / STATE, self._keys.state, State(part.digest, extents, audit or before)
        )
        return part

    def _contents(
        self,
        files: list[tuple[str, Path, bytes]],
        audit: dict[str, int],
        changed: tuple[tuple[int, int], ...],
    ) -> Contents:
        known = {} if self._state is None else self._state.audit
        return Contents(
            number=self._number,
            kind=self._kind,
            created=self._moment,
            previous=self._previous,
            data_directory=str(self._order.config.store.directory.absolute()),
            files=tuple(File(name, str(path.absolute()), len(data)) for name, path, data in files),
            audit=tuple(Tail(name, known.get(name, 0), size) for name, size in audit.items()),
            has_audit=self._order.has_audit,
            database=self._copy.size,
            extents=changed,
        )

    @property
    def _previous(self) -> str:
        return "" if self._state is None or self._last is None else self._last.digest

    def _members(
        self, contents: Contents, files: list[tuple[str, Path, bytes]]
    ) -> Iterator[Member]:
        yield archive.content(parts_contents.CONTENTS, msgspec.json.encode(contents))
        for name, _, data in files:
            yield archive.content(name, data)
        folder = self._order.config.audit_directory
        for tail in contents.audit:
            size = tail.size - tail.start
            chunks = archive.part_of(folder / tail.name, tail.start, size)
            yield Member(f"{parts_contents.AUDIT}/{tail.name}", size, chunks)
        is_full = self._kind is Kind.FULL
        name = parts_contents.DATABASE if is_full else parts_contents.CHANGES
        sizes = [self._bytes_of(*each) for each in contents.extents]
        yield Member(name, sum(size for _, size in sizes), self._database(sizes))

    def _bytes_of(self, first: int, count: int) -> tuple[int, int]:
        """Where extents begin, and how many bytes they are."""
        start = first * EXTENT
        return start, min(count * EXTENT, self._copy.size - start)

    def _database(self, places: list[tuple[int, int]]) -> Iterator[bytes]:
        done, total = 0, sum(size for _, size in places)
        for start, size in places:
            for chunk in archive.part_of(self._copy.path, start, size):
                yield chunk
                done += len(chunk)
                self._order.progress("encrypting", done, total)

    def _write_data(
        self, path: Path, members: Iterator[Member]
    ) -> tuple[tuple[bytes, ...], int, str]:
        new = path.with_name(f"{path.name}{NEW}")
        hashed = sha256()
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:

                def write(data: bytes) -> None:
                    hashed.update(data)
                    file.write(data)

                envelopes = encrypt(archive.pack(members), write, self._order.recipients)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            new.rename(path)
            sync(path.parent)
        except ValueError as error:  # such as an audit file that was cut meanwhile
            raise BackupError(str(error)) from None
        finally:
            with suppress(OSError):
                new.unlink(missing_ok=True)
        return envelopes, size, hashed.hexdigest()

    def _manifest(self, data: Path, size: int, hash_: str, envelopes: tuple[bytes, ...]) -> bytes:
        copy, order = self._copy, self._order
        return manifest.sign(
            Manifest(
                form=manifest.FORM,
                number=self._number,
                kind=self._kind,
                created=self._moment,
                data=data.name,
                size=size,
                sha256=hash_,
                previous=self._previous,
                software=__version__,
                schema=copy.schema,
                counter=copy.counter,
                objects=copy.objects,
                database=copy.size,
                root_key=self._root_key.text,
                recipients=order.recipients.names,
                envelopes=tuple(b64encode(each).decode() for each in envelopes),
                key=self._keys.signer.key_id,
            ),
            self._keys.signer,
        )
