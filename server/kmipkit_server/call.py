"""What a handler may use: who asks, in which version, when, and the objects of the store.

A :class:`Call` lives for one batch item. Loading an object resolves the identifier (or the ID
Placeholder), checks the policy and refuses what does not exist, in one place for all operations.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from kmipkit.errors import OperationError
from kmipkit.spec.enums import Operation, ResultReason, UniqueIdentifier
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit_server import policy
from kmipkit_server.identity import Identity
from kmipkit_server.managed import Managed
from kmipkit_server.store.base import Reader, Transaction

Random = Callable[[int], bytes]


class WriteRequired(Exception):
    """An operation that only reads as a rule must write this time; it is run again so."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the server says of itself, and where it takes randomness from."""

    vendor: str
    server_name: str
    software_version: str
    random: Random
    versions: tuple[Version, ...]
    unique_names: bool = True
    """Whether a Name may be given to one object of an owner only (KMIP 1.4 §3.2)."""
    lease_seconds: int = 3600
    """Lease Time of new objects (KMIP 1.4 §3.20)."""


@dataclass(slots=True)
class Call:
    """One operation in progress."""

    identity: Identity
    version: Version
    now: datetime
    """The time of the request, in whole seconds."""
    store: Reader | Transaction
    facts: Facts
    operation: Operation | None = None
    placeholder: str | None = None
    """The ID Placeholder of the batch (KMIP 1.4 §4)."""
    earlier: list[str] = field(default_factory=list)
    """Identifiers that earlier items of the batch have returned (KMIP 2.1 §4.58)."""
    alone: bool = False
    """Whether this is the only operation of its message."""

    @property
    def transaction(self) -> Transaction:
        """The store for writing; WriteRequired where the call began by reading only."""
        if isinstance(self.store, Transaction):
            return self.store
        raise WriteRequired

    def resolve(self, identifier: object) -> str:
        """The unique identifier that a request means: its text, the placeholder, or the nth."""
        if isinstance(identifier, str):
            return identifier
        if identifier is None or identifier == UniqueIdentifier.ID_PLACEHOLDER:
            if self.placeholder is None:
                raise OperationError(
                    ResultReason.OBJECT_NOT_FOUND,
                    "no Unique Identifier is given, and no earlier item of the batch set one",
                )
            return self.placeholder
        if isinstance(identifier, int) and not isinstance(identifier, UniqueIdentifier):
            try:
                return self.earlier[identifier]
            except IndexError:
                self.not_found(f"number {identifier} of this batch")
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, f"{identifier!s} cannot stand for an object here"
        )

    def not_found(self, identifier: str) -> NoReturn:
        """Refuse: no such object."""
        raise OperationError(
            ResultReason.OBJECT_NOT_FOUND, f"no object has the Unique Identifier {identifier!r}"
        )

    def load(self, identifier: object) -> Managed:
        """The object that a request names.

        Raises OperationError: Object Not Found, or Permission Denied by the policy.
        """
        name = self.resolve(identifier)
        record = self.store.get(name)
        if record is None:
            self.not_found(name)
        assert self.operation is not None
        policy.require(self.identity, self.operation, record.owner)
        return Managed(record, self.now)

    def load_for_change(self, identifier: object) -> Managed:
        """Like :meth:`load`, inside the transaction that will change the object."""
        assert self.transaction
        return self.load(identifier)

    def save(self, old: Managed, new: Managed) -> None:
        """Write a changed object; what changed counts as changed now (KMIP 1.4 §3.38)."""
        dated = new.with_attribute(Tag.LAST_CHANGE_DATE, self.now)
        self.transaction.update(old.record, dated.record)

    def returned(self, identifier: str) -> str:
        """Note that this operation returns an identifier: the placeholder of what follows."""
        self.placeholder = identifier
        self.earlier.append(identifier)
        return identifier
