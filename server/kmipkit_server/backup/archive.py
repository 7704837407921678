"""The contents of a part as a stream: tar (POSIX.1-2017, pax), made and read in one pass."""

import os
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

_BLOCK = 1 << 20
_RECORD = tarfile.BLOCKSIZE


class Member(NamedTuple):
    """A file of the archive."""

    name: str
    size: int
    chunks: Iterable[bytes]
    """Its content: exactly as many bytes."""


def pack(members: Iterable[Member]) -> Iterator[bytes]:
    """The bytes of an archive."""
    for member in members:
        info = tarfile.TarInfo(member.name)
        info.size, info.mode = member.size, 0o600
        yield info.tobuf(tarfile.PAX_FORMAT)
        size = 0
        for chunk in member.chunks:
            size += len(chunk)
            yield chunk
        if size != member.size:
            raise ValueError(f"{member.name} has {size} bytes instead of {member.size}")
        yield bytes(-size % _RECORD)
    yield bytes(2 * _RECORD)


def part_of(path: Path, start: int, size: int) -> Iterator[bytes]:
    """A part of a file, in chunks. ValueError if it is shorter."""
    with path.open("rb") as file:
        file.seek(start)
        while size:
            chunk = file.read(min(_BLOCK, size))
            if not chunk:
                raise ValueError(f"{path} became shorter while it was read")
            size -= len(chunk)
            yield chunk


def content(name: str, data: bytes) -> Member:
    """A member whose content is in memory."""
    return Member(name, len(data), (data,) if data else ())


@contextmanager
def unpacked(feed: Callable[[Callable[[bytes], object]], None]) -> Iterator[tarfile.TarFile]:
    """An archive that ``feed`` writes, to be read from its beginning to its end.

    What ``feed`` raises is raised at the end, instead of what follows from it.
    """
    reading, writing = os.pipe()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with open(writing, "wb") as pipe:
                feed(pipe.write)
        except BrokenPipeError:
            return  # the reader has ended, and says why
        except BaseException as error:  # raised again below
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        with open(reading, "rb") as pipe:
            with tarfile.open(fileobj=pipe, mode="r|") as archive:
                yield archive
            while pipe.read(_BLOCK):  # the end of the archive is not the end of what was encrypted
                pass
    except BaseException as error:
        thread.join()
        if failure and not isinstance(error, KeyboardInterrupt):
            raise failure[0] from None
        raise
    thread.join()
    if failure:
        raise failure[0]


def copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """Copy so many bytes. EOFError if there are less."""
    while size:
        chunk = source.read(min(_BLOCK, size))
        if not chunk:
            raise EOFError
        target.write(chunk)
        size -= len(chunk)
