"""The interface of a store: records, queries, transactions.

A store knows nothing about operations. It stores records under their Unique Identifiers, finds them
by owner and attributes, and guarantees that what it has committed survives a crash.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import trio

from kmipkit.lifecycle import DESTROYED_STATES, effective_state
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.spec.enums import ObjectGroupMember, ObjectType, State
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.store.counters import StoreFigures
from kmipkit_server.store.slices import Steps

if TYPE_CHECKING:
    from kmipkit_server.store.key_rotation import Rotations


REVISION = "policy/revision"
"""The setting that changes whenever one of those does that each process keeps in memory, such as the
policies: see :mod:`kmipkit_server.store.revision`."""

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The expiry of what does not expire."""

_UNCHANGED: Any = object()
_DATES_OF_STATE: frozenset[AttributeKey] = frozenset({Tag.ACTIVATION_DATE, Tag.DEACTIVATION_DATE})
_Result = TypeVar("_Result")


class Written(NamedTuple):
    """The stored form of attributes that have no date of the state, and no rotation."""

    shared: tuple[Attribute, ...]
    """Those that it shares with others (:data:`.index.SHARED`)."""
    own: bytes
    """The others, packed."""
    places: tuple[tuple[str, int, int], ...]
    """Attribute, field and instance of their rows in the index."""
    values: list[bytes]
    """The values of these rows."""


class Record:
    """A stored object. It is immutable; attributes and material are read when they are first needed.

    ``stored_state`` is the state at the last write. Dates may have passed since then, so use
    :meth:`state_at` for decisions. ``material`` is the packed object, None once it is destroyed.
    """

    __slots__ = (
        "_attributes", "_material", "id", "object_type", "owner", "revision", "stored_state",
        "version", "written",
    )  # fmt: skip

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name
        owner: str,
        object_type: ObjectType,
        stored_state: State,
        attributes: Attributes | Callable[[], Attributes],
        material: bytes | Callable[[], bytes] | None,
        version: object = None,
        revision: bytes | None = None,
        written: Written | None = None,
    ) -> None:
        """Attributes and material may be functions that read them."""
        self.id = id
        self.owner = owner
        self.object_type = object_type
        self.stored_state = stored_state
        self._attributes = attributes
        self._material = material
        self.version = version
        """What is equal only for records with the same content, if the store has just read it; None
        for any other record. It has nothing of the material."""
        self.revision = revision
        """The setting :data:`REVISION` when the object was read, not verified; None if there is none."""
        self.written = written
        """The stored form of a new object's attributes, if its maker knows it."""

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
        attributes = self.attributes
        if not attributes.has_any(_DATES_OF_STATE):
            return self.stored_state
        activation = attributes.get(Tag.ACTIVATION_DATE)
        deactivation = attributes.get(Tag.DEACTIVATION_DATE)
        return effective_state(self.stored_state, activation, deactivation, now)

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

    def renamed(self, identifier: str) -> Self:
        """A copy with another Unique Identifier; it shares the material."""
        return type(self)(
            identifier,
            self.owner,
            self.object_type,
            self.stored_state,
            self._attributes,
            self._material,
            self.version,
            self.revision,
            self.written,
        )

    def replace(
        self,
        *,
        owner: str = _UNCHANGED,
        stored_state: State = _UNCHANGED,
        attributes: Attributes = _UNCHANGED,
        material: bytes | None = _UNCHANGED,
    ) -> Self:
        """A copy with other values."""
        return type(self)(
            self.id,
            self.owner if owner is _UNCHANGED else owner,
            self.object_type,
            self.stored_state if stored_state is _UNCHANGED else stored_state,
            self._attributes if attributes is _UNCHANGED else attributes,
            self._material if material is _UNCHANGED else material,
            revision=self.revision,
        )


