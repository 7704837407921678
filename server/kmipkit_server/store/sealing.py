"""Sealing key material: AES-256-GCM under data keys, which are wrapped by the root key.

A data key is made when something is first sealed after a start, and again long before the number
of random nonces becomes a risk (NIST SP 800-38D §8.3 allows 2**32). The object's identifier is
bound to the sealed bytes, so that the material of one object cannot be put in place of another's.
"""

from collections.abc import Callable
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit.errors import KMIPError
from kmipkit_server.store.base import StoreError

NONCE_SIZE = 12
KEY_SIZE = 32
SEALS_PER_KEY = 1 << 30


class KeyWrapper(Protocol):
    """Protects data keys: wraps and unwraps them under a root key, which it never gives out."""

    def wrap(self, key: bytes) -> bytes:
        """A data key, wrapped."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key of :meth:`wrap`; KMIPError if it was wrapped under another root key."""


class Sealer:
    """Seals and opens; knows data keys by their number."""

    def __init__(
        self,
        wrapper: KeyWrapper,
        random: Callable[[int], bytes],
        load: Callable[[int], bytes],
        save: Callable[[bytes], int],
    ) -> None:
        """``load`` returns the wrapped data key of a number; ``save`` stores one under a new number.

        ``random`` makes data keys and nonces.
        """
        self._wrapper = wrapper
        self._random = random
        self._load = load
        self._save = save
        self._keys: dict[int, AESGCM] = {}
        self._current = 0
        self._left = 0

    def seal(self, data: bytes, identifier: str) -> tuple[int, bytes]:
        """The number of the data key, and the sealed bytes."""
        if not self._left:
            key = self._random(KEY_SIZE)
            self._current = self._save(self._wrapper.wrap(key))
            self._keys[self._current] = AESGCM(key)
            self._left = SEALS_PER_KEY
        self._left -= 1
        nonce = self._random(NONCE_SIZE)
        return self._current, nonce + self._keys[self._current].encrypt(
            nonce, data, identifier.encode()
        )

    def open(self, number: int, sealed: bytes, identifier: str) -> bytes:
        """The bytes that were sealed; StoreError if anything was changed."""
        key = self._keys.get(number)
        if key is None:
            key = self._keys[number] = AESGCM(self._data_key(number))
        try:
            return key.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], identifier.encode())
        except InvalidTag:
            raise StoreError(
                f"the material of object {identifier} was changed in the database"
            ) from None

    def check(self, number: int) -> None:
        """StoreError if the root key does not unwrap this data key."""
        self._data_key(number)

    def forget_new(self) -> None:
        """After a rollback: drop a data key that was made in it, since it was not stored."""
        self._keys.pop(self._current, None)
        self._left = 0

    def _data_key(self, number: int) -> bytes:
        try:
            return self._wrapper.unwrap(self._load(number))
        except StoreError:
            raise
        except KMIPError as error:
            raise StoreError(str(error)) from error
