"""What a start finds in the log, and mends: a record cut in half, changes without records, and records
without changes.

It changes no record: what is wrong is said in new ones. Only the bytes of a record that was never
complete are removed.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from kmipkit_server.audit import chain
from kmipkit_server.audit.anchor import Anchor
from kmipkit_server.audit.chain import BEGINNING, Position
from kmipkit_server.audit.files import LogFile, complete_size, lines_from_end, log_files
from kmipkit_server.audit.log import AuditLog
from kmipkit_server.audit.outbox import not_committed
from kmipkit_server.audit.records import (
    Cause,
    Client,
    Entry,
    Event,
    Outcome,
    Record,
    encode,
    read,
)
from kmipkit_server.engine.settings import Clock

log = logging.getLogger("kmipkit.server")


@dataclass(slots=True)
class State:
    """The end of the log as a start finds it."""

    position: Position = BEGINNING
    """The last record."""
    file: LogFile | None = None
    """The file that goes on; None for a new one."""
    size: int = 0
    """Its size without an incomplete record."""
    chain: str = ""
    """The log to which the last checkpoint belongs."""
    boot: str | None = None
    """The boot in which the server was started last."""
    changes: list[int] = field(default_factory=list)
    """The records of changes since then, the newest first, unless a later record says that they did
    not take place."""


class Restored(NamedTuple):
    """That the server was restored from a backup before this start."""

    backup: int
    """The number of the backup."""
    created: datetime
    """The time whose state it has."""
    has_log: bool
    """Whether it has the audit log."""
    is_recorded: bool = False
    """Whether another log of the server has the record of it."""

    def record(self, now: datetime) -> Record:
        """What the log says of it."""
        return Record(
            time=now,
            event=Event.RESTORED,
            subject=f"backup {self.backup}",
            since=self.created,
            message="what has changed since that time is not in the server",
        )


def read_state(directory: Path) -> State:
    """The end of the log in a directory. OSError if it cannot be read."""
    state = State()
    files = log_files(directory)
    while files and not files[-1].path.stat().st_size:
        files.pop().path.unlink()  # a crash came before its first record
    cancelled: set[int] = set()
    for file, line in _from_end(files):
        link, entry = chain.parse(line), read(line)
        if link is None or entry is None:
            # Another program has written it, as verification says. What follows begins a new file.
            files.clear()
            continue
        if state.position is BEGINNING:
            state.position = Position(entry.n, link.digest)
            if files:
                state.file, state.size = file, complete_size(file.path)
        state.chain = state.chain or entry.chain
        if entry.event is Event.NOT_COMMITTED:
            cancelled.update(entry.numbers)
        elif entry.change and entry.n not in cancelled:
            state.changes.append(entry.n)
        if entry.cause in (Cause.START, Cause.STOP):
            state.boot = entry.boot or None
            break
    return state


def was_stopped(directory: Path) -> bool:
    """Whether a log ends with the checkpoint of a stop, so that it lacks nothing; also without files."""
    for _, line in _from_end(log_files(directory) if directory.exists() else []):
        entry = read(line)
        return entry is not None and entry.cause is Cause.STOP
    return True


def _from_end(files: list[LogFile]) -> Iterator[tuple[LogFile, bytes]]:
    """The lines of all files, the last one first."""
    for file in reversed(tuple(files)):
        for line in lines_from_end(file.path):
            yield file, line


def mend(
    audit: AuditLog,
    state: State,
    anchor: Anchor | None,
    outbox: Mapping[str, bytes],
    clock: Clock,
    boot: str,
    restored: Restored | None = None,
) -> None:
    """Add what the log lacks, and say what is wrong with it. AuditError or OSError if that fails.

    After a restore, the log may have records of changes that came after the backup of the database.
    """
    stored = [line for lines in outbox.values() for line in lines.splitlines(keepends=True)]
    missing = [(entry, line) for entry, line in _entries(stored) if entry.n > state.position.number]
    last_known = max([anchor.number if anchor else 0, *(entry.n for entry, _ in missing)])
    lost = last_known - state.position.number - len(missing)
    if lost > 0:
        was_on_disk = anchor is not None and state.position.number < anchor.number
        was_removed = was_on_disk or state.boot == boot
        if restored is not None and not restored.has_log:
            was_removed = False
        _report_lost(audit, state.position.number + 1, last_known, lost, clock, was_removed)
    if missing:
        audit.append([_again(entry) for entry, _ in missing])
        log.warning("%d records of the audit log were added from the store", len(missing))
    committed = max((entry.n for entry, _ in _entries(stored)), default=0)
    for numbers in _ranges(number for number in reversed(state.changes) if number > committed):
        audit.append(
            [
                not_committed(
                    clock,
                    numbers,
                    "the server ended before it could commit them"
                    if restored is None
                    else "they came after the backup from which the server was restored",
                )
            ]
        )
    if restored is not None and not restored.is_recorded:
        audit.append([restored.record(clock())])


def _entries(lines: Iterable[bytes]) -> Iterator[tuple[Entry, bytes]]:
    for line in lines:
        entry = read(line)
        if entry is not None:
            yield entry, line


def _report_lost(
    audit: AuditLog, first: int, last: int, count: int, clock: Clock, was_removed: bool
) -> None:
    message = (
        "they were on the disk: another program has removed them"
        if was_removed
        else "the machine was restarted meanwhile, and may have lost what was not on the disk yet"
    )
    log.error(
        "%s: %d records of the audit log from number %d on are missing: %s",
        audit.directory,
        count,
        first,
        message,
    )
    record = Record(
        time=clock(),
        event=Event.LOST,
        first=first,
        last=last,
        count=count,
        # What a loss of power does not explain fails verification.
        outcome=Outcome.FAILED if was_removed else None,
        message=message,
    )
    audit.append([record])


def _again(entry: Entry) -> Record:
    """A lost record, to be written again with a new number."""
    fields = {
        name: getattr(entry, name)
        for name in Record.__struct_fields__
        if name not in ("client", "n", "again")
    }
    client = entry.client
    return Record(
        **fields,
        again=entry.n,
        client=msgspec.UNSET if client == Client() else msgspec.Raw(encode(client)),
    )


def _ranges(numbers: Iterable[int]) -> Iterator[range]:
    """Ascending numbers as ranges without gaps."""
    current: range | None = None
    for number in numbers:
        if current is not None and number == current.stop:
            current = range(current.start, number + 1)
            continue
        if current is not None:
            yield current
        current = range(number, number + 1)
    if current is not None:
        yield current