class Entry:
    """State of the server that outlives a request, such as a ticket or an asynchronous request.

    It is found by its kind and key, belongs to an account, and ends at a time. It is immutable.
    """

    __slots__ = ("_content", "expires", "is_secret", "key", "kind", "owner")

    def __init__(
        self,
        kind: str,
        key: bytes,
        owner: str,
        expires: datetime,
        content: bytes | Callable[[], bytes],
        *,
        is_secret: bool = False,
    ) -> None:
        """The content may be a function that opens it."""
        self.kind = kind
        """What it is; a fixed name."""
        self.key = key
        """What identifies it among those of its kind."""
        self.owner = owner
        """The account to which it belongs, by its whole name."""
        self.expires = expires
        """When it ends, in whole seconds; :data:`NEVER` for what has no end. It is removed some time
        later (:meth:`Transaction.remove_expired`): who reads it must compare."""
        self._content = content
        self.is_secret = is_secret
        """Whether the store encrypts the content like the material of an object. What is not secret is
        authenticated only."""

    def __repr__(self) -> str:
        return f"Entry({self.kind!r}, {self.owner!r})"  # the key may be what a client must show

    @property
    def content(self) -> bytes:
        """What is stored. Damaged if it was changed in the database."""
        if callable(self._content):
            self._content = self._content()
        return self._content

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not ended."""
        return self.expires >= now

    def replace(self, content: bytes, *, kind: str | None = None) -> "Entry":
        """A copy with another content, and perhaps of another kind."""
        return Entry(
            kind or self.kind, self.key, self.owner, self.expires, content, is_secret=self.is_secret
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
class Share:
    """Objects of other owners, among which a search looks as well."""

    owners: tuple[str, ...]
    criteria: tuple[Criterion, ...] = ()
    """What they have in addition to the criteria of the query."""


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

    @property
    def transaction(self) -> "Transaction | None":
        """The view itself if it can be changed; each request asks, which isinstance() makes dear."""
        return None

    @abstractmethod
    def get(self, identifier: str) -> Record | None:
        """The object with this Unique Identifier. Damaged if it was changed in the database."""

    @abstractmethod
    def locate(self, query: LocateQuery) -> Located:
        """The objects that meet all criteria; SearchTooLong if the query does not permit so many."""

    @abstractmethod
    def locate_permitted(
        self, query: LocateQuery, shares: Sequence[Share], permits: Callable[[Record], bool]
    ) -> Located:
        """The same, of those that a function permits, and also among objects of other owners.

        The function is asked about each object that is found, until the page is full. SearchTooLong
        also if these are too many.
        """

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
    def entry(self, kind: str, key: bytes) -> Entry | None:
        """The entry of a kind with this key, even if it has expired. Damaged if it was changed."""

    @abstractmethod
    def entries(self, kind: str, owner: str | None = None) -> tuple[Entry, ...]:
        """The entries of a kind, or only those of one owner, in the order of their keys."""

    @abstractmethod
    def entry_owners(self, kind: str, now: datetime) -> dict[str, int]:
        """Who has entries of a kind that have not expired, and how many."""

    @abstractmethod
    def owners(self, tenant: str) -> tuple[str, ...]:
        """The owners of a tenant that have, or have had, objects, in the order of their names."""

    @abstractmethod
    def objects_of(self, owner: str, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """The identifiers of an owner's objects in all states, oldest first: a page of them.

        ``after`` is the last one of the page before.
        """

    @abstractmethod
    def due_rotation(self, now: int, after: tuple[int, int]) -> DueRotation | None:
        """The object that is to be rotated first, of those after a position; (0, 0) for the first.

        ``now`` is in seconds since 1970. See :func:`kmipkit_server.store.rotation.rotation_time`.
        """


class Transaction(Reader):
    """A view with changes, which others see after the commit."""

    @property
    def transaction(self) -> "Transaction":
        """Itself."""
        return self

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
    def put_entry(self, entry: Entry, *, is_new: bool = False) -> None:
        """Store an entry, instead of one of the same kind and key.

        ``is_new`` says that there is none, which saves looking for it.
        """

    @abstractmethod
    def remove_entry(self, kind: str, key: bytes) -> None:
        """Remove an entry, if there is one."""

    @abstractmethod
    def keep_newest_entries(self, kind: str, owner: str, number: int) -> None:
        """Remove an owner's entries of a kind, but for so many with the highest keys."""

    @abstractmethod
    def remove_expired(self, kind: str, now: datetime) -> None:
        """Remove the entries of a kind that have expired."""

    @abstractmethod
    def usage(self, owner: str) -> Usage:
        """How much an owner has, with the changes of this transaction."""

    @abstractmethod
    def usage_of_tenant(self, tenant: str) -> Usage:
        """How much the accounts of a tenant have together, with its own objects."""

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

    is_shared: ClassVar[bool] = False
    """Whether other servers may use it at the same time."""
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
    async def usages(self) -> dict[str, Usage]:
        """How much each owner has that has anything. StoreError if the store fails."""

    @property
    @abstractmethod
    def rotations(self) -> "Rotations":
        """How the keys that protect the store are rotated."""

    @abstractmethod
    def derive_key(self, purpose: str) -> bytes:
        """32 secret bytes for a purpose; always the same ones, and protected by the root key."""

    @abstractmethod
    async def run_alone(self, job: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run a task while this process is the only one that has this job, of all that use the store.

        If another one has it, this waits. If the store takes the job away, as when the connection to
        it is lost, the task is cancelled, and begins again later. This ends when the task returns.
        """

    @abstractmethod
    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the background work of the store until :meth:`stop`."""

    @abstractmethod
    async def stop(self) -> None:
        """Accept no more work; :meth:`serve` ends when the work that is queued is done."""

    @abstractmethod
    def close(self) -> None:
        """Release files and locks."""
