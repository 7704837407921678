"""The file with a capture: each line is written at once, so that a kill loses nothing before it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from kmipkit.captures import Entry, Heading
from kmipkit_proxy.errors import ProxyError


def timestamp() -> str:
    """The time, as captures have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class CaptureFile:
    """A new file that only its owner can read."""

    def __init__(self, path: Path, heading: Heading, max_bytes: int) -> None:
        """Create the file. ProxyError if it exists, or cannot be created."""
        self._path = path
        self._left = max_bytes
        self.problem = ""
        """Why recording has ended, if it has."""
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            raise ProxyError(
                f"{path}: the file exists; give another name for the capture"
            ) from None
        except OSError as error:
            raise ProxyError(f"{path}: {error.strerror}") from None
        self._write(heading.line())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def add(self, entry: Entry) -> None:
        """Write an entry. If that fails, recording ends: clients need their keys more."""
        if not self.problem:
            self._write(entry.line())

    def _write(self, line: str) -> None:
        data = f"{line}\n".encode()
        self._left -= len(data)
        if self._left < 0:
            self.problem = f"{self._path}: the capture is full (--max-capture)"
            return
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror}"
