"""What the server asks of a store, and what it gets: records, queries, transactions.

A store knows nothing of operations. It keeps records under their Unique Identifier, finds them by
owner and attributes, and makes what was committed survive.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

import trio

from kmipkit.errors import KMIPError
from kmipkit.lifecycle import DESTROYED_STATES, effective_state
from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.spec.enums import ObjectGroupMember, ObjectType, State
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item


class StoreError(KMIPError):
    """The store cannot do what it must; the text says what is wrong and what helps."""


class TransactionLost(StoreError):
    """The store has given up the whole transaction, and with it what others did in it."""


_UNCHANGED: Any = object()
_Result = TypeVar("_Result")


class Record:
    """One object as it is stored. Immutable; attributes and material are read when first needed.

    ``stored_state`` is the state at the last write; dates may have passed since, so judge by
    :meth:`state_at`. ``material`` is the packed object itself, None once it is destroyed.
    """

    __slots__ = ("_attributes", "_material", "id", "object_type", "owner", "stored_state")

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name
        owner: str,
        object_type: ObjectType,
        stored_state: State,
        attributes: Attributes | Callable[[], Attributes],
        material: bytes | Callable[[], bytes] | None,
    ) -> None:
        """Attributes and material may be given as functions that read them."""
        self.id = id
        self.owner = owner
        self.object_type = object_type
        self.stored_state = stored_state
        self._attributes = attributes
        self._material = material

    def __repr__(self) -> str:
        return f"Record({self.id!r}, {self.object_type.name}, {self.stored_state.name})"

    @property
    def attributes(self) -> Attributes:
        """The attributes, each with its index."""
        if not isinstance(self._attributes, Attributes):
            self._attributes = self._attributes()
        return self._attributes

    @property
    def material(self) -> bytes | None:
        """The object itself."""
        if callable(self._material):
            self._material = self._material()
        return self._material

    @property
    def activation(self) -> datetime | None:
        """The Activation Date."""
        date: datetime | None = self.attributes.get(Tag.ACTIVATION_DATE)
        return date

    @property
    def deactivation(self) -> datetime | None:
        """The Deactivation Date."""
        date: datetime | None = self.attributes.get(Tag.DEACTIVATION_DATE)
        return date

    def state_at(self, now: datetime) -> State:
        """The state that counts: what the stored one has become by its dates (KMIP 1.4 §3.22)."""
        return effective_state(self.stored_state, self.activation, self.deactivation, now)

    @property
    def is_destroyed(self) -> bool:
        """Whether the object counts as destroyed storage (KMIP 2.1 §12.3); no date changes that."""
        return self.stored_state in DESTROYED_STATES

    @property
    def is_archived(self) -> bool:
        """Whether the object is in archival storage: it has an Archive Date (KMIP 1.4 §3.32)."""
        return self.attributes.get(Tag.ARCHIVE_DATE) is not None

    def shares_material(self, other: "Record") -> bool:
        """Whether both have the same material, without reading it."""
        return self._material is other._material

    def replace(
        self,
        *,
        stored_state: State = _UNCHANGED,
        attributes: Attributes = _UNCHANGED,
        material: bytes | None = _UNCHANGED,
    ) -> Self:
        """A copy with other values."""
        return type(self)(
            self.id,
            self.owner,
            self.object_type,
            self.stored_state if stored_state is _UNCHANGED else stored_state,
            self._attributes if attributes is _UNCHANGED else attributes,
            self._material if material is _UNCHANGED else material,
        )


@dataclass(frozen=True, slots=True)
class Criterion:
    """An attribute that objects must have. A structure matches by the fields that it has."""

    key: AttributeKey
    value: Item


@dataclass(frozen=True, slots=True)
class LocateQuery:
    """What Locate looks for (KMIP 1.4 §4.9).

    Two criteria on the same date make a range. Destroyed objects are found where the mask or a
    State asks for them.
    """

    owner: str
    criteria: tuple[Criterion, ...]
    now: datetime
    offset: int = 0
    maximum: int | None = None
    storage_status_mask: StorageStatusMask | None = None
    object_group_member: ObjectGroupMember | None = None


@dataclass(frozen=True, slots=True)
class Located:
    """What was found: one page of identifiers, newest object first, and how many there are in all."""

    ids: tuple[str, ...]
    total: int


class Reader(ABC):
    """A view on what is committed. All methods raise StoreError when the store fails."""

    @abstractmethod
    def get(self, identifier: str) -> Record | None:
        """The object with this Unique Identifier."""

    @abstractmethod
    def locate(self, query: LocateQuery) -> Located:
        """The objects that match."""

    @abstractmethod
    def named(self, owner: str, name: str) -> tuple[str, ...]:
        """The owner's objects that have this Name Value and are not destroyed; two at most.

        What :meth:`locate` would find, in one look-up: every new object asks for its name.
        """


class Transaction(Reader):
    """A view that may change what it sees; others see it after the commit."""

    @abstractmethod
    def insert(self, record: Record) -> None:
        """Keep a new object."""

    @abstractmethod
    def update(self, old: Record, new: Record) -> None:
        """Replace an object; only what differs is written."""

    @abstractmethod
    def remove(self, record: Record) -> None:
        """Forget an object, as nothing but its replacement by an import does."""

    @abstractmethod
    def savepoint(self) -> AbstractContextManager[None]:
        """A part that leaves nothing behind when it ends with an exception."""


class Store(ABC):
    """A place for objects, opened by one server. :meth:`serve` must be running."""

    @abstractmethod
    async def run(
        self,
        work: Callable[[Any], _Result],
        *,
        writes: bool = False,
        slow: bool = False,
        committed: Callable[[_Result], None] | None = None,
    ) -> _Result:
        """What a piece of work returns, once all that it has changed is durable.

        The store decides where the work runs: on the event loop, in a thread, in a group with
        others. It gets a :class:`Transaction` if it writes and a :class:`Reader` if not; ``slow``
        work takes more than a few milliseconds. A store may run the work again where others were in
        its way, so that it must not change anything but the transaction; what else it has to change
        belongs into ``committed``, which is called with the result right after the commit, in the
        order of the commits.

        What the work raises is raised here, and the transaction leaves nothing behind. StoreError
        when the store fails.
        """

    @abstractmethod
    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do what must be done in the background, until :meth:`stop`."""

    @abstractmethod
    async def stop(self) -> None:
        """Take no more work; :meth:`serve` ends when what waits is done."""

    @abstractmethod
    def close(self) -> None:
        """Release files and locks."""
