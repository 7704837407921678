"""Root keys in the memory of the server: AES-256 key wrap with padding (RFC 5649)."""

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from kmipkit_server.vault.base import IDENTIFIED, KEY_SIZE, Vault, identifier_of
from kmipkit_server.vault.counter import CounterFile
from kmipkit_server.vault.errors import VaultError

MAX_DIGITS = 4 * KEY_SIZE
"""Bytes of a text with a root key, and more than that: a longer one is not a root key."""


class SoftwareVault(Vault):
    """A root key that is known when the vault is opened."""

    def __init__(self, root_key: bytes, place: str, counter: CounterFile) -> None:
        super().__init__(place, counter)
        self._root_key = root_key

    @property
    def identifier(self) -> str:
        """See :class:`.base.Vault`."""
        return identifier_of(self.wrap(IDENTIFIED))

    def wrap(self, key: bytes) -> bytes:
        """See :class:`.base.Vault`."""
        return aes_key_wrap_with_padding(self._root_key, key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """See :class:`.base.Vault`."""
        try:
            return aes_key_unwrap_with_padding(self._root_key, wrapped)
        except (InvalidUnwrap, ValueError):  # ValueError: no wrapped key has this length
            raise VaultError(self.other_key()) from None


def parse_digits(content: bytes, name: str) -> bytes:
    """The root key in a text of hexadecimal digits. VaultError if there is none."""
    try:
        key = bytes.fromhex(content.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise VaultError(
            f"{name} does not contain a root key, which has {2 * KEY_SIZE} hexadecimal digits;"
            " restore the right one"
        )
    return key
