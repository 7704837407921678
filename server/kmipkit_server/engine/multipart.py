"""Operations in several parts: computations that continue with the next part (KMIP 2.1 §6, §7.8).

The first part has an Init Indicator, all later ones the Correlation Value of the first response,
the last one a Final Indicator. Between parts, a computation is in memory only, for a limited time,
and only its owner can continue it. Another process hands the message over (:mod:`.handing_over`).
"""

from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from kmipkit.errors import OperationError
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit_server.identity.identity import Holder
from kmipkit_server.identity.shares import require_share

MAX_COMPUTATIONS = 1024
"""Unfinished computations of all clients at the same time in one process, at most: it is the memory of
this process that they take."""
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
    undone: bytes = b""
    """Which part may have been undone, and so may only be repeated; empty for none."""

    def copy(self) -> "Computation | None":
        """A copy that changes independently; None for a context that cannot be copied."""
        context = _copy(self.context)
        return None if context is None else replace(self, context=context)


def _copy(context: Any) -> Any:
    """A copy of a context, which may be a tuple of a context and bytes."""
    if isinstance(context, bytes):
        return context
    if isinstance(context, tuple):
        parts = tuple(None if part is None else _copy(part) for part in context)
        is_complete = all(
            new is not None or old is None for new, old in zip(parts, context, strict=True)
        )
        return parts if is_complete else None
    copy = getattr(context, "copy", None)
    return None if copy is None else copy()


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
        self,
        owner: Holder,
        operation: Operation,
        value: bytes,
        now: datetime,
        *,
        part: bytes = b"",
        may_be_undone: bool = False,
    ) -> Computation:
        """The computation of a Correlation Value, which leaves the table.

        A computation that cannot be copied cannot undo a part either. It leaves the shared table at
        once, and not with the commit: if the batch that continues it fails, the computation has
        ended. The same is done if nothing follows that could fail. Otherwise the shared table has it
        as it was before the part, until the commit.

        An encryption that has been undone may only repeat its ``part``, which identifies the data:
        to encrypt different data with the same key stream would reveal both.

        OperationError: Invalid Correlation Value if there is no such computation, or if it has
        expired, belongs to another client, is of another operation, or may only repeat other data.
        """
        computation = self.peek(owner, operation, value, now)
        if computation is None:
            raise OperationError(
                ResultReason.INVALID_CORRELATION_VALUE,
                "no unfinished operation of this kind has this Correlation Value",
            )
        if computation.undone and computation.undone != part:
            raise OperationError(
                ResultReason.INVALID_CORRELATION_VALUE,
                "the last part was undone, and only the same data can follow",
            )
        del self._table[value]
        copy = computation.copy() if may_be_undone else None
        if copy is None:
            self._shared.pop(value, None)
            return replace(computation, undone=b"")
        if value in self._shared:
            self._shared[value] = replace(computation, undone=part)
        return replace(copy, undone=b"")

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
            accounts = Counter(each.owner[0] for each in self._table.values())
            require_share(
                "unfinished operations in several parts",
                computation.owner[0], accounts, MAX_COMPUTATIONS_PER_ACCOUNT, MAX_COMPUTATIONS,
            )  # fmt: skip
        self._table[value] = computation

    def _remove_expired(self, now: datetime) -> None:
        expired = [value for value, each in self._table.items() if each.expires < now]
        for value in expired:
            del self._table[value]
