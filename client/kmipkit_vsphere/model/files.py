"""Files that are whole or absent after a crash, and durable once written."""

import os
from pathlib import Path
from typing import Final

ROLE_FILE: Final = "trust-authority.json"
"""In the data folder of a Trust Authority host, and of no other host."""


def write_durably(path: Path, text: str) -> None:
    """Make or replace a file as a whole; it is durable on return, and never half written."""
    partial = partly_written(path)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    partial.replace(path)
    sync_folder(path.parent)


def partly_written(path: Path) -> Path:
    """What a crash may leave beside a file that :func:`write_durably` was writing."""
    return path.with_name(path.name + ".partial")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: POSIX does this apart from the files' contents."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_secret(path: Path, data: bytes) -> None:
    """Make or replace a file of mode 0600 as a whole, durably."""
    partial = partly_written(path)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    partial.replace(path)
    sync_folder(path.parent)
