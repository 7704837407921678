"""Keys on their way through the roles: ids, and key bytes that do not show themselves.

Key bytes live in a :class:`Secret`, whose representation is empty of them and whose memory can be
overwritten. That is best effort: copies which the interpreter or a cipher made are out of reach.
"""

import hmac
import secrets
from typing import Annotated, Final, Self

from msgspec import Meta

from kmipkit_vsphere.model.message import MAX_TEXT, Message, Text

DEK_SIZE: Final = 64
"""Bytes of a data key: two AES-256 keys (vsphere.md §2.1)."""


class Secret:
    """Key bytes that never appear in a representation and can be erased in place."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)

    @classmethod
    def random(cls, size: int) -> Self:
        """``size`` bytes from the operating system's generator."""
        return cls(secrets.token_bytes(size))

    def reveal(self) -> bytes:
        """The bytes; raises ValueError after :meth:`erase`."""
        if not self._data:
            raise ValueError("this key has been erased")
        return bytes(self._data)

    def erase(self) -> None:
        """Overwrite the bytes with zeros, then drop them."""
        for position in range(len(self._data)):
            self._data[position] = 0
        self._data.clear()

    def __len__(self) -> int:
        return len(self._data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._data, other._data)

    __hash__ = None  # type: ignore[assignment]  # erasable, so not hashable

    def __repr__(self) -> str:
        return f"<Secret, {len(self._data)} bytes>"


class SecretText(Secret):
    """A secret that is text, such as a private key in PEM; as JSON it is a string."""

    __slots__ = ()


def escaped(provider_id: str) -> str:
    """A provider's id as part of a path: without slashes, and different for different ids."""
    return provider_id.replace("%", "%25").replace("/", "%2f")


class CryptoKeyId(Message, order=True):
    """Names a key: the key provider and the id under which its key servers know it.

    ``key_id`` is empty where a host is to make the key (vsphere.md §4.3).
    """

    provider_id: Text
    key_id: Annotated[str, Meta(max_length=MAX_TEXT)]

    def __str__(self) -> str:
        """``PROVIDER/KEY``; a slash in the provider's id is written as ``%2f``."""
        return f"{escaped(self.provider_id)}/{self.key_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reverse of ``str``; ValueError if there is no slash, or nothing on one side of it."""
        provider, _, key = text.partition("/")
        if not provider or not key:
            raise ValueError(f"{text!r} is not PROVIDER/KEY")
        return cls(provider.replace("%2f", "/").replace("%25", "%"), key)


class CryptoKeyPlain(Message):
    """A key with its bytes, as vCenter hands it to a host (vsphere.md §4.3)."""

    key_id: CryptoKeyId
    algorithm: Text
    key_data: Secret
