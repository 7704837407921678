"""Operations in several parts: computations that continue with the next part (KMIP 2.1 §6, §7.8).

The first part has an Init Indicator, all later ones the Correlation Value of the first response,
the last one a Final Indicator. Between parts, a computation is in memory only, for a limited time,
and only its owner can continue it.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from kmipkit.errors import OperationError
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit_server.identity.identity import Holder
from kmipkit_server.identity.shares import require_share

MAX_COMPUTATIONS = 1024
"""Unfinished computations of all clients at the same time, at most."""
MAX_COMPUTATIONS_PER_ACCOUNT = MAX_COMPUTATIONS // 8
"""Of these, the computations of one account."""

LIFETIME = timedelta(minutes=10)
"""How long after a part the next one may come."""


class Part(Protocol):
    """The fields that make a request one of several parts."""

    @property
    def correlation_value(self) -> bytes | None: ...
    @property
    def init_indicator(self) -> bool | None: ...
    @property
    def final_indicator(self) -> bool | None: ...


class DataPart(Part, Protocol):
    """A request with data, which may be one of several parts."""

    @property
    def data(self) -> object: ...


class KeyedPart(DataPart, Protocol):
    """A request that also names a key."""

    @property
    def unique_identifier(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Computation:
    """An unfinished computation."""

    owner: Holder
    operation: Operation
    identifier: str | None
    """The Unique Identifier of its key."""
    context: Any
    """The state of the computation, such as a cipher that has processed the first parts."""
    expires: datetime


def is_part(request: object) -> bool:
    """Whether a request is one of several parts, so that carrying it out changes server state.

    A request with both indicators and without a Correlation Value is a single part (KMIP 2.1 §6).
    """
    if getattr(request, "correlation_value", None) is not None:
        return True
    is_first = getattr(request, "init_indicator", None)
    return bool(is_first and not getattr(request, "final_indicator", None))


def is_last(request: Part) -> bool:
    """Whether a request is the last part, or a single one."""
    return bool(request.final_indicator) or not is_part(request)


class Computations:
    """The rules for computations, over the table of a batch and the one that all batches share."""

    def __init__(
        self,
        table: MutableMapping[bytes, Computation],
        shared: MutableMapping[bytes, Computation],
    ) -> None:
        self._table = table
        self._shared = shared

    def resume(
        self, owner: Holder, operation: Operation, value: bytes, now: datetime
    ) -> Computation:
        """The computation of a Correlation Value, which leaves the table.

        A cipher or hash cannot undo a part. So the computation leaves the shared table at once, and
        not with the commit: if the batch that continues it fails, the computation has ended.

        OperationError: Invalid Correlation Value if there is no such computation, or if it has
        expired, belongs to another client, or is of another operation.
        """
        computation = self.peek(owner, operation, value, now)
        if computation is None:
            raise OperationError(
                ResultReason.INVALID_CORRELATION_VALUE,
                "no unfinished operation of this kind has this Correlation Value",
            )
        del self._table[value]
        self._shared.pop(value, None)
        return computation

    def peek(
        self, owner: Holder, operation: Operation, value: bytes | None, now: datetime
    ) -> Computation | None:
        """The computation of a Correlation Value, which stays in the table; None if there is none.

        For contexts that are copied before they change.
        """
        self._remove_expired(now)
        computation = self._table.get(value) if value is not None else None
        if computation is None or computation.owner != owner or computation.operation != operation:
            return None
        return computation

    def end(self, value: bytes) -> None:
        """Delete a computation."""
        self._table.pop(value, None)

    def suspend(self, value: bytes, computation: Computation, now: datetime) -> None:
        """Keep a computation. OperationError: Server Limit Exceeded if there are too many."""
        self._remove_expired(now)
        if value not in self._table:
            accounts = [each.owner[0] for each in self._table.values()]
            require_share(
                "unfinished operations in several parts",
                accounts.count(computation.owner[0]), MAX_COMPUTATIONS_PER_ACCOUNT,
                len(accounts), MAX_COMPUTATIONS,
            )  # fmt: skip
        self._table[value] = computation

    def _remove_expired(self, now: datetime) -> None:
        expired = [value for value, each in self._table.items() if each.expires < now]
        for value in expired:
            del self._table[value]
