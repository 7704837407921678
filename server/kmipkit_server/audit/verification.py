"""Verifying a log: what was removed, changed, reordered or cut off, and where.

Needed are the files and the public key only. What the store knows of the log, if it is at hand, shows
further what was cut off at the end, where no signature can follow.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kmipkit_server.audit import chain
from kmipkit_server.audit.chain import BEGINNING, Link
from kmipkit_server.audit.files import LogFile
from kmipkit_server.audit.logs import Log
from kmipkit_server.audit.records import Cause, Entry, Event, Outcome, read
from kmipkit_server.audit.signatures import Verifier

MAX_PROBLEMS = 1000
"""Problems that are collected; the log is read no further then."""

_PATIENCE = 0.1
"""Seconds for a server to finish the record that it is writing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a log."""

    file: str
    line: int
    """The number of the line, beginning with 1; 0 for the file as a whole."""
    number: int
    """The number of the record; 0 if it is unknown."""
    time: datetime | None
    """The time of that record, or else of the last one before it."""
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:" if self.line else f"{self.file}:" if self.file else ""
        number = f"record {self.number}" if self.number else ""
        when = f"({self.time:%Y-%m-%d %H:%M:%S.%f} UTC)" if self.time is not None else ""
        record = " ".join(filter(None, (number, when)))
        return " ".join(filter(None, (place, record and f"{record}:", self.text)))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the store knows of a log."""

    chain: str
    hashes: Mapping[int, str]
    """Hashes of records that must be there, by number."""


@dataclass(slots=True)
class Report:
    """The result of a verification."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing, but not wrong."""
    files: int = 0
    records: int = 0
    checkpoints: int = 0
    first: int = 0
    last: int = 0
    last_time: datetime | None = None
    signed: int = 0
    """The number of the last record that a valid signature covers."""
    log: str = ""
    """The name of the log."""


def verify_all(
    logs: Sequence[Log], verifier: Verifier, expected: Mapping[str, Expected]
) -> list[Report]:
    """Verify all logs of a server, those included of which only the store knows."""
    files = {each.name: each.files for each in logs}
    return [
        verify(files.get(name, []), verifier, expected.get(name), name)
        for name in dict.fromkeys((*files, *expected)) or [""]
    ]


class _Full(Exception):
    """There are as many problems as are collected."""


def verify(
    files: Sequence[LogFile], verifier: Verifier, expected: Expected | None = None, log: str = ""
) -> Report:
    """Verify the files of a log, oldest first. OSError if one cannot be read."""
    verification = _Verification(verifier, expected, log)
    try:
        for file in files:
            verification.read(file.path)
        verification.finish(files)
    except _Full:
        verification.report.notes.append("the rest of the log was not read: too many problems")
    return verification.report


