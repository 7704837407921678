"""A store as a command sees it, which serves nobody."""

from typing import Protocol, Self

from kmipkit_server.store.base import Usage
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.inventory import Inventory


class OfflineStore(Protocol):
    """A view of the committed state without key material; a server may use the store meanwhile."""

    @property
    def reader(self) -> Inventory:
        """The view."""

    def usages(self) -> dict[str, Usage]:
        """How much each owner has that has anything."""

    def derive_key(self, purpose: str) -> bytes:
        """The key that the server derives for a purpose."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None:
        """Close it."""


def no_random(_count: int) -> bytes:
    """StoreError: a command seals no objects."""
    raise StoreError("a command does not seal objects")


def no_key(_number: int) -> bytes:
    """StoreError: a command opens no key material."""
    raise StoreError("a command does not open key material")


def no_new_key(_wrapped: bytes) -> int:
    """StoreError: a command seals no objects."""
    raise StoreError("a command does not seal objects")
