"""Core dumps of a host in encryption mode: encrypted under the host key, or a machine's (§2.7).

A dump is a header line (JSON: the world, the time and the key) and a body, encrypted with AES-256-GCM
under a data key of its own, which the host key locks as it locks a disk's. Changing the host key
relocks the existing dumps. A dump that leaves the host is protected by a password instead, as with
``vm-support``; the password is stored nowhere.
"""

import contextlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec.structs import replace

from kmipkit_vsphere.calls.host import DumpInfo
from kmipkit_vsphere.model import bundle
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import (
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    NotFound,
)
from kmipkit_vsphere.model.files import write_secret
from kmipkit_vsphere.model.keys import DEK_SIZE, CryptoKeyId, Secret
from kmipkit_vsphere.model.message import Message

USE: Final = "coredump"
MAX_DUMP: Final = 64 * 1024 * 1024
_NONCE_SIZE: Final = 12
_SALT_SIZE: Final = 16
_SCRYPT: Final = {"n": 1 << 15, "r": 8, "p": 1}


class Header(Message):
    """The first line of a dump; ``locked`` is the data key, None if the dump is plain text."""

    world: str
    time: str
    key_id: CryptoKeyId | None = None
    locked: bytes | None = None


class ExportHeader(Message):
    """The first line of an exported dump."""

    file: str
    salt: bytes


class CoreDumps:
    """The dumps in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(
        self, world: str, now: datetime, data: bytes, key: tuple[CryptoKeyId, Secret] | None
    ) -> DumpInfo:
        """Write a dump; without a key in plain text, as on a host that is not safe (§6)."""
        if len(data) > MAX_DUMP:
            raise InvalidArgument(f"a core dump can have at most {MAX_DUMP} bytes")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{world}-zdump.{now:%Y%m%dT%H%M%S%f}"
        header = Header(world, now.isoformat(timespec="milliseconds"))
        if key is not None:
            dek = Secret.random(DEK_SIZE)
            header = replace(header, key_id=key[0], locked=_lock(key, dek, name))
            data = _seal(dek, data, name)
            dek.erase()
        self._write(name, header, data)
        return _info(name, header)

    def all(self) -> list[DumpInfo]:
        """All dumps, by name; a damaged one hides none of the others."""
        dumps = []
        for name in self._names():
            with contextlib.suppress(DamagedData):
                dumps.append(_info(name, self._read(name)[0]))
        return dumps

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if "-zdump." in path.name)

    def read(self, name: str, keys: Mapping[CryptoKeyId, Secret]) -> bytes:
        """The plain dump; :class:`EncryptionKeyRequired` if its key is not available."""
        header, body = self._read(name)
        if header.locked is None:
            return body
        dek = _unlock(name, header, keys)
        try:
            return _open(dek, body, name)
        finally:
            dek.erase()

    def export(self, name: str, keys: Mapping[CryptoKeyId, Secret], password: str) -> bytes:
        """The dump, protected by a password instead of a key; see :func:`open_exported`."""
        if not password:
            raise InvalidArgument("a dump that leaves the host needs a password")
        salt = secrets.token_bytes(_SALT_SIZE)
        sealed = _seal(_from_password(password, salt), self.read(name, keys), name)
        return encode(ExportHeader(name, salt)) + b"\n" + sealed

    def relock(
        self, keys: Mapping[CryptoKeyId, Secret], new_id: CryptoKeyId
    ) -> tuple[list[str], list[str]]:
        """Lock every dump whose key is available with another key (best effort).

        Returns the names of the dumps that were relocked, and of those that were not.
        """
        relocked: list[str] = []
        left: list[str] = []
        for info in self.all():
            if info.key_id is None or info.key_id == new_id:
                continue
            try:
                self._relock(info.file, keys, new_id)
            except (EncryptionKeyRequired, DamagedData):
                left.append(info.file)
            else:
                relocked.append(info.file)
        return relocked, left

    def _relock(self, name: str, keys: Mapping[CryptoKeyId, Secret], new_id: CryptoKeyId) -> None:
        header, body = self._read(name)
        dek = _unlock(name, header, keys)
        locked = _lock((new_id, keys[new_id]), dek, name)
        dek.erase()
        self._write(name, replace(header, key_id=new_id, locked=locked), body)

    def _write(self, name: str, header: Header, body: bytes) -> None:
        write_secret(self._folder / name, encode(header) + b"\n" + body)

    def _read(self, name: str) -> tuple[Header, bytes]:
        path = self._folder / Path(name).name  # the name comes from a caller: stay in the folder
        if path.name != name or not path.is_file():
            raise NotFound(f"there is no core dump {name}")
        first, _, body = path.read_bytes().partition(b"\n")
        try:
            return decode(first, Header), body
        except InvalidArgument as error:
            raise DamagedData(f"{path} is not a core dump: {error.message}") from None


def open_exported(data: bytes, password: str) -> bytes:
    """The plain dump from the result of :meth:`CoreDumps.export`."""
    first, _, sealed = data.partition(b"\n")
    try:
        header = decode(first, ExportHeader)
    except InvalidArgument:
        raise DamagedData("this is not an exported core dump") from None
    return _open(_from_password(password, header.salt), sealed, header.file)


def _info(name: str, header: Header) -> DumpInfo:
    return DumpInfo(name, header.world, header.time, header.key_id)


def _unlock(name: str, header: Header, keys: Mapping[CryptoKeyId, Secret]) -> Secret:
    key_id = header.key_id
    if key_id is None or key_id not in keys:
        raise EncryptionKeyRequired(
            f"the dump {name} is locked; the host lacks key {key_id}",
            required_key=[key_id] if key_id else [],
        )
    return bundle.unlock(keys[key_id], header.locked or b"", key_id, name, USE)


def _lock(key: tuple[CryptoKeyId, Secret], dek: Secret, name: str) -> bytes:
    return bundle.lock(key[1], dek, key[0], name, USE)


def _from_password(password: str, salt: bytes) -> Secret:
    # Twice, because a data key has 64 bytes; AES-GCM below uses the first 32.
    return Secret(Scrypt(salt, 32, **_SCRYPT).derive(password.encode()) * 2)


def _seal(dek: Secret, data: bytes, name: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_SIZE)
    return nonce + AESGCM(dek.reveal()[:32]).encrypt(nonce, data, name.encode())


def _open(dek: Secret, body: bytes, name: str) -> bytes:
    nonce, sealed = body[:_NONCE_SIZE], body[_NONCE_SIZE:]
    try:
        return AESGCM(dek.reveal()[:32]).decrypt(nonce, sealed, name.encode())
    except (InvalidTag, ValueError):
        raise DamagedData(f"the dump {name} was altered, or the password is wrong") from None
