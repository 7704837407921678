"""Sealing key material: AES-256-GCM under data keys, which are wrapped (:mod:`.root_keys`).

A new data key is generated for the first object after each start, and again after a few hundred
objects: the store deletes a data key with the last object that it seals, and then no copy of the
sealed bytes can be opened, not even with the root key. That is also long before the number of random
nonces becomes a risk (NIST SP 800-38D §8.3 allows 2**32). The sealed bytes are bound to the identifier
of the object, so that nobody can exchange the material of two objects.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit_server.store.errors import Damaged

NONCE_SIZE = 12
KEY_SIZE = 32
OBJECTS_PER_KEY = 256
"""Objects that one data key seals: few, so that it does not last long, but enough that there are not as
many data keys as objects."""

_MAX_CACHED = 4096
"""Data keys in memory."""


class Sealed(NamedTuple):
    """Sealed bytes, with what is needed to open them; all None for an object without material."""

    data_key: int | None
    nonce: bytes | None
    material: bytes | None


class Sealer:
    """Seals and opens key material; it refers to data keys by their numbers."""

    def __init__(
        self,
        random: Callable[[int], bytes],
        load: Callable[[int], bytes],
        save: Callable[[bytes], int],
    ) -> None:
        """``load`` returns the data key of a number; ``save`` stores one under a new number.

        ``random`` generates data keys and nonces.
        """
        self._random = random
        self._load = load
        self._save = save
        self._keys: dict[int, AESGCM] = {}
        self._current = 0
        self._current_key: AESGCM
        self._seals_left = 0

    def seal(self, data: bytes, identifier: str) -> Sealed:
        """The sealed bytes, with what is needed to open them."""
        if not self._seals_left:
            key = self._random(KEY_SIZE)
            self._current = self._save(key)
            self._current_key = AESGCM(key)
            self._cache(self._current, self._current_key)
            self._seals_left = OBJECTS_PER_KEY
        self._seals_left -= 1
        nonce = self._random(NONCE_SIZE)
        encrypted = self._current_key.encrypt(nonce, data, identifier.encode())
        return Sealed(self._current, nonce, encrypted)

    def open(self, number: int, nonce: bytes, sealed: bytes, identifier: str) -> bytes:
        """The original bytes; Damaged if the sealed bytes or the identifier were changed."""
        known = self._keys.get(number)
        if known is not None:
            # After a fail-over to a replica that was behind, another key may have the number.
            with suppress(InvalidTag):
                return known.decrypt(nonce, sealed, identifier.encode())
        key = AESGCM(self._load(number))
        self._cache(number, key)
        try:
            return key.decrypt(nonce, sealed, identifier.encode())
        except InvalidTag:
            raise Damaged(
                f"the material of object {identifier} was changed in the database;"
                " restore it from a backup"
            ) from None

    @property
    def current_key(self) -> int:
        """The number of the data key that seals new objects; 0 if the next object gets a new one."""
        return self._current if self._seals_left else 0

    def retire_current_key(self) -> None:
        """Do not seal with the current data key again, since it is deleted or was never stored."""
        self._seals_left = 0

    def forget(self, number: int) -> None:
        """Remove a data key from memory, since it is no longer stored."""
        self._keys.pop(number, None)

    def _cache(self, number: int, key: AESGCM) -> None:
        if len(self._keys) >= _MAX_CACHED:
            self._keys.clear()
        self._keys[number] = key
