"""One operation of a batch: its client, version and time, and the results of earlier items."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NoReturn, TypeVar

from kmipkit.errors import OperationError
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import Data, Operation, ResultReason, UniqueIdentifier
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.computing import Task
from kmipkit_server.engine.exchange import Notice
from kmipkit_server.engine.multipart import (
    LIFETIME,
    Computation,
    DataPart,
    Part,
    is_last,
    is_part,
)
from kmipkit_server.engine.part_places import NONCE_SIZE
from kmipkit_server.engine.repeatable import Repeatable
from kmipkit_server.engine.settings import Random, Settings
from kmipkit_server.policy.decision import Documents
from kmipkit_server.policy.obligations import Obligation
from kmipkit_server.store.base import Record, Transaction
from kmipkit_server.store.revision import set_shared

_Result = TypeVar("_Result")


class WriteRequired(Exception):
    """An operation on a read-only view must write: the batch runs again, in a transaction."""


class SeparateChange(Exception):
    """A change that is to stay although the operation is refused.

    It is made in a transaction of its own, and then the batch runs again and finds it.
    """

    def __init__(self, change: Callable[[Transaction], None]) -> None:
        super().__init__()
        self.change = change


class Call:
    """One operation in progress. Later items see what it returns only if it succeeds."""

    __slots__ = (
        "batch", "decided", "documents", "has_loaded", "identifiers", "identity", "inputs", "named",
        "notes", "now", "obligations", "operation", "outputs", "quotas", "repeatable", "store",
        "touched", "version",
    )  # fmt: skip

    def __init__(self, batch: Batch, operation: Operation) -> None:
        self.batch = batch
        self.operation = operation
        self.identity = batch.identity
        self.version = batch.version
        self.now = batch.now
        """The time of the request, in whole seconds."""
        self.store = batch.store
        self.identifiers: tuple[str, ...] = ()
        """Identifiers that this operation returns."""
        self.named: tuple[str, ...] = ()
        """Identifiers that the request names."""
        self.outputs: tuple[bytes, ...] = ()
        """Data that this operation returns."""
        self.has_loaded = False
        """Whether it has loaded an object that the identity may use."""
        self.decided: tuple[tuple[str, object], ...] = ()
        """What the policy has permitted: an object by its identifier, and what is done with it."""
        self.touched: tuple[Record, ...] = ()
        """The objects that were loaded under a policy: at first as they were before the operation."""
        self.quotas: tuple[Any, ...] = ()
        """What the account and its tenant had in the store before the operation, as a hook notes it."""
        self.documents: Documents | None = None
        """The policies in force, once they have been looked up for this operation."""
        self.obligations: tuple[tuple[Obligation, Record | None], ...] = ()
        """What the policy asks for besides, each with the existing object that it is about."""
        self.inputs: tuple[str, ...] = ()
        """Digests of the earlier results that the request refers to."""
        self.notes: tuple[Notice, ...] = ()
        """What the policy had to say about the operation, such as that it will be refused later."""
        self.repeatable: Repeatable | None = None
        """That the response may be given again, if the operation has said so."""

    @property
    def settings(self) -> Settings:
        """The settings of the server."""
        return self.batch.server.settings

    @property
    def random(self) -> Random:
        """The source of random bytes for a function that may run elsewhere; see also :meth:`draw`."""
        return self.batch.server.settings.random

    @property
    def transaction(self) -> Transaction:
        """The store for writing; raises WriteRequired if the batch runs on a read-only view."""
        transaction = self.batch.transaction
        if transaction is None:
            raise WriteRequired
        return transaction

    @property
    def optional_transaction(self) -> Transaction | None:
        """The store for writing what can be noted another time; None if it cannot write now."""
        return self.transaction if self.batch.can_write else None

    def compute(self, function: Callable[..., _Result], *arguments: Any, cost: float) -> _Result:
        """The result of a pure function, which is computed elsewhere if that takes long.

        ``function`` is one of a module, and all arguments can be pickled and compared. ``cost`` is an
        estimate in milliseconds. See :mod:`kmipkit_server.engine.computing`.
        """
        return self.batch.computing.compute(function, *arguments, cost=cost)

    def compute_in_place(self, key: tuple[Any, ...], function: Callable[[], _Result]) -> _Result:
        """The result of a function that takes little time, for arguments that cannot be compared.

        ``key`` is compared in their place: later runs of the message have the same result.
        """
        return self.batch.computing.repeat(Task(Call.compute_in_place, key), function)

    def draw(self, count: int) -> bytes:
        """Random bytes, which are the same in all runs of the message."""
        return self.batch.computing.draw(self.batch.server.settings.random, count)

    def remember(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """The result of a function whose results differ, such as a new key: the same in all runs.

        Arguments of :meth:`compute` must be so: a computation with others would be another one.
        """
        return self.batch.computing.remember(function, *arguments)

    def set_shared(self, name: str, value: bytes | None) -> None:
        """Store a setting that processes keep in memory: all of them know it after the commit."""
        set_shared(self.transaction, name, value)
        self.batch.has_changed_state = True

    def note(self, notice: Notice) -> None:
        """Note what the policy had to say about the operation, for the audit and others."""
        if notice not in self.notes:
            self.notes += (notice,)

    # --- references to objects and data ----------------------------------------------------------

    def resolve(self, identifier: object) -> str:
        """The Unique Identifier that a field of a request refers to.

        The field has the identifier itself, a name (3.0), the index of an identifier that this
        batch has returned (2.x), or nothing for the ID Placeholder.
        """
        resolved = self._resolve(identifier)
        self.named += (resolved,)
        return resolved

    def _resolve(self, identifier: object) -> str:
        if isinstance(identifier, str):
            if isinstance(identifier, NameReference):
                return self._named(identifier)
            return identifier
        if isinstance(identifier, int) and not isinstance(identifier, UniqueIdentifier):
            # Before the placeholder, whose symbol is an int, too, and equals the index 1.
            try:
                return self.batch.identifiers[identifier]
            except IndexError:
                self.not_found(f"number {identifier} of this batch")
        if identifier is None or identifier == UniqueIdentifier.ID_PLACEHOLDER:
            if self.batch.placeholder is None:
                raise OperationError(
                    ResultReason.OBJECT_NOT_FOUND,
                    "the request has no Unique Identifier, and the ID Placeholder is empty",
                )
            return self.batch.placeholder
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED,
            f"{identifier!s} is not supported as Unique Identifier of this operation",
        )

    def _named(self, name: NameReference) -> str:
        """The client's object with this name (3.0)."""
        identifiers = self.store.find_by_name(self.identity.name, name)
        if len(identifiers) != 1:
            number = "several objects have" if identifiers else "no object has"
            raise OperationError(ResultReason.OBJECT_NOT_FOUND, f"{number} the Name {name!s}")
        return identifiers[0]

    def not_found(self, identifier: str) -> NoReturn:
        """Raise Object Not Found."""
        raise OperationError(
            ResultReason.OBJECT_NOT_FOUND, f"no object has the Unique Identifier {identifier!r}"
        )

    def data(self, field: object) -> bytes:
        """The data in a field of a request, or the earlier output it refers to (KMIP 2.1 §7.9)."""
        if isinstance(field, bytes):
            return field
        outputs = self.batch.outputs
        if isinstance(field, Data):
            source = self.batch.server.registry.with_output(field)
            for operation, output in reversed(outputs):
                if operation is source:
                    return self._input(output)
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"no earlier item of the batch has returned the Data {title(field)}",
            )
        if isinstance(field, int):
            try:
                return self._input(outputs[field][1])
            except IndexError:
                raise OperationError(
                    ResultReason.INVALID_FIELD,
                    f"Data refers to output {field} of the batch, which has {len(outputs)}",
                ) from None
        raise OperationError(ResultReason.INVALID_FIELD, "Data is missing")

    def _input(self, output: bytes) -> bytes:
        """An earlier result to which the request refers."""
        self.inputs += (sha256(output).hexdigest(),)
        return output

    def part_data(self, request: DataPart) -> bytes:
        """The data of a request; the last of several parts may have none (KMIP 1.4 §4.29)."""
        if request.data is None and is_part(request):
            return b""
        return self.data(request.data)

    # --- results for later items -----------------------------------------------------------------

    def returns(self, identifier: str) -> str:
        """Record an identifier that this operation returns, so that later items can refer to it."""
        self.identifiers += (identifier,)
        return identifier

    def returns_data(self, output: bytes) -> bytes:
        """Record data that this operation returns, so that later items can refer to it."""
        self.outputs += (output,)
        return output

    def resume(self, request: DataPart) -> Computation:
        """The computation that a later part continues."""
        value = request.correlation_value
        assert value is not None
        part = b""
        if self.operation is Operation.ENCRYPT:
            final = b"\1" if request.final_indicator else b"\0"
            part = sha256(final + self.part_data(request)).digest()
        try:
            computation = self.batch.computations.resume(
                self.identity.holder,
                self.operation,
                value,
                self.now,
                part=part,
                may_be_undone=not self.batch.is_single,
            )
        except OperationError as error:
            elsewhere = self._where_parts_are(value)
            raise OperationError(error.reason, elsewhere or error.message) from None
        self.batch.computing.resumes(value, computation)
        return computation

    def _where_parts_are(self, value: bytes) -> str:
        """Why another process has, or had, the parts of an operation; empty if this one has made it."""
        places = self.batch.server.state.part_places
        place = places.place(value)
        if place is None or place == places.own:
            return ""
        if place.node != places.own.node:
            return (
                "another node of the server has the earlier parts of the operation: send all parts of an"
                " operation over one connection, or to the same node"
            )
        return (
            "another process of the server has the earlier parts of the operation, or had them before it"
            " ended; a message can go on with the operations of one process only"
        )

    def suspend(
        self, request: Part, context: object, identifier: str | None = None
    ) -> bytes | None:
        """Keep a computation for its next part; the Correlation Value, None after the last part."""
        if is_last(request):
            return None
        if not Tag.CORRELATION_VALUE.known_in(self.version):
            # Without a Correlation Value, the client could not send the next part, and would lose
            # what waits for it.
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"KMIP {self.version} has no operations in several parts",
            )
        value = request.correlation_value or self.part_value(self.random(NONCE_SIZE))
        self.suspend_as(value, context, identifier)
        return value

    def part_value(self, nonce: bytes) -> bytes:
        """A new Correlation Value, from random bytes; it names this process."""
        return self.batch.server.state.part_places.value(nonce)

    def suspend_as(self, value: bytes, context: object, identifier: str | None = None) -> None:
        """Keep a computation under a Correlation Value."""
        computation = Computation(
            self.identity.holder, self.operation, identifier, context, self.now + LIFETIME
        )
        self.batch.computations.suspend(value, computation, self.now)
