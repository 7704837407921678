"""Encryption of disks: XTS-AES-256, sector by sector, at any offset.

Each sector is encrypted by itself under its number (IEEE 1619: the tweak is the sector number,
little-endian), so a read or write touches only the sectors it covers. XTS hides contents but does
not detect alteration, like any length-preserving disk encryption.

This module knows one file and one data key. :mod:`kmipkit_vsphere.host.volume` makes the change from
plain text to ciphertext safe against a crash.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument, InvalidState, NoSpace
from kmipkit_vsphere.model.keys import DEK_SIZE, Secret

SECTOR_SIZES: Final = (512, 4096)
CHUNK: Final = 256 * 1024
"""Bytes that are read and written at a time; a multiple of every sector size."""

CHECKPOINT: Final = 256 * CHUNK
"""Bytes between two checkpoints of a long copy: 64 MiB."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


class SectorCipher:
    """Encrypts and decrypts runs of whole sectors.

    Raises :class:`InvalidArgument` for a key that does not have 64 bytes, for one whose halves are
    equal (XTS is not secure then, and OpenSSL refuses it) and for sector sizes other than 512 and
    4096 bytes.
    """

    def __init__(self, dek: Secret, sector_size: int = 512) -> None:
        if sector_size not in SECTOR_SIZES:
            raise InvalidArgument(f"a sector must have 512 or 4096 bytes, not {sector_size}")
        if len(dek) != DEK_SIZE:
            raise InvalidArgument(f"XTS-AES-256 needs a key of 64 bytes, not {len(dek)}")
        key = dek.reveal()
        if key[:32] == key[32:]:
            raise InvalidArgument("the two halves of an XTS key must differ")
        self.sector_size = sector_size
        self._algorithm = algorithms.AES(key)

    def __repr__(self) -> str:
        return f"<SectorCipher, sectors of {self.sector_size} bytes>"

    def encrypt(self, first_sector: int, plain: bytes) -> bytes:
        """Ciphertext of whole sectors, the first of which has this number."""
        return self._run(first_sector, plain, encrypting=True)

    def decrypt(self, first_sector: int, ciphertext: bytes) -> bytes:
        """Plain text of whole sectors, the first of which has this number."""
        return self._run(first_sector, ciphertext, encrypting=False)

    def _run(self, first_sector: int, data: bytes, *, encrypting: bool) -> bytes:
        if len(data) % self.sector_size:
            raise InvalidArgument(f"{len(data)} bytes are not a whole number of sectors")
        view, result = memoryview(data), bytearray()
        for start in range(0, len(data), self.sector_size):
            number = first_sector + start // self.sector_size
            cipher = Cipher(self._algorithm, modes.XTS(number.to_bytes(16, "little")))
            context = cipher.encryptor() if encrypting else cipher.decryptor()
            result += context.update(view[start : start + self.sector_size])
        return bytes(result)


@dataclass(frozen=True, slots=True)
class PlainText:
    """The cipher of a disk that is not encrypted: it changes nothing."""

    sector_size: int = 512

    def encrypt(self, _first_sector: int, plain: bytes) -> bytes:
        """The data itself."""
        return plain

    decrypt = encrypt


