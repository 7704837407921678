"""Operations in several parts: computations that wait for the next part (KMIP 2.1 §6, §7.8).

The first part has an Init Indicator, all later ones the Correlation Value of the first answer, the
last one a Final Indicator. A computation waits in memory only, for a limited time, for its owner.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from kmipkit.errors import OperationError
from kmipkit.spec.enums import Operation, ResultReason

LIMIT = 1024
"""Computations that wait at most, of all clients."""

PATIENCE = timedelta(minutes=10)
"""How long one waits for its next part."""


class Part(Protocol):
    """The fields by which a request says that it is a part."""

    @property
    def correlation_value(self) -> bytes | None: ...
    @property
    def init_indicator(self) -> bool | None: ...
    @property
    def final_indicator(self) -> bool | None: ...


class DataPart(Part, Protocol):
    """A request with data, perhaps a part of several."""

    @property
    def data(self) -> object: ...


class KeyedPart(DataPart, Protocol):
    """A request that also names a key."""

    @property
    def unique_identifier(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Computation:
    """A computation that waits."""

    owner: str
    operation: Operation
    identifier: str | None
    """The key that it was begun with."""
    context: Any
    """What the operation goes on with, such as a cipher that has seen the first parts."""
    expires: datetime


def is_part(request: object) -> bool:
    """Whether a request is one of several, so that answering it changes something.

    One with both indicators and no Correlation Value is the only one (KMIP 2.1 §6).
    """
    if getattr(request, "correlation_value", None) is not None:
        return True
    begins = getattr(request, "init_indicator", None)
    return bool(begins and not getattr(request, "final_indicator", None))


def is_last(request: Part) -> bool:
    """Whether nothing follows."""
    return bool(request.final_indicator) or not is_part(request)


class Computations:
    """The rules of waiting, over the table of a batch and the one that all batches share."""

    def __init__(
        self,
        table: MutableMapping[bytes, Computation],
        shared: MutableMapping[bytes, Computation],
    ) -> None:
        self._table = table
        self._shared = shared

    def resume(self, owner: str, operation: Operation, value: bytes, now: datetime) -> Computation:
        """The computation of a Correlation Value, which waits no longer.

        A cipher or hash that has seen another part has no way back. So a computation leaves the
        shared table at once: if the batch that goes on with it fails, the computation has ended.

        OperationError: Invalid Correlation Value for one that is unknown, over, another's or of
        another operation.
        """
        found = self.peek(owner, operation, value, now)
        if found is None:
            raise OperationError(
                ResultReason.INVALID_CORRELATION_VALUE,
                "no operation in several parts waits with this Correlation Value",
            )
        del self._table[value]
        self._shared.pop(value, None)
        return found

    def peek(
        self, owner: str, operation: Operation, value: bytes | None, now: datetime
    ) -> Computation | None:
        """The computation of a Correlation Value, which goes on waiting; None if there is none.

        For contexts that are copied before they change.
        """
        self._remove_expired(now)
        found = self._table.get(value) if value is not None else None
        is_meant = found is not None and found.owner == owner and found.operation == operation
        return found if is_meant else None

    def end(self, value: bytes) -> None:
        """Forget a computation."""
        self._table.pop(value, None)

    def suspend(self, value: bytes, computation: Computation, now: datetime) -> None:
        """Let a computation wait. OperationError: Server Limit Exceeded if too many wait."""
        self._remove_expired(now)
        if value not in self._table and len(self._table) >= LIMIT:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                f"{LIMIT} operations in several parts are waiting already",
            )
        self._table[value] = computation

    def _remove_expired(self, now: datetime) -> None:
        expired = [value for value, waiting in self._table.items() if waiting.expires < now]
        for value in expired:
            del self._table[value]
