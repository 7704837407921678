"""One operation of a batch: who asks, in which version, when, and what earlier items have left."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn

from kmipkit.errors import OperationError
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import Data, Operation, ResultReason, UniqueIdentifier
from kmipkit.spec.versions import Version
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.multipart import (
    PATIENCE,
    Computation,
    DataPart,
    Part,
    is_last,
    is_part,
)
from kmipkit_server.engine.settings import Random, Settings
from kmipkit_server.identity.identity import Identity
from kmipkit_server.store.base import Reader, Transaction


class WriteRequired(Exception):
    """An operation that mostly only reads must write this time; the batch is run again for that."""


@dataclass(slots=True, eq=False)
class Call:
    """One operation in progress. What it returns counts for later items only if it succeeds."""

    batch: Batch
    operation: Operation
    identity: Identity
    version: Version
    now: datetime
    """The time of the request, in whole seconds."""
    store: Reader | Transaction
    identifiers: list[str] = field(default_factory=list)
    """Identifiers that this operation returns."""
    outputs: list[bytes] = field(default_factory=list)
    """Data that this operation returns."""

    @classmethod
    def of(cls, batch: Batch, operation: Operation) -> "Call":
        """The call of an item."""
        return cls(batch, operation, batch.identity, batch.version, batch.now, batch.store)

    @property
    def settings(self) -> Settings:
        """What the server says of itself."""
        return self.batch.settings

    @property
    def random(self) -> Random:
        """The source of random bytes."""
        return self.batch.settings.random

    @property
    def transaction(self) -> Transaction:
        """The store for writing; WriteRequired where the batch began by reading only."""
        if isinstance(self.store, Transaction):
            return self.store
        raise WriteRequired

    # --- what identifiers and data mean ----------------------------------------------------------

    def resolve(self, identifier: object) -> str:
        """The unique identifier that a request means: its text, the placeholder, or the nth."""
        if isinstance(identifier, NameReference):
            return self._named(identifier)
        if isinstance(identifier, str):
            return identifier
        if isinstance(identifier, int) and not isinstance(identifier, UniqueIdentifier):
            # Asked first: the symbol of the placeholder is a number, too, and equal to 1.
            try:
                return self.batch.identifiers[identifier]
            except IndexError:
                self.not_found(f"number {identifier} of this batch")
        if identifier is None or identifier == UniqueIdentifier.ID_PLACEHOLDER:
            if self.batch.placeholder is None:
                raise OperationError(
                    ResultReason.OBJECT_NOT_FOUND,
                    "no Unique Identifier is given, and no earlier item of the batch set one",
                )
            return self.batch.placeholder
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

    def data(self, given: object) -> bytes:
        """The data that a request means: bytes, or the output of an earlier item (2.1 §7.9)."""
        if isinstance(given, bytes):
            return given
        outputs = self.batch.outputs
        if isinstance(given, Data):
            source = self.batch.registry.with_output(given)
            for operation, output in reversed(outputs):
                if operation is source:
                    return output
            raise OperationError(
                ResultReason.INVALID_FIELD, f"no earlier item of the batch returned {given!s}"
            )
        if isinstance(given, int):
            try:
                return outputs[given][1]
            except IndexError:
                raise OperationError(
                    ResultReason.INVALID_FIELD, f"the batch has no data number {given}"
                ) from None
        raise OperationError(ResultReason.INVALID_FIELD, "Data is missing")

    def part_data(self, request: DataPart) -> bytes:
        """The data of a request; the last of several parts may have none (KMIP 1.4 §4.29)."""
        if request.data is None and is_part(request):
            return b""
        return self.data(request.data)

    # --- what the operation leaves for later items -----------------------------------------------

    def returns(self, identifier: str) -> str:
        """Note an identifier that this operation returns; the identifier itself."""
        self.identifiers.append(identifier)
        return identifier

    def returns_data(self, output: bytes) -> bytes:
        """Note data that this operation returns; the data themselves."""
        self.outputs.append(output)
        return output

    def resume(self, request: Part) -> Computation:
        """The computation that a later part goes on with."""
        assert request.correlation_value is not None
        return self.batch.computations.resume(
            self.identity.name, self.operation, request.correlation_value, self.now
        )

    def suspend(
        self, request: Part, context: object, identifier: str | None = None
    ) -> bytes | None:
        """Let a computation wait for its next part; the Correlation Value, None after the last."""
        if is_last(request):
            return None
        value = request.correlation_value or self.random(16)
        self.suspend_as(value, context, identifier)
        return value

    def suspend_as(self, value: bytes, context: object, identifier: str | None = None) -> None:
        """Let a computation wait under a Correlation Value."""
        waiting = Computation(
            self.identity.name, self.operation, identifier, context, self.now + PATIENCE
        )
        self.batch.computations.suspend(value, waiting, self.now)
