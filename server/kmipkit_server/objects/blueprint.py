"""What all generated keys of an algorithm and a length have in common, worked out once.

Of a symmetric key in the format Raw, only the bytes of the key are new: its stored form differs from
that of the last one in these bytes, and of its derived attributes only the digest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kmipkit.model.objects import SymmetricKey
from kmipkit.spec.enums import KeyFormatType
from kmipkit.spec.tags import Tag
from kmipkit_server.objects.creation import digest
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import pack_object


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A symmetric key in the format Raw without the bytes of the key."""

    before: bytes
    """The stored form as far as the key."""
    after: bytes
    derived: tuple[tuple[Tag, Any], ...]
    """The derived attributes without the digest."""

    @classmethod
    def of(cls, make: Callable[[bytes], SymmetricKey], size: int) -> "Blueprint":
        """From a function that makes the object with a key of so many bytes."""
        zeros = pack_object(make(bytes(size)))
        ones = pack_object(make(b"\xff" * size))
        start = next(
            at for at, pair in enumerate(zip(zeros, ones, strict=True)) if len(set(pair)) > 1
        )
        derived = [
            pair for pair in derived_attributes(make(bytes(size))) if pair[0] is not Tag.DIGEST
        ]
        return cls(zeros[:start], zeros[start + size :], tuple(derived))

    def material(self, key: bytes) -> bytes:
        """The stored form of the object with this key: see :func:`.managed.pack_object`."""
        return self.before + key + self.after

    def derived_with(self, key: bytes) -> tuple[tuple[Tag, Any], ...]:
        """The derived attributes of the object with this key."""
        return (*self.derived, (Tag.DIGEST, digest(key, KeyFormatType.RAW)))
