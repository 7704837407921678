"""The last records of a log, and those that are written from now on."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kmipkit_server.audit.files import LogFile, complete_size, lines_from_end, log_files
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
    """The records that are written from now on, for ever. OSError if the log cannot be read."""
    current = log_files(directory)[-1]
    return _follow(directory, current, complete_size(current.path), interval)


def _follow(directory: Path, current: LogFile, size: int, interval: float) -> Iterator[Match]:
    """The records from a place in a file on."""
    while True:
        with current.path.open("rb") as file:
            file.seek(size)
            while True:
                # Looked up before the end is read: nothing follows in a file that has a successor.
                following = [each for each in log_files(directory) if each > current]
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # the server is writing it
                    size += len(line)
                    yield from _match(line)
                if following:
                    break
                time.sleep(interval)
                file.seek(size)
        current, size = following[0], 0


def _match(line: bytes) -> list[Match]:
    entry = read(line)
    return [] if entry is None else [Match(entry, line, entry.outcome or "")]
