"""Core dumps of a host in encryption mode: encrypted under the host key, or a machine's (§2.7).

A dump is a header line, which names the world, the time and the key, and a body that is AES-256-GCM
under a key of its own; that key is locked by the host key like a disk's. Changing the host key
relocks the dumps that are there. A password instead of the key is what ``vm-support`` does for
dumps that leave the host; it is stored nowhere.
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from kmipkit_vsphere.model import bundle
from kmipkit_vsphere.model.errors import (
    DamagedData,
    EncryptionKeyRequired,
    InvalidArgument,
    NotFound,
)
from kmipkit_vsphere.model.files import write_secret
from kmipkit_vsphere.model.keys import DEK_SIZE, CryptoKeyId, Secret

USE: Final = "coredump"
MAX_DUMP: Final = 64 * 1024 * 1024
_NONCE_SIZE: Final = 12
_SCRYPT: Final = {"n": 1 << 15, "r": 8, "p": 1}


@dataclass(frozen=True, slots=True)
class DumpInfo:
    """What the event about a dump tells: world, time, key id and file (§2.7)."""

    file: str
    world: str
    time: str
    key_id: CryptoKeyId | None

    def to_json(self) -> dict[str, Any]:
        """For the channel."""
        key = self.key_id.to_json() if self.key_id else None
        return {"file": self.file, "world": self.world, "time": self.time, "keyId": key}


class CoreDumps:
    """The dumps in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(
        self, world: str, now: datetime, data: bytes, key: tuple[CryptoKeyId, Secret] | None
    ) -> DumpInfo:
        """Write a dump; without a key in plain text, as a host does that is not safe (§6)."""
        if len(data) > MAX_DUMP:
            raise InvalidArgument(f"a dump has {MAX_DUMP} bytes at most")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{world}-zdump.{now:%Y%m%dT%H%M%S%f}"
        header: dict[str, Any] = {"world": world, "time": now.isoformat(timespec="milliseconds")}
        body = data
        if key is not None:
            dek = Secret.random(DEK_SIZE)
            header |= {"keyId": key[0].to_json(), "locked": _lock(key, dek, name)}
            body = _seal(dek, data, name)
            dek.erase()
        self._write(name, header, body)
        return self._info(name, header)

    def all(self) -> list[DumpInfo]:
        """All dumps, by name."""
        if not self._folder.is_dir():
            return []
        names = sorted(path.name for path in self._folder.iterdir() if "-zdump." in path.name)
        return [self._info(name, self._read(name)[0]) for name in names]

    def read(self, name: str, keys: Mapping[CryptoKeyId, Secret]) -> bytes:
        """The plain dump; :class:`EncryptionKeyRequired` where its key is gone."""
        header, body = self._read(name)
        if "locked" not in header:
            return body
        dek = self._unlock(name, header, keys)
        try:
            return _open(dek, body, name)
        finally:
            dek.erase()

    def export(self, name: str, keys: Mapping[CryptoKeyId, Secret], password: str) -> bytes:
        """The dump under a password instead of the key; :func:`open_exported` opens it."""
        if not password:
            raise InvalidArgument("a dump that leaves the host needs a password")
        salt = secrets.token_bytes(16)
        sealed = _seal(_from_password(password, salt), self.read(name, keys), name)
        header = {"file": name, "salt": base64.b64encode(salt).decode()}
        return json.dumps(header).encode() + b"\n" + sealed

    def relock(
        self, keys: Mapping[CryptoKeyId, Secret], new_id: CryptoKeyId
    ) -> tuple[list[str], list[str]]:
        """Lock every dump with another key, as far as the old ones are there (best effort).

        Returns the names of the dumps that were, and of those that could not be.
        """
        done: list[str] = []
        left: list[str] = []
        for info in self.all():
            if info.key_id is None or info.key_id == new_id:
                continue
            try:
                self._relock(info.file, keys, new_id)
            except (EncryptionKeyRequired, DamagedData):
                left.append(info.file)
            else:
                done.append(info.file)
        return done, left

    def _relock(self, name: str, keys: Mapping[CryptoKeyId, Secret], new_id: CryptoKeyId) -> None:
        header, body = self._read(name)
        dek = self._unlock(name, header, keys)
        locked = _lock((new_id, keys[new_id]), dek, name)
        dek.erase()
        self._write(name, {**header, "keyId": new_id.to_json(), "locked": locked}, body)

    def _unlock(
        self, name: str, header: dict[str, Any], keys: Mapping[CryptoKeyId, Secret]
    ) -> Secret:
        key_id = _key_id(header)
        if key_id is None or key_id not in keys:
            raise EncryptionKeyRequired(
                f"the dump {name} is locked; the host lacks key {key_id}",
                required_key=[key_id.to_json()] if key_id else [],
            )
        blob = base64.b64decode(header["locked"])
        return bundle.unlock(keys[key_id], blob, key_id, name, USE)

    def _write(self, name: str, header: dict[str, Any], body: bytes) -> None:
        write_secret(self._folder / name, json.dumps(header).encode() + b"\n" + body)

    def _read(self, name: str) -> tuple[dict[str, Any], bytes]:
        path = self._folder / os.path.basename(name)
        if not path.is_file() or path.name != name:
            raise NotFound(f"there is no core dump {name}")
        first, _, body = path.read_bytes().partition(b"\n")
        try:
            return dict(json.loads(first)), body
        except (ValueError, TypeError):
            raise DamagedData(f"{path} is not a core dump") from None

    def _info(self, name: str, header: dict[str, Any]) -> DumpInfo:
        return DumpInfo(name, str(header.get("world")), str(header.get("time")), _key_id(header))


def open_exported(data: bytes, password: str) -> bytes:
    """The plain dump from what :meth:`CoreDumps.export` made."""
    first, _, sealed = data.partition(b"\n")
    try:
        header = json.loads(first)
        key = _from_password(password, base64.b64decode(header["salt"]))
        return _open(key, sealed, header["file"])
    except (ValueError, KeyError, TypeError):
        raise DamagedData("this is not an exported core dump") from None


def _key_id(header: Mapping[str, Any]) -> CryptoKeyId | None:
    found = header.get("keyId")
    return CryptoKeyId(found["providerId"], found["keyId"]) if isinstance(found, dict) else None


def _lock(key: tuple[CryptoKeyId, Secret], dek: Secret, name: str) -> str:
    return base64.b64encode(bundle.lock(key[1], dek, key[0], name, USE)).decode("ascii")


def _from_password(password: str, salt: bytes) -> Secret:
    return Secret(Scrypt(salt, 32, **_SCRYPT).derive(password.encode()) * 2)


def _seal(dek: Secret, data: bytes, name: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_SIZE)
    return nonce + AESGCM(dek.reveal()[:32]).encrypt(nonce, data, name.encode())


def _open(dek: Secret, body: bytes, name: str) -> bytes:
    try:
        return AESGCM(dek.reveal()[:32]).decrypt(
            body[:_NONCE_SIZE], body[_NONCE_SIZE:], name.encode()
        )
    except (InvalidTag, ValueError):
        raise DamagedData(f"the dump {name} was altered, or the password is wrong") from None
