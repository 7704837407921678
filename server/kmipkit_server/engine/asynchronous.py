"""Asynchronous requests: batches that are carried out later, and their results until a Poll.

A request is carried out as a whole, after a delay or when Process asks for it; until then each of
its items may be cancelled (KMIP 2.1 §6.1.5, §6.1.38, §6.1.39, §6.1.41). Requests and results are in
memory only: a request that was accepted, but not yet carried out, is lost when the process ends.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.model.payloads.asynchronous import AsynchronousRequest, ProcessRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CancellationResult,
    Operation,
    ProcessingStage,
    ResultReason,
    ResultStatus,
)
from kmipkit_server.engine.request import Request, UnreadableItem
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.shares import require_share

MAX_DEFERRALS = 1024
"""Items of all clients that are outstanding at the same time, at most."""
MAX_DEFERRALS_PER_ACCOUNT = MAX_DEFERRALS // 8
"""Of these, the items of one account."""

LIFETIME = timedelta(minutes=10)
"""How long after its submission a request or its result is kept for a Poll."""


def is_to_be_deferred(request: Request, *, slow: bool) -> bool:
    """Whether the server carries the request out asynchronously.

    It does so for each 1.x client that supports it (KMIP 1.4 §6.7). From 2.0 on the client may leave
    the decision to the server, which defers slow operations (KMIP 2.1 §11.3).
    """
    indicator = request.header.asynchronous_indicator
    mandatory = indicator is True or indicator == AsynchronousIndicator.MANDATORY
    return mandatory or (indicator == AsynchronousIndicator.OPTIONAL and slow)


def values_to_process(request: Request) -> list[bytes]:
    """The Asynchronous Correlation Values in the Process items of a request."""
    payloads = (getattr(item, "request_payload", None) for item in request.items)
    return [
        payload.asynchronous_correlation_value
        for payload in payloads
        if isinstance(payload, ProcessRequest)
    ]


@dataclass(slots=True, eq=False)
class DeferredRequest:
    """A request that is carried out later; all its items share it."""

    request: Request
    identity: Identity
    submitted: datetime
    values: tuple[bytes, ...]
    """The Asynchronous Correlation Values of its items."""
    stage: ProcessingStage = ProcessingStage.SUBMITTED
    results: dict[bytes, ResponseBatchItem] = field(default_factory=dict)
    """The results of its items, once it is carried out."""
    cancellations: int = 0
    """Uncommitted batches that cancel an item. While there are any, nothing is carried out."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """One item of a deferred request, which has its own Asynchronous Correlation Value."""

    deferred: DeferredRequest
    item: RequestBatchItem | UnreadableItem
    is_processed: bool = False
    """Whether the client has sent a Process for it."""


class AsynchronousRequests:
    """The rules for deferred items, over a table of them by Asynchronous Correlation Value."""

    def __init__(self, table: MutableMapping[bytes, Deferral]) -> None:
        self._table = table

    def defer(
        self, request: Request, identity: Identity, now: datetime, random: Callable[[int], bytes]
    ) -> list[ResponseBatchItem]:
        """Accept a request; the results Operation Pending. OperationError: Server Limit Exceeded."""
        self._remove_expired(now)
        accounts = [each.deferred.identity.name for each in self._table.values()]
        more = len(request.items) - 1
        require_share(
            "asynchronous operations",
            accounts.count(identity.name) + more, MAX_DEFERRALS_PER_ACCOUNT,
            len(accounts) + more, MAX_DEFERRALS,
        )  # fmt: skip
        values = tuple(random(16) for _ in request.items)
        deferred = DeferredRequest(request, identity, now, values)
        for value, item in zip(values, request.items, strict=True):
            self._table[value] = Deferral(deferred, item)
        return [_pending(item, value) for value, item in zip(values, request.items, strict=True)]

    def withdraw(self, pending: Iterable[ResponseBatchItem]) -> None:
        """Forget a request whose client does not learn its Asynchronous Correlation Values."""
        for item in pending:
            assert item.asynchronous_correlation_value is not None
            del self._table[item.asynchronous_correlation_value]

    def due(self, before: datetime) -> list[DeferredRequest]:
        """Requests that were submitted before a time and are still to be carried out."""
        requests = dict.fromkeys(deferral.deferred for deferral in self._table.values())
        return [each for each in requests if _is_ready(each) and each.submitted <= before]

    def of_values(self, values: Iterable[bytes], identity: Identity) -> list[DeferredRequest]:
        """Requests of the client that have one of these values and are still to be carried out."""
        requests = dict.fromkeys(
            self._table[value].deferred for value in values if value in self._table
        )
        return [
            each for each in requests if _is_ready(each) and each.identity.holder == identity.holder
        ]

    def remaining(
        self, deferred: DeferredRequest
    ) -> dict[bytes, RequestBatchItem | UnreadableItem]:
        """The items of a request that were not cancelled, by value."""
        table = self._table
        return {value: table[value].item for value in deferred.values if value in table}

    @staticmethod
    def finish(
        deferred: DeferredRequest,
        items: Mapping[bytes, RequestBatchItem | UnreadableItem],
        results: list[ResponseBatchItem],
    ) -> None:
        """Store the results. Items after one that stopped the batch have none: these failed, too."""
        deferred.stage = ProcessingStage.COMPLETED
        for number, (value, item) in enumerate(items.items()):
            result = results[number] if number < len(results) else _not_carried_out(item)
            deferred.results[value] = result

    def poll(self, value: bytes, identity: Identity, now: datetime) -> ResponseBatchItem:
        """The result, which is then deleted; Operation Pending if there is none yet."""
        deferral = self._find(value, identity, now)
        result = deferral.deferred.results.get(value)
        if result is None:
            return _pending(deferral.item, value)
        del self._table[value]
        return result

    def cancel(
        self, value: bytes, identity: Identity, now: datetime
    ) -> tuple[CancellationResult, DeferredRequest | None]:
        """Cancel an item whose request has not begun (KMIP 1.4 §4.27).

        Returns the request, too, if it must not begin until the cancellation is committed.
        """
        try:
            deferred = self._find(value, identity, now).deferred
        except OperationError:
            return CancellationResult.UNAVAILABLE, None
        if deferred.stage is ProcessingStage.COMPLETED:
            del self._table[value]
            return CancellationResult.COMPLETED, None
        if deferred.stage is not ProcessingStage.SUBMITTED:
            return CancellationResult.UNABLE_TO_CANCEL, None
        del self._table[value]
        return CancellationResult.CANCELED, deferred

    def process(self, value: bytes, identity: Identity, now: datetime) -> None:
        """Record a Process. OperationError: Duplicate Process Request for a second one."""
        deferral = self._find(value, identity, now)
        if deferral.is_processed:
            raise OperationError(
                ResultReason.DUPLICATE_PROCESS_REQUEST,
                "an earlier Process has already carried out this operation",
            )
        for other in deferral.deferred.values:
            if other in self._table:
                self._table[other] = replace(self._table[other], is_processed=True)

    def outstanding(
        self,
        identity: Identity,
        now: datetime,
        values: frozenset[bytes] | None,
        operations: frozenset[Operation] | None,
    ) -> Iterator[AsynchronousRequest]:
        """The client's items without a Poll; only those of the values or operations, if given."""
        self._remove_expired(now)
        for value, deferral in self._table.items():
            operation = deferral.item.operation
            is_selected = (values is None and operations is None) or (
                value in (values or ()) or operation in (operations or ())
            )
            deferred = deferral.deferred
            if (
                deferred.identity.holder == identity.holder
                and operation is not None
                and is_selected
            ):
                yield AsynchronousRequest(
                    asynchronous_correlation_value=value,
                    operation=operation,
                    submission_date=deferred.submitted,
                    processing_stage=deferred.stage,
                )

    def _find(self, value: bytes, identity: Identity, now: datetime) -> Deferral:
        self._remove_expired(now)
        deferral = self._table.get(value)
        if deferral is None or deferral.deferred.identity.holder != identity.holder:
            raise OperationError(
                ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE,
                "no outstanding operation has this Asynchronous Correlation Value",
            )
        return deferral

    def _remove_expired(self, now: datetime) -> None:
        expired = [
            value
            for value, deferral in self._table.items()
            if deferral.deferred.submitted + LIFETIME < now
            and deferral.deferred.stage is not ProcessingStage.IN_PROCESS
        ]
        for value in expired:
            del self._table[value]


def _is_ready(deferred: DeferredRequest) -> bool:
    return deferred.stage is ProcessingStage.SUBMITTED and not deferred.cancellations


def _pending(item: RequestBatchItem | UnreadableItem, value: bytes) -> ResponseBatchItem:
    return ResponseBatchItem(
        operation=item.operation,
        unique_batch_item_id=item.unique_batch_item_id,
        result_status=ResultStatus.OPERATION_PENDING,
        asynchronous_correlation_value=value,
    )


def _not_carried_out(item: RequestBatchItem | UnreadableItem) -> ResponseBatchItem:
    return ResponseBatchItem(
        operation=item.operation,
        unique_batch_item_id=item.unique_batch_item_id,
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=ResultReason.GENERAL_FAILURE,
        result_message="not carried out, because an earlier item of the batch failed",
    )
