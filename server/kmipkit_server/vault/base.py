"""What all kinds of root keys have in common.

A vault wraps the few keys that protect everything else, and never gives its root key out. The store asks
it at a start and at a rotation only, so that a vault may be slow, such as a token.
"""

from abc import ABC, abstractmethod
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from kmipkit_server.vault.counter import CounterFile
from kmipkit_server.vault.errors import VaultError

__all__ = ["IDENTIFIED", "KEY_SIZE", "Vault", "VaultError", "identifier_of"]

KEY_SIZE = 32
"""Bytes of a root key, and of the keys that it wraps."""

IDENTIFIED = sha256(b"kmipkit: the identifier of a root key").digest()
"""Wrapped with a root key, this identifies it."""


def identifier_of(wrapped: bytes) -> str:
    """The identifier of a root key, from :data:`IDENTIFIED` wrapped with it (RFC 5649).

    It is a hash of what nobody can compute without the key, and the same wherever the key is.
    """
    return sha256(wrapped).hexdigest()[:16]


class Vault(ABC):
    """A root key, and the counter of transactions (:mod:`.counter`)."""

    kind: ClassVar[str]
    """The kind of root key, in a word."""

    def __init__(self, place: str, counter: CounterFile) -> None:
        self.place = place
        """The URI of the root key, without secrets."""
        self._counter = counter

    def other(self, place: str) -> "Vault":
        """The root key at another place, opened without questions. VaultError if that fails.

        Only for places that the server itself has stored: they may name a module to load.
        """
        from kmipkit_server.vault.kinds import open_vault, parse

        return open_vault(parse(place, Path()), self._counter, may_ask=False)

    @property
    @abstractmethod
    def identifier(self) -> str:
        """16 hexadecimal digits that identify the root key without revealing it."""

    @property
    def parameters(self) -> str:
        """What one needs besides the secret to have this root key again, such as a salt."""
        return ""

    @property
    def is_new(self) -> bool:
        """Whether nothing can need this root key yet."""
        return self.counter() is None

    @property
    def name(self) -> str:
        """Where the root key is, for messages."""
        return self.place

    def fits(self, identifier: str, parameters: str) -> bool:  # noqa: ARG002 - some kinds need them
        """Whether this is the root key with an identifier, which was stored with its parameters."""
        return self.identifier == identifier

    @abstractmethod
    def wrap(self, key: bytes) -> bytes:
        """A key of 32 bytes, wrapped. VaultError if that fails."""

    @abstractmethod
    def unwrap(self, wrapped: bytes) -> bytes:
        """The key from :meth:`wrap`; VaultError if it was wrapped with another root key."""

    def other_key(self) -> str:
        """What is wrong if another root key is needed, and what to do."""
        return f"{self.name} has another root key ({self.identifier})"

    def close(self) -> None:  # noqa: B027 - most kinds have nothing to close
        """Release what the vault has opened."""

    @property
    def counter_name(self) -> str:
        """Where the counter is, for messages."""
        return str(self._counter.path)

    def counter(self) -> int | None:
        """The counter as it was last stored; None before the first time."""
        return self._counter.read()

    def save_counter(self, counter: int) -> None:
        """Store the counter durably. VaultError if that fails."""
        self._counter.write(counter)
