"""The last records of a log, and those that are written from now on."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kmipkit_server.audit.files import (
    LogFile,
    complete_size,
    folders_of,
    lines_from_end,
    log_files,
)
from kmipkit_server.audit.query import Match
from kmipkit_server.audit.records import read

_INTERVAL = 0.2
"""Seconds between two looks at the log."""


def last(files: Sequence[LogFile], count: int) -> list[Match]:
    """The last records, oldest first."""
    matches: list[Match] = []
    for file in reversed(files):
        for line in lines_from_end(file.path):
            if len(matches) == count:
                return matches[::-1]
            matches += _match(line)
    return matches[::-1]


def new(directory: Path, interval: float = _INTERVAL) -> Iterator[Match]:
    """The records that all logs get from now on, for ever. OSError if one cannot be read."""
    followed = {folder: _Followed(folder, from_now=True) for folder in folders_of(directory)}
    return _follow(directory, followed, interval)


def _follow(directory: Path, followed: "dict[Path, _Followed]", interval: float) -> Iterator[Match]:
    while True:
        matches = [match for each in followed.values() for match in each.read()]
        # Records of several logs that are found together are in the order of time.
        yield from (
            sorted(matches, key=lambda each: each.entry.time) if len(followed) > 1 else matches
        )
        for folder in folders_of(directory):  # a worker may have begun meanwhile
            if folder not in followed:
                followed[folder] = _Followed(folder, from_now=False)
        if not matches:
            time.sleep(interval)


class _Followed:
    """A place in a log."""

    def __init__(self, folder: Path, *, from_now: bool) -> None:
        """The end of the log, or its beginning."""
        self._folder = folder
        files = log_files(folder)
        self._current = files[-1 if from_now else 0] if files else LogFile(0, folder)
        self._size = complete_size(self._current.path) if files and from_now else 0

    def read(self) -> list[Match]:
        """The records since then."""
        matches: list[Match] = []
        while True:
            # Looked up before the end is read: nothing follows in a file that has a successor.
            following = [each for each in log_files(self._folder) if each > self._current]
            if self._current.first:
                matches += self._read_file()
            if not following:
                return matches
            self._current, self._size = following[0], 0

    def _read_file(self) -> Iterator[Match]:
        with self._current.path.open("rb") as file:
            file.seek(self._size)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the server is writing it
                self._size += len(line)
                yield from _match(line)


def _match(line: bytes) -> list[Match]:
    entry = read(line)
    return [] if entry is None else [Match(entry, line, entry.outcome or "")]
