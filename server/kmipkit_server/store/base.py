"""The interface of a store: records, queries, transactions.

A store knows nothing about operations. It stores records under their Unique Identifiers, finds them
by owner and attributes, and guarantees that what it has committed survives a crash.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import trio

from kmipkit.errors import KMIPError
from kmipkit.lifecycle import DESTROYED_STATES, effective_state
from kmipkit.model.attribute import AttributeKey, Attributes
from kmipkit.spec.enums import ObjectGroupMember, ObjectType, State
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.store.counters import StoreFigures
from kmipkit_server.store.slices import Steps


class StoreError(KMIPError):
    """The store cannot read or write; the text says what is wrong, and what to do."""

    explanation: ClassVar[str] = "the server cannot read or write its store at the moment"
    """What clients learn about it."""
    is_reported: ClassVar[bool] = False
    """Whether the log has a line about it already."""


class ReadingTooLong(Exception):
    """Reading on the event loop would take long: the work runs again elsewhere."""


class SearchTooLong(Exception):
    """A search would look at more objects than its query permits; the text says what to do."""


class TransactionLost(StoreError):
    """The store has rolled back the whole transaction, with the changes of other jobs in it."""


class Damaged(StoreError):
    """One object or setting was changed in the database by another program; all others are usable."""


_UNCHANGED: Any = object()
_Result = TypeVar("_Result")


class Record:
    """A stored object. It is immutable; attributes and material are read when they are first needed.

    ``stored_state`` is the state at the last write. Dates may have passed since then, so use
    :meth:`state_at` for decisions. ``material`` is the packed object, None once it is destroyed.
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
        """Attributes and material may be functions that read them."""
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
        """The effective state, which follows from the stored state and the dates (KMIP 1.4 §3.22)."""
        return effective_state(self.stored_state, self.activation, self.deactivation, now)

    @property
    def is_destroyed(self) -> bool:
        """Whether the object is in destroyed storage (KMIP 2.1 §12.3); no date changes that."""
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
    """An attribute that objects must have. Of a structure, the fields that it has must match."""

    key: AttributeKey
    value: Item


@dataclass(frozen=True, slots=True)
class LocateQuery:
    """The criteria of Locate (KMIP 1.4 §4.9).

    Two criteria on the same date are a range. Destroyed objects are found only if the storage
    status mask or the criterion State asks for them.
    """

    owner: str
    criteria: tuple[Criterion, ...]
    now: datetime
    offset: int = 0
    maximum: int | None = None
    storage_status_mask: StorageStatusMask | None = None
    object_group_member: ObjectGroupMember | None = None
    limit: int | None = None
    """How many objects the search may look at, and find; about, as it depends on the criteria."""
    oldest_first: bool = False
    """Whether the oldest object comes first, instead of the newest."""


@dataclass(frozen=True, slots=True)
class Located:
    """The result of Locate: one page of identifiers, in the order of the query."""

    ids: tuple[str, ...]
    total: int | None
    """The number of objects on all pages; None if counting them would take too long."""


class Usage(NamedTuple):
    """How much an owner has in the store."""

    objects: int = 0
    """Objects that are not destroyed."""
    size: int = 0
    """Bytes of material and attributes; also those of destroyed objects, which keep attributes."""


class DueRotation(NamedTuple):
    """An object that the server is to rotate, unless its attributes say otherwise."""

    identifier: str
    owner: str
    object_type: ObjectType
    position: tuple[int, int]
    """Its place in the order of all."""


