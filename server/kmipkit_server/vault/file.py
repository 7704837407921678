"""A root key in a file that only the server's user can read."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from kmipkit_server.vault.base import VaultError

ROOT_KEY_SIZE = 32


class FileVault:
    """Wraps keys with AES-256 key wrap with padding (RFC 5649), with a root key from a file."""

    def __init__(self, root_key: bytes, path: Path) -> None:
        """Use :meth:`open`."""
        self._root_key = root_key
        self._path = path

    @classmethod
    def open(cls, path: Path, random: Callable[[int], bytes] = os.urandom) -> Self:
        """Read the root key. If the file does not exist, create it with a random root key.

        VaultError if other users can read the file, or if it does not contain a root key.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return cls(_read(path), path)
        except OSError as error:
            raise VaultError(f"{path}: {error.strerror}") from None
        root_key = random(ROOT_KEY_SIZE)
        with open(descriptor, "wb") as file:
            file.write(root_key.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(path.parent)
        return cls(root_key, path)

    def wrap(self, key: bytes) -> bytes:
        """A data key, wrapped."""
        return aes_key_wrap_with_padding(self._root_key, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key from :meth:`wrap`; VaultError if it was wrapped with another root key."""
        try:
            return aes_key_unwrap_with_padding(self._root_key, wrapped)
        except (InvalidUnwrap, ValueError):  # ValueError: no wrapped key has this length
            raise VaultError(
                f"{self._path} has another root key than the one that this database was written"
                " with; restore the right file"
            ) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(4 * ROOT_KEY_SIZE)
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise VaultError(f"other users have access to {path}; run: chmod 600 {path}")
    try:
        key = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != ROOT_KEY_SIZE:
        raise VaultError(
            f"{path} does not contain a root key, which has {2 * ROOT_KEY_SIZE} hexadecimal digits;"
            " restore the right file"
        )
    return key


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
