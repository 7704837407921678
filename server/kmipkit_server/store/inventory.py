"""All objects of a store, whoever owns them: what administrators see and change.

The views of a store have these methods beside those for clients (:mod:`.base`).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from kmipkit_server.store.base import Criterion, Reader, Record, Transaction
from kmipkit_server.store.key_rotation import KeyFigures
from kmipkit_server.store.slices import Steps


@dataclass(frozen=True, slots=True)
class InventoryQuery:
    """What an administrator asks for: objects of several owners, also destroyed and archived ones."""

    owners: Callable[[str], bool]
    """Which owners are meant."""
    now: datetime
    criteria: tuple[Criterion, ...] = ()
    name: str | None = None
    """A pattern for the Name, with ``*`` for any characters and ``?`` for one."""
    after: int | None = None
    """The position of the last object that was seen; None to begin."""
    oldest_first: bool = False
    maximum: int = 100


class Found(NamedTuple):
    """What was found under a Unique Identifier."""

    id: str
    record: Record | None
    """None if there is no such object, or if it is damaged."""
    is_damaged: bool = False
    """Whether it was changed in the database by another program."""


class Listed(NamedTuple):
    """An object in an inventory."""

    id: str
    record: Record | None
    """None if it was changed in the database by another program."""


class InventoryPage(NamedTuple):
    """A part of an inventory."""

    objects: tuple[Listed, ...]
    next: int | None
    """The position after which the inventory goes on; None at its end."""


class Total(NamedTuple):
    """How many objects of an owner have a type and a state."""

    owner: str
    object_type: int
    state: int
    objects: int


class Inventory(Reader):
    """A view of the committed state of the whole store."""

    @abstractmethod
    def look_up(self, identifiers: Iterable[str]) -> Iterator[Found]:
        """The objects with these Unique Identifiers, in the same order, with few statements."""

    @abstractmethod
    def inventory(self, query: InventoryQuery) -> Steps[InventoryPage]:
        """A page of an inventory. It may be short, or empty, and not be the last one: so that no page
        takes long."""

    @abstractmethod
    def totals(self, owners: Callable[[str], bool], now: datetime) -> Steps[tuple[Total, ...]]:
        """The numbers of all objects of these owners, by owner, type and state."""

    @abstractmethod
    def ages(
        self, owners: Callable[[str], bool], limits: tuple[datetime, ...]
    ) -> Steps[tuple[int, ...]]:
        """How many objects of these owners, destroyed ones included, were created before each date."""

    @abstractmethod
    def owner_numbers(self) -> dict[str, int]:
        """The owners that have ever had an object, each with its number in the store."""

    @abstractmethod
    def key_figures(self) -> KeyFigures:
        """The keys that protect the store, in numbers."""


class InventoryTransaction(Inventory, Transaction):
    """The same with changes."""

    @abstractmethod
    def change_owner(self, record: Record, owner: str) -> None:
        """Give an object to another owner."""