class Reader(ABC):
    """A view of the committed state. All methods raise StoreError if the store fails."""

    @abstractmethod
    def get(self, identifier: str) -> Record | None:
        """The object with this Unique Identifier. Damaged if it was changed in the database."""

    @abstractmethod
    def locate(self, query: LocateQuery) -> Located:
        """The objects that meet all criteria; SearchTooLong if the query does not permit so many."""

    @abstractmethod
    def find_by_name(self, owner: str, name: str) -> tuple[str, ...]:
        """The owner's objects that have this Name Value and are not destroyed; two at most.

        :meth:`locate` would find the same. This takes a single look-up, since every new object
        needs it.
        """

    @abstractmethod
    def setting(self, name: str) -> bytes | None:
        """What the server has stored for itself under this name. Damaged if it was changed.

        Settings are apart from the objects: no client can name, find or create one.
        """

    @abstractmethod
    def settings(self, prefix: str) -> dict[str, bytes]:
        """The settings whose names begin so, in the order of the names; see :meth:`setting`."""

    @abstractmethod
    def due_rotation(self, now: int, after: tuple[int, int]) -> DueRotation | None:
        """The object that is to be rotated first, of those after a position; (0, 0) for the first.

        ``now`` is in seconds since 1970. See :func:`kmipkit_server.store.rotation.rotation_time`.
        """


class Transaction(Reader):
    """A view with changes, which others see after the commit."""

    @abstractmethod
    def insert(self, record: Record) -> None:
        """Store a new object."""

    @abstractmethod
    def update(self, old: Record, new: Record) -> None:
        """Replace an object; only the differences are written."""

    @abstractmethod
    def remove(self, record: Record) -> None:
        """Delete an object with its attributes, as Obliterate and a replacing Import do."""

    @abstractmethod
    def set_setting(self, name: str, value: bytes | None) -> None:
        """Store something for the server itself; None removes it."""

    @abstractmethod
    def usage(self, owner: str) -> Usage:
        """How much an owner has, with the changes of this transaction; it takes no look-up."""

    @abstractmethod
    def note_time(self, now: datetime) -> None:
        """Note the time of a request, for :attr:`Store.newest_time`."""

    @abstractmethod
    def savepoint(self) -> AbstractContextManager[None]:
        """A part of the transaction that is rolled back if it ends with an exception."""


class Journal(Protocol):
    """What is written along with the changes of each transaction, such as an audit log."""

    def write(self, transaction: Transaction, results: Iterable[Any]) -> None:
        """Called before each commit, with the results of the work that it makes durable.

        A StoreError prevents the commit, and all of the work fails.
        """

    def rolled_back(self) -> None:
        """Called if the commit has failed, so that nothing of this work is durable."""


class Store(ABC):
    """A store, opened by one server. :meth:`serve` must be running."""

    journal: Journal | None = None
    """Set before :meth:`serve` runs."""

    @abstractmethod
    async def run(
        self,
        work: Callable[[Any], _Result | Steps[_Result]],
        *,
        writes: bool = False,
        slow: bool = False,
        account: str = "",
        on_commit: Callable[[_Result], None] | None = None,
    ) -> _Result:
        """Run ``work`` and return its result once all of its changes are durable.

        The store decides where the work runs: on the event loop, in a thread, or in a group with
        other work. The work gets a :class:`Transaction` if it writes, otherwise a :class:`Reader`;
        ``slow`` work takes more than a few milliseconds. An account has a share of what the store can
        do at the same time, and its further work waits for that; the server itself has no name. A
        store may run the work again after a
        conflict, so that the work must change nothing but the transaction. Other changes belong
        into ``on_commit``, which is called with the result right after the commit, in the order of
        the commits.

        The work may be a generator, which yields where others may go first, and returns the result.

        An exception of the work rolls its changes back, and is raised here. StoreError if the store
        fails.
        """

    @property
    @abstractmethod
    def newest_time(self) -> datetime:
        """The newest time that a transaction has noted; long ago if none has."""

    @property
    @abstractmethod
    def figures(self) -> StoreFigures:
        """The state of the store, for metrics."""

    @abstractmethod
    def derive_key(self, purpose: str) -> bytes:
        """32 secret bytes for a purpose; always the same ones, and protected by the root key."""

    @abstractmethod
    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the background work of the store until :meth:`stop`."""

    @abstractmethod
    async def stop(self) -> None:
        """Accept no more work; :meth:`serve` ends when the work that is queued is done."""

    @abstractmethod
    def close(self) -> None:
        """Release files and locks."""
