"""The logs of a server: each of its processes writes one of its own, with a chain of its own.

So no process waits for another one's records. The first log has no name, and its files are in the
directory of the audit; that of the second worker is ``worker-2``, in a folder of this name. Whoever
reads them reads all of them, in the order of time. A log stays when there are fewer workers later.
"""

from collections.abc import Iterable, Mapping
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from kmipkit_server.audit import following, query
from kmipkit_server.audit.files import LogFile, folders_of, log_files
from kmipkit_server.audit.query import Filter, Match


class Log(NamedTuple):
    """A log of one process."""

    name: str
    files: list[LogFile]
    """Oldest first."""


def logs_in(directory: Path) -> list[Log]:
    """All logs that have files, the first one first. OSError if a directory cannot be read."""
    logs = [
        Log("" if folder == directory else folder.name, log_files(folder))
        for folder in folders_of(directory)
    ]
    return [each for each in logs if each.files]


def search(logs: Iterable[Log], conditions: Filter, limit: int | None = None) -> list[Match]:
    """The newest records of all logs that meet the conditions, oldest first. OSError."""
    return _newest([query.search(each.files, conditions, limit) for each in logs], limit)


def last(logs: Iterable[Log], count: int) -> list[Match]:
    """The last records of all logs, oldest first. OSError."""
    return _newest([following.last(each.files, count) for each in logs], count)


def _newest(found: list[list[Match]], limit: int | None) -> list[Match]:
    if len(found) == 1:
        return found[0]
    matches = list(merge(*found, key=lambda each: each.entry.time))
    return matches if limit is None else matches[max(0, len(matches) - limit) :]


# --- places in all logs --------------------------------------------------------------------------------


def place_text(numbers: Mapping[str, int]) -> str:
    """The last record of each log, as one text: ``17``, or ``17,worker-2:4``."""
    others = [f"{name}:{number}" for name, number in sorted(numbers.items()) if name]
    return ",".join([str(numbers.get("", 0)), *others])


def place_of(text: str) -> dict[str, int]:
    """The numbers in such a text; ValueError if it is none."""
    numbers = {}
    for part in text.split(","):
        name, _, number = part.rpartition(":")
        numbers[name] = int(number)
    return numbers


def last_numbers(logs: Iterable[Log]) -> dict[str, int]:
    """The number of the last record of each log. OSError if one cannot be read."""
    return {each.name: match.entry.n for each in logs for match in following.last(each.files, 1)}
