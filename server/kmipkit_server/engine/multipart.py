"""Operations in several parts: computations that wait for the next part (KMIP 2.1 §6, §7.8).

The first part has an Init Indicator, all later ones the Correlation Value of the first answer, the
last one a Final Indicator. What waits is kept in memory only, for a while, and for its owner. A
computation has no way back: a batch that is undone does not undo it.
"""

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


@dataclass(slots=True)
class _Waiting:
    owner: str
    operation: Operation | None
    identifier: str | None
    state: Any
    until: datetime


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


class Streams:
    """The computations that wait."""

    def __init__(self, limit: int = LIMIT, patience: timedelta = PATIENCE) -> None:
        self._limit = limit
        self._patience = patience
        self._waiting: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def take(
        self, owner: str, operation: Operation | None, value: bytes, now: datetime
    ) -> tuple[Any, str | None]:
        """The computation of a Correlation Value and the object it works with; it waits no more.

        Raises OperationError: Invalid Correlation Value for one that is unknown, over, another's or
        of another operation.
        """
        self._forget_late(now)
        found = self._waiting.get(value)
        if found is None or found.owner != owner or found.operation != operation:
            raise OperationError(
                ResultReason.INVALID_CORRELATION_VALUE,
                "no operation in several parts waits with this Correlation Value",
            )
        del self._waiting[value]
        return found.state, found.identifier

    def keep(
        self,
        value: bytes,
        owner: str,
        operation: Operation | None,
        identifier: str | None,
        state: Any,
        now: datetime,
    ) -> None:
        """Let a computation wait. OperationError: Server Limit Exceeded where too many do."""
        self._forget_late(now)
        if len(self._waiting) >= self._limit:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                f"{self._limit} operations in several parts are waiting already",
            )
        self._waiting[value] = _Waiting(owner, operation, identifier, state, now + self._patience)

    def _forget_late(self, now: datetime) -> None:
        for value in [value for value, one in self._waiting.items() if one.until < now]:
            del self._waiting[value]