class DiskFile:
    """A disk file, opened with its cipher: plain text in and out, at any offset.

    With a :class:`SectorCipher` the file holds ciphertext only, at all times.

    ``_lock`` guards the file descriptor: without it, a read could use the number of a descriptor
    that was closed meanwhile and stands for another file by now. It also makes a write that covers
    parts of sectors atomic: two of them in one sector would otherwise lose one.
    """

    def __init__(self, path: Path, cipher: SectorCipher | PlainText) -> None:
        self.path = path
        self._cipher = cipher
        self._lock = threading.Lock()
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise DamagedData(f"{path} is missing") from None
        self.size = os.fstat(self._fd).st_size
        if self.size % cipher.sector_size:
            self.close()
            raise DamagedData(f"{path}: {self.size} bytes are not a whole number of sectors")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def read_at(self, offset: int, length: int) -> bytes:
        """``length`` bytes of plain text from ``offset``; InvalidArgument outside the disk."""
        self._check(offset, length)
        first, last = self._sectors(offset, length)
        with self._lock:
            plain = self._load(first, last)
        start = offset - first * self._cipher.sector_size
        return plain[start : start + length]

    def write_at(self, offset: int, data: bytes) -> None:
        """Write plain text at ``offset``; InvalidArgument outside the disk.

        A sector is encrypted as a whole, so the sectors at both ends are read first if the data
        covers only parts of them.
        """
        self._check(offset, len(data))
        first, last = self._sectors(offset, len(data))
        size = self._cipher.sector_size
        start, end = offset - first * size, last * size - offset - len(data)
        with self._lock:
            head = self._load(first, first + 1)[:start] if start else b""
            tail = self._load(last - 1, last)[size - end :] if end else b""
            ciphertext = self._cipher.encrypt(first, head + data + tail)
            _write_fully(self._open_fd(), ciphertext, first * size)

    def flush(self) -> None:
        """Return when all writes are durable."""
        with self._lock:
            os.fsync(self._open_fd())

    def _open_fd(self) -> int:
        if self._fd < 0:
            raise InvalidState(f"{self.path} is closed")
        return self._fd

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise InvalidArgument(
                f"{length} bytes at {offset} are outside the disk of {self.size} bytes"
            )

    def _sectors(self, offset: int, length: int) -> tuple[int, int]:
        """The first sector of a range, and the one after its last."""
        size = self._cipher.sector_size
        return offset // size, -(-(offset + length) // size)

    def _load(self, first: int, last: int) -> bytes:
        size = self._cipher.sector_size
        data = os.pread(self._open_fd(), (last - first) * size, first * size)
        if len(data) != (last - first) * size:
            raise DamagedData(f"{self.path} has become shorter than {self.size} bytes")
        return self._cipher.decrypt(first, data)


def reencrypt(
    source: Path,
    target: Path,
    old: SectorCipher | PlainText,
    new: SectorCipher | PlainText,
    *,
    start: int = 0,
    progress: Progress | None = None,
    checkpoint: Callable[[int], object] | None = None,
) -> None:
    """Copy ``source`` to ``target`` from one cipher to another; durable on return.

    The first ``start`` bytes are in the target already. ``checkpoint`` is called every 64 MiB with
    the number of bytes that are durable. Raises :class:`InvalidArgument` if the size is not a whole
    number of sectors, :class:`NoSpace` if the datastore is full, and OSError.
    """
    total = source.stat().st_size
    if total % new.sector_size:
        raise InvalidArgument(f"{source}: {total} bytes are not a whole number of sectors")
    # No O_TRUNC: what an interrupted copy has made durable is kept.
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with source.open("rb") as file:
            file.seek(start)
            for offset in range(start, total, CHUNK):
                # Both ciphers count in their own sectors; the chunk is a multiple of either size,
                # and checkpoints fall between chunks, so that no sector is ever split.
                plain = old.decrypt(offset // old.sector_size, file.read(CHUNK))
                _write_fully(fd, new.encrypt(offset // new.sector_size, plain), offset)
                if progress:
                    progress(offset + len(plain), total)
                if checkpoint and (offset + CHUNK) % CHECKPOINT == 0:
                    # Data first, then the record of it: a crash in between costs only a repetition,
                    # while the other order would claim data that never reached the disk.
                    os.fsync(fd)
                    checkpoint(offset + len(plain))
        os.fsync(fd)
    except OSError as error:
        raise as_fault(error, target) from None
    finally:
        os.close(fd)


def as_fault(error: OSError, path: Path) -> Exception:
    """:class:`NoSpace` for an error that means a full datastore, any other error unchanged."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NoSpace(f"there is no room for {path}: {error.strerror}; make room and try again")
    return error


def overwrite(path: Path) -> None:
    """Write zeros over the data of a file.

    Holes are left as they are: they hold nothing, and filling them would need space on a datastore
    that may be full.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size, zeros = os.fstat(fd).st_size, bytes(CHUNK)
        for begin, end in _extents(fd, size):
            for offset in range(begin, end, CHUNK):
                _write_fully(fd, zeros[: end - offset], offset)
        os.fsync(fd)
    finally:
        os.close(fd)


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    position = 0
    while position < size:
        try:
            begin = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        position = os.lseek(fd, begin, os.SEEK_HOLE)
        yield begin, position


def _write_fully(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
