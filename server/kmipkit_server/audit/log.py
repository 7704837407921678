"""Writing the log: records reach the operating system before a response leaves, and soon the disk.

Each call of :meth:`AuditLog.append` is one ``write``, so that a record that was written survives the
process, however that ends. :meth:`AuditLog.sync` makes what is written survive the machine. If writing
fails, the file is cut back to its last complete record; once it succeeds again, a record says how long
it did not, and how many records are missing.
"""

import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, NamedTuple

import trio

from kmipkit_server.audit import chain
from kmipkit_server.audit.chain import Position
from kmipkit_server.audit.files import lines, path_of, sync_directory
from kmipkit_server.audit.records import Cause, Event, Record, encode, read
from kmipkit_server.audit.reservation import ROOM, release, reserve
from kmipkit_server.audit.signatures import Signer
from kmipkit_server.engine.settings import Clock
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

Listener = Callable[[Sequence[bytes]], None]
"""Gets the lines of new records."""


class AuditError(StoreError):
    """The audit log cannot be written, so that nothing is served."""

    explanation: ClassVar[str] = "the server cannot write its audit log at the moment"
    is_reported: ClassVar[bool] = True


class Prepared(NamedTuple):
    """Records with their places in the chain, which are not written yet."""

    end: Position
    lines: list[bytes]


