"""The secrets of vCenter itself, encrypted in its database.

Passwords of key providers, private keys of client certificates, and the primary keys of native key
providers (vsphere.md §1.2). Never a key of a key server: those are only in memory. The
encryption key is in a file of mode 0600 beside the database; keep the two apart in a backup.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit_vsphere.model.errors import DamagedData
from kmipkit_vsphere.model.files import sync_folder
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.vcenter.store.database import Database

KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12


class Secrets:
    """Name to secret. The key file is created with the first secret."""

    def __init__(self, database: Database, key_file: Path) -> None:
        self._database = database
        self._key_file = key_file

    def put(self, name: str, value: Secret) -> None:
        """Store a secret; replaces an earlier one of this name."""
        nonce = secrets.token_bytes(_NONCE_SIZE)
        sealed = nonce + AESGCM(self._key()).encrypt(nonce, value.reveal(), name.encode())
        self._database.write("INSERT OR REPLACE INTO secret VALUES (?, ?)", name, sealed)

    def get(self, name: str) -> Secret | None:
        """The secret of this name, None if there is none; :class:`DamagedData` if altered."""
        rows = self._database.rows("SELECT sealed FROM secret WHERE name = ?", name)
        if not rows:
            return None
        sealed = bytes(rows[0][0])
        nonce, body = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
        try:
            return Secret(AESGCM(self._key()).decrypt(nonce, body, name.encode()))
        except (InvalidTag, ValueError):
            raise DamagedData(
                f"the secret {name} in {self._database.path} does not open with {self._key_file}"
            ) from None

    def remove(self, name: str) -> None:
        """Remove a secret, and all secrets whose names begin with this name and a slash."""
        self._database.write(
            "DELETE FROM secret WHERE name = ? OR substr(name, 1, ?) = ?",
            *(name, len(name) + 1, name + "/"),
        )

    def _key(self) -> bytes:
        try:
            fd = os.open(self._key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            key = self._key_file.read_bytes()
            if len(key) != KEY_SIZE:
                raise DamagedData(f"{self._key_file} is not a key of {KEY_SIZE} bytes") from None
            return key
        key = secrets.token_bytes(KEY_SIZE)
        with os.fdopen(fd, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(fd)
        sync_folder(self._key_file.parent)
        return key
