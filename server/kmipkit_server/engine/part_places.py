"""Correlation Values of operations in several parts: they say which process has the earlier parts.

A value is random, and names the process in a form that nobody else can read or make: so a client can
neither guess one nor reach another process with it.
"""

import hmac
import struct
from hashlib import blake2b
from typing import NamedTuple

PURPOSE = "correlation values"
"""The purpose of the key, see :meth:`kmipkit_server.store.base.Store.derive_key`."""
NONCE_SIZE = 16
"""Random bytes of a value."""
_TAG_SIZE = 8
_NODE_SIZE = 8
_PLACE = struct.Struct(f">{_NODE_SIZE}sI")
_SIZE = NONCE_SIZE + _PLACE.size + _TAG_SIZE


class Place(NamedTuple):
    """The process that has the parts of an operation."""

    node: bytes
    """A hash of the name of its node."""
    worker: int


def place_of(node: str, worker: int) -> Place:
    """The place of a worker on a node; without nodes, their name is empty."""
    return Place(blake2b(node.encode(), digest_size=_NODE_SIZE).digest(), worker)


class PartPlaces:
    """Makes and reads Correlation Values."""

    def __init__(self, key: bytes, own: Place) -> None:
        """All processes of the server have the same key."""
        self._key = key
        self.own = own
        """The place of this process."""

    def value(self, nonce: bytes) -> bytes:
        """The Correlation Value of an operation whose parts this process has."""
        place = _PLACE.pack(*self.own)
        tag = self._hash(b"tag", nonce + place, _TAG_SIZE)
        return nonce + self._masked(nonce + tag, place) + tag

    def place(self, value: bytes) -> Place | None:
        """Who has the parts of an operation; None for a value that no process of the server made."""
        if len(value) != _SIZE:
            return None
        nonce, masked, tag = value[:NONCE_SIZE], value[NONCE_SIZE:-_TAG_SIZE], value[-_TAG_SIZE:]
        place = self._masked(nonce + tag, masked)
        if not hmac.compare_digest(tag, self._hash(b"tag", nonce + place, _TAG_SIZE)):
            return None
        return Place(*_PLACE.unpack(place))

    def _masked(self, seed: bytes, data: bytes) -> bytes:
        mask = self._hash(b"mask", seed, len(data))
        return bytes(one ^ other for one, other in zip(data, mask, strict=True))

    def _hash(self, purpose: bytes, data: bytes, size: int) -> bytes:
        return blake2b(data, key=self._key, person=purpose, digest_size=size).digest()
