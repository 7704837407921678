"""Asynchronous requests: batches that are carried out later, and the results that wait for a Poll.

A request is carried out as a whole, after a delay or when Process asks for it; until then each of
its items may be cancelled (KMIP 2.1 §6.1.5, §6.1.38, §6.1.39, §6.1.41). What waits is in memory: a
request that was only accepted, and not carried out, ends with the process.
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

LIMIT = 1024
"""Items that wait at most, of all clients."""

PATIENCE = timedelta(minutes=10)
"""How long a result waits to be fetched."""


def wants_deferral(request: Request, *, slow: bool) -> bool:
    """Whether the client asks for an answer later: a 1.x client that can wait does (1.4 §6.7).

    From 2.0 on the client may leave it to the server, which defers what is slow (2.1 §11.3).
    """
    indicator = request.header.asynchronous_indicator
    mandatory = indicator is True or indicator == AsynchronousIndicator.MANDATORY
    return mandatory or (indicator == AsynchronousIndicator.OPTIONAL and slow)


def processed_values(request: Request) -> list[bytes]:
    """The asynchronous operations that the Process items of a request ask for."""
    payloads = (getattr(item, "request_payload", None) for item in request.items)
    return [
        payload.asynchronous_correlation_value
        for payload in payloads
        if isinstance(payload, ProcessRequest)
    ]


@dataclass(slots=True, eq=False)
class DeferredRequest:
    """A request that is carried out later; the same object for all its items."""

    request: Request
    identity: Identity
    submitted: datetime
    values: tuple[bytes, ...]
    """The Asynchronous Correlation Values of its items."""
    stage: ProcessingStage = ProcessingStage.SUBMITTED
    results: dict[bytes, ResponseBatchItem] = field(default_factory=dict)
    """What its items have come to, once it is carried out."""
    cancellations: int = 0
    """Batches that cancel an item and are not committed yet: until then nothing is carried out."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """One item of such a request, as its Asynchronous Correlation Value leads to it."""

    deferred: DeferredRequest
    item: RequestBatchItem | UnreadableItem
    is_processed: bool = False
    """Whether the client has asked for it by Process."""


class AsynchronousRequests:
    """The rules of waiting, over a table of deferred items by Asynchronous Correlation Value."""

    def __init__(self, table: MutableMapping[bytes, Deferral]) -> None:
        self._table = table

    def defer(
        self, request: Request, identity: Identity, now: datetime, random: Callable[[int], bytes]
    ) -> list[ResponseBatchItem]:
        """Accept a request; the answers that say so. OperationError: Server Limit Exceeded."""
        self._remove_expired(now)
        if len(self._table) + len(request.items) > LIMIT:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                f"{LIMIT} asynchronous operations are waiting already",
            )
        values = tuple(random(16) for _ in request.items)
        deferred = DeferredRequest(request, identity, now, values)
        for value, item in zip(values, request.items, strict=True):
            self._table[value] = Deferral(deferred, item)
        return [_pending(item, value) for value, item in zip(values, request.items, strict=True)]

    def due(self, before: datetime) -> list[DeferredRequest]:
        """Requests that were submitted before a time and are still to be carried out."""
        found = dict.fromkeys(deferral.deferred for deferral in self._table.values())
        return [one for one in found if _is_ready(one) and one.submitted <= before]

    def of_values(self, values: Iterable[bytes], identity: Identity) -> list[DeferredRequest]:
        """Requests of the caller that have not begun and have one of these values."""
        found = dict.fromkeys(
            self._table[value].deferred for value in values if value in self._table
        )
        return [one for one in found if _is_ready(one) and one.identity.name == identity.name]

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
        """Keep the results. Items behind one that failed have none and are failures, too."""
        deferred.stage = ProcessingStage.COMPLETED
        for number, (value, item) in enumerate(items.items()):
            result = results[number] if number < len(results) else _skipped(item)
            deferred.results[value] = result

    def poll(self, value: bytes, identity: Identity, now: datetime) -> ResponseBatchItem:
        """The result, which is forgotten then, or that there is none yet."""
        deferral = self._find(value, identity, now)
        result = deferral.deferred.results.get(value)
        if result is None:
            return _pending(deferral.item, value)
        del self._table[value]
        return result

    def cancel(
        self, value: bytes, identity: Identity, now: datetime
    ) -> tuple[CancellationResult, DeferredRequest | None]:
        """Give up an item whose request has not begun (KMIP 1.4 §4.27).

        The request, if it must wait until the cancellation is committed.
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
        """Note that Process was asked for. OperationError: Duplicate Process Request, if again."""
        deferral = self._find(value, identity, now)
        if deferral.is_processed:
            raise OperationError(
                ResultReason.DUPLICATE_PROCESS_REQUEST, "the operation was processed already"
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
        """What the caller has not fetched yet; of these values or operations, if any are given."""
        self._remove_expired(now)
        for value, deferral in self._table.items():
            operation = deferral.item.operation
            chosen = (values is None and operations is None) or (
                value in (values or ()) or operation in (operations or ())
            )
            deferred = deferral.deferred
            if deferred.identity.name == identity.name and operation is not None and chosen:
                yield AsynchronousRequest(
                    asynchronous_correlation_value=value,
                    operation=operation,
                    submission_date=deferred.submitted,
                    processing_stage=deferred.stage,
                )

    def _find(self, value: bytes, identity: Identity, now: datetime) -> Deferral:
        self._remove_expired(now)
        found = self._table.get(value)
        if found is None or found.deferred.identity.name != identity.name:
            raise OperationError(
                ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE,
                "no operation is outstanding under this Asynchronous Correlation Value",
            )
        return found

    def _remove_expired(self, now: datetime) -> None:
        expired = [
            value
            for value, deferral in self._table.items()
            if deferral.deferred.submitted + PATIENCE < now
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


def _skipped(item: RequestBatchItem | UnreadableItem) -> ResponseBatchItem:
    return ResponseBatchItem(
        operation=item.operation,
        unique_batch_item_id=item.unique_batch_item_id,
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=ResultReason.GENERAL_FAILURE,
        result_message="not carried out, since an item of the batch failed",
    )
