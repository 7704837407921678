"""What the store asks of a vault: wrap and unwrap its data keys under the root key."""

from typing import Protocol


class Vault(Protocol):
    """Holds the root key and never gives it out."""

    def wrap(self, key: bytes) -> bytes:
        """A data key, wrapped."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key of :meth:`wrap`; StoreError if it was wrapped under another root key."""
