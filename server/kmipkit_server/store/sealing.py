"""Sealing key material: AES-256-GCM under data keys, which the vault wraps.

A data key is made when something is first sealed after a start, and again long before the number
of random nonces becomes a risk (NIST SP 800-38D §8.3 allows 2**32). The object's identifier is
bound to the sealed bytes, so that the material of one object cannot be put in place of another's.
"""

import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit_server.store.base import StoreError
from kmipkit_server.vault.base import Vault

NONCE_SIZE = 12
KEY_SIZE = 32
SEALS_PER_KEY = 1 << 30


class Sealer:
    """Seals and opens; knows data keys by their number."""

    def __init__(
        self, vault: Vault, load: Callable[[int], bytes], save: Callable[[bytes], int]
    ) -> None:
        """``load`` gives the wrapped data key of a number, ``save`` keeps one and gives its number."""
        self._vault = vault
        self._load = load
        self._save = save
        self._keys: dict[int, AESGCM] = {}
        self._current = 0
        self._left = 0

    def seal(self, data: bytes, identifier: str) -> tuple[int, bytes]:
        """The number of the data key, and the sealed bytes."""
        if not self._left:
            key = os.urandom(KEY_SIZE)
            self._current = self._save(self._vault.wrap(key))
            self._keys[self._current] = AESGCM(key)
            self._left = SEALS_PER_KEY
        self._left -= 1
        nonce = os.urandom(NONCE_SIZE)
        return self._current, nonce + self._keys[self._current].encrypt(
            nonce, data, identifier.encode()
        )

    def open(self, number: int, sealed: bytes, identifier: str) -> bytes:
        """The bytes that were sealed; StoreError if anything was changed."""
        key = self._keys.get(number)
        if key is None:
            key = self._keys[number] = AESGCM(self._vault.unwrap(self._load(number)))
        try:
            return key.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], identifier.encode())
        except InvalidTag:
            raise StoreError(
                f"the material of object {identifier} was changed in the database"
            ) from None

    def check(self, number: int) -> None:
        """StoreError if the vault cannot unwrap this data key."""
        self._vault.unwrap(self._load(number))

    def forget_new(self) -> None:
        """After a rollback: a data key that was made in it was not kept."""
        self._keys.pop(self._current, None)
        self._left = 0