class AuditLog:
    """The log of one server. What is in it only grows."""

    def __init__(
        self,
        directory: Path,
        start: Position,
        signer: Signer,
        clock: Clock,
        chain_id: str,
        *,
        file_size: int,
        file_age: timedelta,
        refuses: bool,
        name: str = "",
    ) -> None:
        """``refuses`` is whether to raise AuditError if a record cannot be written, or to go on."""
        self.directory = directory
        self.name = name
        """What tells it from those of the other processes of the server."""
        self.position = start
        """The last record that was written."""
        self.synced = start
        """The last record that is known to be on the disk."""
        self.checkpoint_number = 0
        """The number of the last checkpoint."""
        self.listeners: list[Listener] = []
        self._signer = signer
        self._clock = clock
        self._chain_id = chain_id
        self._file_size = file_size
        self._file_age = file_age
        self._refuses = refuses
        self._descriptor: int | None = None
        self._size = 0
        self._reserved = 0
        """Up to which offset the file has room on the disk."""
        self._opened = clock()
        self._owed: list[Record] = []
        """Records that must be written before any other."""
        self._failing_since: datetime | None = None
        self._unrecorded = 0
        """Records that could not be written."""

    # --- writing ---------------------------------------------------------------------------------

    def append(self, records: Sequence[Record]) -> None:
        """Write records to the operating system. AuditError if that fails, and the server refuses."""
        prepared = self.prepare(records)
        if prepared is not None:
            self.write(prepared)

    @property
    def is_ready(self) -> bool:
        """Whether a record can be written without others before it."""
        return self._failing_since is None and not self._owed

    def append_body(self, body: bytes) -> None:
        """Write one record that is encoded already, with the next number; the log must be ready."""
        number, digest = self.position
        line, new = chain.link(digest, body)
        self._append(Position(number + 1, new), (line,))

    def owe(self, record: Record) -> None:
        """Write a record now, or before any other as soon as that is possible."""
        self._owed.append(record)
        try:
            self.prepare(())
        except AuditError:
            log.debug("a record of the audit log waits: %s", record.event)

    def prepare(self, records: Sequence[Record]) -> Prepared | None:
        """The lines of records, to be written before any others; None if the server goes on without.

        AuditError if nothing can be written.
        """
        if self._owed or self._failing_since is not None:
            error = self._catch_up()
            if error is not None:
                self._refuse(error, len(records))
                return None
        return Prepared(*chain.extend(self.position, records, self.name))

    def write(self, prepared: Prepared) -> None:
        """Write prepared lines. AuditError if that fails, and the server refuses."""
        self._append(prepared.end, prepared.lines)

    def _append(self, end: Position, lines: Sequence[bytes]) -> None:
        try:
            self._write(b"".join(lines))
        except OSError as error:
            self._fail(error)
            self._refuse(error, len(lines))
            return
        self.position = end
        for listener in self.listeners:
            listener(lines)

    def checkpoint(self, cause: Cause, boot: str = "") -> None:
        """Write a signed record over all others. OSError if that fails."""
        number, digest = self.position
        record = Record(
            n=number + 1,
            log=self.name,
            time=self._clock(),
            event=Event.CHECKPOINT,
            cause=cause,
            chain=self._chain_id,
            previous=digest.hex(),
            key=self._signer.key_id,
            boot=boot,
        )
        line, new = chain.link(digest, self._signer.sign(encode(record)))
        self._write(line)
        self.position = Position(number + 1, new)
        self.checkpoint_number = number + 1
        for listener in self.listeners:
            listener((line,))

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            raise OSError(0, "no file is open")
        rest = data
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            # A part of a record must not stay: what follows it could not be read.
            release(self._descriptor, self._size)
            self._reserved = 0
            raise
        self._size += len(data)

    @property
    def failing_since(self) -> datetime | None:
        """Since when nothing can be written; None if the last attempt succeeded."""
        return self._failing_since

    @property
    def refusing_since(self) -> datetime | None:
        """Since when the server refuses requests for that reason."""
        return self._failing_since if self._refuses else None

    # --- failure and recovery --------------------------------------------------------------------

    def _fail(self, error: OSError) -> None:
        """Note that a record could not be written."""
        if self._failing_since is None:
            self._failing_since = self._clock()
            log.error(
                "the audit log in %s cannot be written: %s; until it can be, %s",
                self.directory,
                error.strerror,
                "the server refuses all requests"
                if self._refuses
                else "requests are carried out without being recorded",
            )

    def _refuse(self, error: OSError, count: int) -> None:
        """Count records that could not be written. AuditError unless the server goes on without."""
        self._unrecorded += count
        if self._refuses:
            raise AuditError(f"{self.directory}: {error.strerror}") from error

    def _catch_up(self) -> OSError | None:
        """Write what must come before any other record; the error if that fails."""
        records = list(self._owed)
        if self._failing_since is not None:
            records.append(
                Record(
                    time=self._clock(),
                    event=Event.INTERRUPTION,
                    since=self._failing_since,
                    count=self._unrecorded,
                    message=(
                        "requests were refused, since they could not be recorded"
                        if self._refuses
                        else "requests were carried out without being recorded"
                    ),
                )
            )
        prepared = Prepared(*chain.extend(self.position, records, self.name))
        try:
            if self._descriptor is None:
                self.open_file()
                prepared = Prepared(*chain.extend(self.position, records, self.name))
            self._write(b"".join(prepared.lines))
        except OSError as error:
            self._fail(error)
            return error
        self.position = prepared.end
        for listener in self.listeners:
            listener(prepared.lines)
        if self._failing_since is not None:
            log.warning(
                "the audit log is written again; %d records could not be written", self._unrecorded
            )
        self._owed.clear()
        self._failing_since, self._unrecorded = None, 0
        return None

    # --- files -----------------------------------------------------------------------------------

    def continue_file(self, path: Path, size: int) -> None:
        """Go on with an existing file, whose content has this size. OSError if that is impossible."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size, self._reserved = size, 0
        os.ftruncate(self._descriptor, size)
        entry = read(next(lines(path), b""))
        if entry is not None:
            self._opened = entry.time
        self.reserve_room()

    def open_file(self) -> None:
        """Go on in a new file, which begins with a checkpoint. OSError if that is impossible."""
        path = path_of(self.directory, self.position.number + 1)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        old, old_size = self._descriptor, self._size
        self._descriptor, self._size = os.open(path, flags, 0o600), 0
        try:
            self.checkpoint(Cause.FILE)
            sync_directory(self.directory)
        except OSError:
            os.close(self._descriptor)
            path.unlink()
            self._descriptor, self._size = old, old_size
            raise
        if old is not None:
            _close(old, old_size)
        self._opened, self._reserved = self._clock(), 0
        self.reserve_room()

    @property
    def is_due_for_rotation(self) -> bool:
        """Whether the file is large or old enough to begin a new one."""
        return self._size >= self._file_size or self._clock() - self._opened >= self._file_age

    def rotate(self) -> None:
        """Begin a new file, after a checkpoint that ends the old one. OSError if that fails."""
        self.checkpoint(Cause.ROTATION)
        if self._descriptor is not None:
            # Before there is a new file: no crash must leave that without what it follows.
            os.fdatasync(self._descriptor)
        self.open_file()

    def reserve_room(self) -> None:
        """Keep room for the next records, if there is less than half of it."""
        if self._descriptor is None or self._reserved - self._size >= ROOM // 2:
            return
        try:
            reserve(self._descriptor, self._size)
        except OSError as error:  # nothing is wrong yet
            log.debug("no room is reserved for the audit log: %s", error.strerror)
        self._reserved = self._size + ROOM

    def is_damaged(self) -> bool:
        """Whether another program has cut or deleted the file."""
        if self._descriptor is None:
            return False
        status = os.fstat(self._descriptor)
        return status.st_size != self._size or status.st_nlink == 0

    async def sync(self) -> None:
        """Make all records that are written durable. OSError if that fails."""
        position, descriptor = self.position, self._descriptor
        if descriptor is not None:
            await trio.to_thread.run_sync(os.fdatasync, descriptor)
        self.synced = position

    def sync_failed(self, error: OSError) -> None:
        """Note that records did not reach the disk: the next request is refused, unless it can be
        written again."""
        self._fail(error)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            _close(self._descriptor, self._size)
            self._descriptor = None


def _close(descriptor: int, size: int) -> None:
    try:
        release(descriptor, size)
    finally:
        os.close(descriptor)
