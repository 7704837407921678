"""The files of the audit log: ``audit-<number of the first record>.jsonl``, oldest first by name.

Those of the second worker are in the folder ``worker-2``, and so on.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"audit-([0-9]{12,18})\.jsonl")
_FOLDER = re.compile(r"worker-([1-9][0-9]{0,4})")
_BLOCK = 64 * 1024


class LogFile(NamedTuple):
    """A file of the log."""

    first: int
    """The number of its first record, by its name."""
    path: Path


def path_of(directory: Path, first: int) -> Path:
    """The file whose first record has this number."""
    return directory / f"audit-{first:012d}.jsonl"


def log_files(directory: Path) -> list[LogFile]:
    """The files in a directory, oldest first. OSError if it cannot be read."""
    matches = ((_NAME.fullmatch(name), name) for name in os.listdir(directory))
    return sorted(
        LogFile(int(match[1]), directory / name) for match, name in matches if match is not None
    )


def name_of(worker: int) -> str:
    """The name of the log of a worker; empty for the first one."""
    return "" if worker == 1 else f"worker-{worker}"


def folder_of(directory: Path, name: str) -> Path:
    """Where the files of a log with this name are."""
    return directory / name if name else directory


def folders_of(directory: Path) -> list[Path]:
    """The folders of all logs, that of the first one first. OSError if they cannot be read."""
    matches = ((_FOLDER.fullmatch(name), name) for name in os.listdir(directory))
    workers = sorted((int(match[1]), name) for match, name in matches if match is not None)
    return [directory, *(directory / name for _, name in workers)]


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their ends; only an incomplete last one has none."""
    with path.open("rb") as file:
        yield from file


def complete_size(path: Path) -> int:
    """The size of a file up to the end of its last complete line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        while size:
            start = max(0, size - _BLOCK)
            file.seek(start)
            end = file.read(size - start).rfind(b"\n")
            if end >= 0:
                return start + end + 1
            size = start
    return 0


def lines_from_end(path: Path) -> Iterator[bytes]:
    """The complete lines of a file without their ends, the last one first."""
    end = complete_size(path)
    rest = b""
    with path.open("rb") as file:
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            parts = (file.read(end - start) + rest).split(b"\n")
            rest = parts[0]
            # The last part is empty in the last block, and the others in full lines.
            yield from (part for part in reversed(parts[1:]) if part)
            end = start
    if rest:
        yield rest


def sync_directory(path: Path) -> None:
    """Make new and removed names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