class _Verification:
    def __init__(self, verifier: Verifier, expected: Expected | None, log: str) -> None:
        self.report = Report(log=log)
        self._verifier = verifier
        self._expected = expected
        self._hashes = {} if expected is None else dict(expected.hashes)
        self._chain = "" if expected is None else expected.chain
        self._digest = b""
        """The hash of the last record; empty before the first one."""
        self._path = Path()
        self._line = 0

    def read(self, path: Path) -> None:
        """Verify one file."""
        self._path, self._line = path, 0
        self.report.files += 1
        for line in _complete_lines(path):
            self._line += 1
            if not line.endswith(b"\n"):
                self._problem(0, "the last record is incomplete: its end was cut off")
                continue
            link, entry = chain.parse(line[:-1]), read(line)
            if link is None or entry is None:
                self._problem(0, "this is not a record of the audit log")
                continue
            self._check_place(link, entry)
            self._check_content(link, entry)
            self._advance(link, entry)
        if not self._line:
            self._problem(0, "the file is empty: its records were removed")

    def _check_place(self, link: Link, entry: Entry) -> None:
        """Check that a record follows the last one."""
        if not self._digest:
            self._begin(link, entry)
            return
        following = self.report.last + 1
        if entry.n > following:
            gap = f"record {following} before it is missing: it was removed"
            if entry.n - following > 1:
                gap = (
                    f"records {following} to {entry.n - 1} before it are missing: they were removed"
                )
            self._problem(entry.n, gap, entry)
        elif entry.n < following:
            self._problem(entry.n, f"it is out of order: record {following} should be here", entry)
        elif not link.follows(self._digest):
            self._problem(
                entry.n, "its hash is wrong: it was changed, or the record before it was", entry
            )
        elif self._line == 1 and entry.cause is not Cause.FILE:
            self._problem(entry.n, "the file does not begin with its checkpoint", entry)

    def _begin(self, link: Link, entry: Entry) -> None:
        """Check the first record, with which older files that are elsewhere have ended."""
        self.report.first = entry.n
        digest = BEGINNING.digest
        if entry.n > 1:
            self.report.notes.append(
                f"the log begins with record {entry.n}: older files are not here"
            )
            digest = _from_hex(entry.previous)
        if entry.cause is not Cause.FILE:
            self._problem(entry.n, "the file does not begin with its checkpoint", entry)
        elif not link.follows(digest):
            self._problem(entry.n, "its hash is wrong: it was changed", entry)
        self._digest = digest

    def _check_content(self, link: Link, entry: Entry) -> None:
        """Check what the record says, and what the store knows of it."""
        known = self._hashes.pop(entry.n, None)
        if known is not None and known != entry.hash:
            self._problem(entry.n, "it is not the record that the store knows", entry)
        if entry.event is Event.CHECKPOINT:
            self._check_signature(link, entry)
        elif entry.event is Event.TAMPERED:
            self._problem(entry.n, f"the server noted: {entry.message}", entry)
        elif entry.event is Event.LOST:
            lost = f"{entry.count} records from {entry.first} to {entry.last} are lost"
            if entry.outcome is Outcome.FAILED:
                self._problem(entry.n, f"the server noted: {lost}: {entry.message}", entry)
            else:
                self.report.notes.append(f"record {entry.n}: {lost}: {entry.message}")
        elif entry.event is Event.INTERRUPTION:
            since = entry.time if entry.since is None else entry.since
            self.report.notes.append(
                f"record {entry.n}: {entry.message}: {entry.count} from {_text(since)} to"
                f" {_text(entry.time)} UTC"
            )

    def _check_signature(self, link: Link, entry: Entry) -> None:
        if not self._chain:
            self._chain = entry.chain
        if entry.chain != self._chain:
            self._problem(entry.n, "the checkpoint is of another log", entry)
        elif not self._verifier.knows(entry.key):
            self._problem(entry.n, f"the checkpoint is signed with another key, {entry.key}", entry)
        elif not self._verifier.is_valid(entry.key, link.body):
            self._problem(
                entry.n,
                "the signature is wrong: the checkpoint was changed, or records after"
                f" {self.report.signed}",
                entry,
            )
        elif self._digest and _from_hex(entry.previous) != self._digest:
            self._problem(
                entry.n,
                f"the records between {self.report.signed} and this checkpoint are not those that"
                " it has signed",
                entry,
            )
        else:
            self.report.checkpoints += 1
            self.report.signed = entry.n

    def _advance(self, link: Link, entry: Entry) -> None:
        report = self.report
        report.records += 1
        report.last, report.last_time = entry.n, entry.time
        self._digest = link.digest

    def finish(self, files: Sequence[LogFile]) -> None:
        """Compare the end of the log with what the store knows."""
        report = self.report
        if self._expected is not None and not files:
            newest = max(self._expected.hashes, default=0)
            if newest:
                self._line = 0
                self._problem(0, f"the log is missing; it has {newest} records at least")
            return
        missing = sorted(number for number in self._hashes if number > report.last)
        if missing:
            self._problem(
                0,
                f"the log ends with record {report.last}, but has had {missing[-1]} records at"
                " least: its end was cut off",
            )
        between = [number for number in self._hashes if report.first <= number < report.last]
        for number in sorted(between):
            self._problem(number, f"record {number}, which the store knows, is missing")
        if report.last > report.signed:
            unsigned = report.last - report.signed
            report.notes.append(
                f"the last {unsigned} records have no signature yet"
                if unsigned > 1
                else "the last record has no signature yet"
            )

    def _problem(self, number: int, text: str, entry: Entry | None = None) -> None:
        when = entry.time if entry is not None else self.report.last_time
        file = "/".join(filter(None, (self.report.log, self._path.name)))
        problem = Problem(file, self._line, number, when, text)
        self.report.problems.append(problem)
        if len(self.report.problems) >= MAX_PROBLEMS:
            raise _Full


def _complete_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file; the server may be writing the last one at this moment."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                time.sleep(_PATIENCE)
                line += file.readline()  # noqa: PLW2901 - the same line
            yield line


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
