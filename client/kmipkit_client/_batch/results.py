"""Results that do not exist yet, and references to them in later items of the same batch.

KMIP 1.x has the ID Placeholder: an item without Unique Identifier means the object that the last item
made or found (KMIP 1.4 §4). KMIP 2.x also counts the identifiers in the response, here backwards from
the item that refers to them (KMIP 2.1 §4.58). The form is chosen when the message is made, since only
then the version is known.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from kmipkit.model import operations
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import Operation, UniqueIdentifier
from kmipkit.spec.versions import V2_0, Version
from kmipkit_client.calls import Call
from kmipkit_client.errors import ClientError, OperationFailed
from kmipkit_client.values import KeyPair, Located

T = TypeVar("T")

SETS_PLACEHOLDER = frozenset(
    {
        Operation.CREATE,
        Operation.CREATE_KEY_PAIR,
        Operation.REGISTER,
        Operation.RE_KEY,
        Operation.RE_KEY_KEY_PAIR,
        Operation.DERIVE_KEY,
        Operation.CERTIFY,
        Operation.RE_CERTIFY,
        Operation.LOCATE,
        Operation.RECOVER,
        Operation.CREATE_SPLIT_KEY,
        Operation.JOIN_SPLIT_KEY,
        Operation.IMPORT,
        Operation.EXPORT,
        Operation.RE_PROVISION,
        Operation.CREATE_USER,
        Operation.CREATE_GROUP,
        Operation.CREATE_CREDENTIAL,
    }
)
"""Operations after which the ID Placeholder is their object (KMIP 1.4 §4.1 to §4.41)."""


class Result(Generic[T]):
    """The result of an item of a batch. Later items of the batch can use it as an identifier."""

    def __init__(self, batch: object, operation: Operation, position: int) -> None:
        self.batch = batch
        self.operation = operation
        self.position = position
        """Its place in the batch, from 0."""
        self._outcome: T | OperationFailed | None = None
        self.is_known = False
        """Whether the batch was sent."""

    def __repr__(self) -> str:
        state = "known" if self.is_known else "not known yet"
        return f"<Result of {self.operation.name}: {state}>"

    def set(self, outcome: T | OperationFailed) -> None:
        """Note what the server has responded."""
        self._outcome, self.is_known = outcome, True

    @property
    def error(self) -> OperationFailed | None:
        """Why the item failed; None if it succeeded. ClientError before the end of the batch."""
        outcome = self._known()
        return outcome if isinstance(outcome, OperationFailed) else None

    @property
    def value(self) -> T:
        """The result.

        Raises:
            OperationFailed: the item failed.
            ClientError: the batch was not sent yet.
        """
        outcome = self._known()
        if isinstance(outcome, OperationFailed):
            raise outcome
        value: T = outcome
        return value

    def _known(self) -> Any:
        if not self.is_known:
            raise ClientError(
                f"the result of {self.operation.name} is known when the batch has ended: leave the"
                " with block first"
            )
        return self._outcome


class Reference(str):
    """Stands for the identifier of an object that an earlier item makes or finds."""

    __slots__ = ("result",)
    result: Result[Any]


def reference(identifier: "str | Result[Any]") -> str:
    """An identifier, or what stands for the object of an earlier item until the message is made."""
    if not isinstance(identifier, Result):
        return identifier
    if identifier.is_known:
        return _identifier(identifier.value)
    stand_in = Reference(f"the object of item {identifier.position}")
    stand_in.result = identifier
    return stand_in


def _identifier(value: Any) -> str:
    """The identifier of the object that a result of another batch is about."""
    if isinstance(value, KeyPair):
        return value.private
    if isinstance(value, Located) and len(value.ids) == 1:
        return value.ids[0]
    if isinstance(value, str):
        return value
    raise ClientError("the result is not about one object; use a part of its value")


def resolved(
    payload: Structure, version: Version, before: Sequence[Call[Any]], batch: object
) -> Structure:
    """A payload of a batch with its references in the form of a version.

    ``before`` are the earlier items.

    Raises:
        ClientError: the version cannot express a reference.
    """
    changes = {
        field.name: _resolve(getattr(payload, field.name).result, version, before, batch)
        for field in dataclasses.fields(payload)
        if isinstance(getattr(payload, field.name), Reference)
    }
    return payload.replace(**changes) if changes else payload


def _resolve(
    result: Result[Any], version: Version, before: Sequence[Call[Any]], batch: object
) -> Any:
    if result.batch is not batch:
        raise ClientError(
            f"the result of {result.operation.name} belongs to another batch, which was not sent yet"
        )
    setting = [
        position for position, call in enumerate(before) if call.operation in SETS_PLACEHOLDER
    ]
    if setting and setting[-1] == result.position:
        return None if version < V2_0 else UniqueIdentifier.ID_PLACEHOLDER
    counts = [_identifiers(call.operation, version) for call in before[result.position :]]
    if version < V2_0 or None in counts or not counts[0]:
        raise ClientError(
            f"KMIP {version} cannot refer to the object of {result.operation.name} at this place in"
            " a batch: move the items that use it directly behind it, or send them in another batch"
        )
    return -sum(count for count in counts if count)


def _identifiers(operation: Operation, version: Version) -> int | None:
    """How many identifiers a response has; None if that depends on the objects."""
    payload = operations.response_payload(operation, version)
    if payload is None:
        return None
    names = [field.name for field in dataclasses.fields(payload)]
    if "unique_identifiers" in names:
        return None
    return sum(name.endswith("unique_identifier") for name in names)
