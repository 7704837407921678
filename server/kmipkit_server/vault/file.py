"""A root key in a file that only the server's user can read, and a counter in a file beside it.

The counter is that of the database's transactions, when it was last stored here. A database with a
lower one is a copy from an earlier time.
"""

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

    def __init__(self, root_key: bytes, path: Path, *, is_new: bool) -> None:
        """Use :meth:`open`."""
        self._root_key = root_key
        self._path = path
        self._counter_path = path.with_name(f"{path.name}.counter")
        self.is_new = is_new
        """Whether the root key was generated for this start, so that nothing can need it yet."""

    @classmethod
    def open(
        cls, path: Path, random: Callable[[int], bytes] = os.urandom, *, may_create: bool = True
    ) -> Self:
        """Read the root key. If the file does not exist, create it with a random root key.

        VaultError if other users can read the file, if it does not contain a root key, or if it
        must exist.
        """
        if not may_create and not path.exists():
            raise VaultError(
                f"the root key {path} is missing, and nobody can decrypt the database without it;"
                " restore the file, or remove the database to start with an empty one"
            )
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return cls(_read(path), path, is_new=False)
        except OSError as error:
            raise VaultError(f"{path}: {error.strerror}") from None
        root_key = random(ROOT_KEY_SIZE)
        with open(descriptor, "wb") as file:
            file.write(root_key.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _sync_directory(path.parent)
        return cls(root_key, path, is_new=True)

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

    @property
    def name(self) -> str:
        """Where the root key is, for messages."""
        return str(self._path)

    @property
    def counter_name(self) -> str:
        """Where the counter is, for messages."""
        return str(self._counter_path)

    def counter(self) -> int | None:
        """The counter as it was last stored; None before the first time."""
        try:
            return int(self._counter_path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VaultError(f"{self._counter_path}: {error.strerror}") from None
        except ValueError:
            raise VaultError(
                f"{self._counter_path} does not contain a number; delete it, and compare the database"
                " with a backup"
            ) from None

    def save_counter(self, counter: int) -> None:
        """Store the counter durably. VaultError if that fails."""
        new = self._counter_path.with_name(f"{self._counter_path.name}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(b"%d\n" % counter)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._counter_path)
            _sync_directory(self._path.parent)
        except OSError as error:
            raise VaultError(f"{self._counter_path}: {error.strerror}") from None


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
