"""A root key in a file that only the server's user can read, and a counter in a file beside it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from kmipkit_server.vault.base import KEY_SIZE
from kmipkit_server.vault.counter import CounterFile, beside
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.files import read_private, sync_directory
from kmipkit_server.vault.software import MAX_DIGITS, SoftwareVault, parse_digits
from kmipkit_server.vault.uri import file_uri

ROOT_KEY_SIZE = KEY_SIZE


class FileVault(SoftwareVault):
    """Wraps keys with a root key from a file."""

    kind = "file"

    def __init__(
        self, root_key: bytes, path: Path, *, is_new: bool, counter: CounterFile | None = None
    ) -> None:
        """Use :meth:`open`."""
        super().__init__(root_key, file_uri(path), counter or beside(path))
        self._path = path
        self._is_new = is_new

    @classmethod
    def open(
        cls,
        path: Path,
        random: Callable[[int], bytes] = os.urandom,
        *,
        may_create: bool = True,
        counter: CounterFile | None = None,
    ) -> Self:
        """Read the root key. If the file does not exist, create it with a random root key.

        VaultError if other users can read the file, if it does not contain a root key, or if it
        must exist.
        """
        if not may_create and not path.exists():
            raise VaultError(
                f"the root key {path} is missing, and nobody can decrypt the database without it:"
                " restore the file, copy it from another server of the same database, or set"
                " store.root_key to the place where the root key is"
            )
        try:
            root_key = create(path, random)
        except FileExistsError:
            digits = read_private(path, MAX_DIGITS)
            return cls(parse_digits(digits, str(path)), path, is_new=False, counter=counter)
        return cls(root_key, path, is_new=True, counter=counter)

    @property
    def is_new(self) -> bool:
        """Whether the root key was generated for this start."""
        return self._is_new

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self._path)

    def other_key(self) -> str:
        """See :class:`.base.Vault`."""
        return (
            f"{self.name} has another root key ({self.identifier}) than the one that this database"
            " was written with; restore the right file"
        )


def create(path: Path, random: Callable[[int], bytes] = os.urandom) -> bytes:
    """A new root key, in a file that is on the disk when this returns.

    FileExistsError if there is such a file; VaultError if it cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}") from None
    root_key = random(KEY_SIZE)
    with open(descriptor, "wb") as file:
        file.write(root_key.hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)
    return root_key
