"""What a handler may use: who asks, in which version, when, and the objects of the store.

A :class:`Call` lives for one batch item. Loading an object resolves the identifier (or the ID
Placeholder), checks the policy and refuses what does not exist, in one place for all operations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

from kmipkit.errors import OperationError
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import Data, Operation, ResultReason, UniqueIdentifier
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit_server.engine.multipart import Part, is_last, is_part
from kmipkit_server.engine.state import Memory
from kmipkit_server.identity.certificate import Identity
from kmipkit_server.objects.managed import Managed
from kmipkit_server.policy import rules
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
    anchors: tuple[bytes, ...] = ()
    """Certificates in DER at which a chain may end that Validate calls valid."""
    withheld: frozenset[Operation] = frozenset()
    """Operations that there are, and that this server does not offer."""


class _DataPart(Part, Protocol):
    """A request with data, perhaps a part of several."""

    @property
    def data(self) -> object: ...


class _KeyedPart(_DataPart, Protocol):
    """One that names a key besides."""

    @property
    def unique_identifier(self) -> object: ...


_GIVES: Mapping[Data, Operation] = MappingProxyType(
    {
        Data.DECRYPT: Operation.DECRYPT,
        Data.ENCRYPT: Operation.ENCRYPT,
        Data.HASH: Operation.HASH,
        Data.MAC_MAC_DATA: Operation.MAC,
        Data.RNG_RETRIEVE: Operation.RNG_RETRIEVE,
        Data.SIGN_SIGNATURE_DATA: Operation.SIGN,
        Data.SIGNATURE_VERIFY: Operation.SIGNATURE_VERIFY,
    }
)
"""The operation whose output an enumeration means, the last one of the batch (2.1 §11.12)."""


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
    outputs: list[tuple[Operation, bytes]] = field(default_factory=list)
    """Data that earlier items of the batch have given out, and by which operation (2.1 §7.9)."""
    memory: Memory = field(default_factory=Memory)
    """What is kept in memory for all connections."""

    @property
    def transaction(self) -> Transaction:
        """The store for writing; WriteRequired where the call began by reading only."""
        if isinstance(self.store, Transaction):
            return self.store
        raise WriteRequired

    def resolve(self, identifier: object) -> str:
        """The unique identifier that a request means: its text, the placeholder, or the nth."""
        if isinstance(identifier, NameReference):
            return self._named(identifier)
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

    def _named(self, name: NameReference) -> str:
        """The object of the caller that has a name (3.0)."""
        found = list(self.store.named(self.identity.name, name))
        if len(found) != 1:
            raise OperationError(
                ResultReason.OBJECT_NOT_FOUND, f"{len(found)} objects have the name {name!s}"
            )
        return found[0]

    def not_found(self, identifier: str) -> NoReturn:
        """Refuse: no such object."""
        raise OperationError(
            ResultReason.OBJECT_NOT_FOUND, f"no object has the Unique Identifier {identifier!r}"
        )

    def load(self, identifier: object) -> Managed:
        """The object that a request names.

        Raises OperationError: Object Not Found, Permission Denied by the policy, or Object Archived:
        "any archived object SHALL first be made available by a Recover operation" (KMIP 1.4 §4).
        """
        name = self.resolve(identifier)
        record = self.store.get(name)
        if record is None:
            self.not_found(name)
        assert self.operation is not None
        rules.require(self.identity, self.operation, record.owner, record.id)
        if record.is_archived and self.operation is not Operation.RECOVER:
            raise OperationError(
                ResultReason.OBJECT_ARCHIVED, "the object is archived; recover it first"
            )
        return Managed(record, self.now)

    def load_for_use(self, request: "_KeyedPart") -> tuple[Managed, Any]:
        """The key of a cryptographic operation, and the computation that the request goes on with.

        The computation is None for a first part and for a single one. A later part need not name
        the key again, and may not name another one.
        """
        if request.correlation_value is None:
            return self.load(request.unique_identifier), None
        state, identifier = self.resume(request)
        managed = self.load(request.unique_identifier or identifier)
        if managed.id != identifier:
            raise OperationError(
                ResultReason.INVALID_CORRELATION_VALUE,
                "the operation of this Correlation Value was begun with another key",
            )
        return managed, state

    def resume(self, request: Part) -> tuple[Any, str | None]:
        """The computation that a later part goes on with, and the key that it was begun with."""
        assert request.correlation_value is not None
        return self.memory.streams.take(
            self.identity.name, self.operation, request.correlation_value, self.now
        )

    def keep(self, request: Part, state: object, identifier: str | None = None) -> bytes | None:
        """Let a computation wait for its next part; the Correlation Value, None after the last."""
        if is_last(request):
            return None
        value = request.correlation_value or self.facts.random(16)
        self.memory.streams.keep(
            value, self.identity.name, self.operation, identifier, state, self.now
        )
        return value

    def data(self, given: object) -> bytes:
        """The data that a request means: bytes, or what an earlier item gave out (2.1 §7.9)."""
        if isinstance(given, bytes):
            return given
        if isinstance(given, Data):
            for operation, output in reversed(self.outputs):
                if operation is _GIVES.get(given):
                    return output
            raise OperationError(
                ResultReason.INVALID_FIELD, f"no earlier item of the batch gave out {given!s}"
            )
        if isinstance(given, int):
            try:
                return self.outputs[given][1]
            except IndexError:
                raise OperationError(
                    ResultReason.INVALID_FIELD, f"the batch has no data number {given}"
                ) from None
        raise OperationError(ResultReason.INVALID_FIELD, "Data is missing")

    def part(self, request: "_DataPart") -> bytes:
        """The data of a request; the last of several parts may have none (KMIP 1.4 §4.29)."""
        if request.data is None and is_part(request):
            return b""
        return self.data(request.data)

    def gave(self, output: bytes | None) -> bytes | None:
        """Note data that this operation gives out; itself."""
        if output is not None and self.operation is not None:
            self.outputs.append((self.operation, output))
        return output

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
