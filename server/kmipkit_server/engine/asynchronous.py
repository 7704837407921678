"""Asynchronous requests: batches that are worked on later, and the results that wait for a Poll.

A batch is worked on as a whole, after a delay or when Process asks for it; until then each of its
items may be cancelled (KMIP 2.1 §6.1.5, §6.1.38, §6.1.39, §6.1.41). What waits is in memory: a
request that was only taken, and not carried out, ends with the process.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.model.payloads.asynchronous import AsynchronousRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CancellationResult,
    Operation,
    ProcessingStage,
    ResultReason,
    ResultStatus,
)
from kmipkit_server.engine.request import BadItem, Incoming
from kmipkit_server.identity.certificate import Identity

LIMIT = 1024
"""Items that wait at most, of all clients."""

PATIENCE = timedelta(minutes=10)
"""How long a result waits to be fetched."""

AT_ONCE = frozenset(
    {
        Operation.POLL,
        Operation.CANCEL,
        Operation.PROCESS,
        Operation.QUERY_ASYNCHRONOUS_REQUESTS,
        Operation.DISCOVER_VERSIONS,
    }
)
"""Operations that are never put off, nor a batch that holds one."""


def is_put_off(incoming: Incoming, *, slow: bool) -> bool:
    """Whether a request is worked on later: 1.x clients that can wait are made to (1.4 §6.7).

    From 2.0 on the client may leave it to the server, which puts off what takes long (2.1 §11.3).
    """
    indicator = incoming.header.asynchronous_indicator
    wanted = indicator is True or indicator == AsynchronousIndicator.MANDATORY
    wanted |= indicator == AsynchronousIndicator.OPTIONAL and slow
    return wanted and not any(item.operation in AT_ONCE for item in incoming.items)


@dataclass(slots=True, eq=False)
class Batch:
    """A request that is worked on later."""

    incoming: Incoming
    identity: Identity
    submitted: datetime
    items: dict[bytes, RequestBatchItem | BadItem]
    """By Asynchronous Correlation Value; those that are cancelled are taken out."""
    results: dict[bytes, ResponseBatchItem] = field(default_factory=dict)
    stage: ProcessingStage = ProcessingStage.SUBMITTED
    hurried: bool = False
    """Whether the client has asked to have it worked on at once."""

    def request(self) -> Incoming:
        """What is left to do."""
        return Incoming(self.incoming.version, self.incoming.header, tuple(self.items.values()))

    def finish(self, results: list[ResponseBatchItem]) -> None:
        """Keep the results. Items behind one that failed have none and are failures, too."""
        self.stage = ProcessingStage.COMPLETED
        for number, (value, item) in enumerate(self.items.items()):
            self.results[value] = results[number] if number < len(results) else _skipped(item)


def _skipped(item: RequestBatchItem | BadItem) -> ResponseBatchItem:
    return ResponseBatchItem(
        operation=item.operation,
        unique_batch_item_id=item.unique_batch_item_id,
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=ResultReason.GENERAL_FAILURE,
        result_message="not carried out, since an item of the batch failed",
    )


class Pending:
    """The batches that wait to be worked on, and the results that wait to be fetched."""

    def __init__(
        self, random: Callable[[int], bytes], delay: timedelta = timedelta(0), limit: int = LIMIT
    ) -> None:
        self._random = random
        self._delay = delay
        self._limit = limit
        self._batches: dict[bytes, Batch] = {}

    def add(self, incoming: Incoming, identity: Identity, now: datetime) -> list[ResponseBatchItem]:
        """Take a request; the answers that say so. OperationError: Server Limit Exceeded."""
        self._forget_late(now)
        if len(self._batches) + len(incoming.items) > self._limit:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                f"{self._limit} asynchronous operations are waiting already",
            )
        items = {self._random(16): item for item in incoming.items}
        batch = Batch(incoming, identity, now, items)
        self._batches |= dict.fromkeys(items, batch)
        return [_pending(item, value) for value, item in items.items()]

    def due(self, now: datetime) -> list[Batch]:
        """Batches that are to be worked on now."""
        return [
            batch
            for batch in dict.fromkeys(self._batches.values())
            if batch.stage is ProcessingStage.SUBMITTED and batch.submitted + self._delay <= now
        ]

    def named(self, values: Iterable[bytes], identity: Identity) -> list[Batch]:
        """Batches of the caller that have not begun and hold one of these items."""
        found = (self._batches.get(value) for value in values)
        return [
            batch
            for batch in dict.fromkeys(found)
            if batch is not None
            and batch.identity.name == identity.name
            and batch.stage is ProcessingStage.SUBMITTED
        ]

    def poll(self, value: bytes, identity: Identity, now: datetime) -> ResponseBatchItem:
        """The result, which is forgotten then, or that there is none yet."""
        batch = self._find(value, identity, now)
        result = batch.results.get(value)
        if result is None:
            return _pending(batch.items[value], value)
        del self._batches[value]
        return result

    def cancel(self, value: bytes, identity: Identity, now: datetime) -> CancellationResult:
        """Give an item up if its batch has not begun (KMIP 1.4 §4.27)."""
        try:
            batch = self._find(value, identity, now)
        except OperationError:
            return CancellationResult.UNAVAILABLE
        if batch.stage is ProcessingStage.COMPLETED:
            del self._batches[value]
            return CancellationResult.COMPLETED
        if batch.stage is not ProcessingStage.SUBMITTED:
            return CancellationResult.UNABLE_TO_CANCEL
        del self._batches[value], batch.items[value]
        return CancellationResult.CANCELED

    def process(self, value: bytes, identity: Identity, now: datetime) -> None:
        """Note that Process was asked for. OperationError: Duplicate Process Request, if again."""
        batch = self._find(value, identity, now)
        if batch.hurried:
            raise OperationError(
                ResultReason.DUPLICATE_PROCESS_REQUEST, "the operation was processed already"
            )
        batch.hurried = True

    def outstanding(
        self,
        identity: Identity,
        now: datetime,
        values: frozenset[bytes] | None,
        operations: frozenset[Operation] | None,
    ) -> Iterator[AsynchronousRequest]:
        """What the caller has not fetched yet; of these values or operations, where given."""
        self._forget_late(now)
        for value, batch in self._batches.items():
            operation = batch.items[value].operation
            chosen = (values is None and operations is None) or (
                value in (values or ()) or operation in (operations or ())
            )
            if batch.identity.name == identity.name and operation is not None and chosen:
                yield AsynchronousRequest(
                    asynchronous_correlation_value=value,
                    operation=operation,
                    submission_date=batch.submitted,
                    processing_stage=batch.stage,
                )

    def _find(self, value: bytes, identity: Identity, now: datetime) -> Batch:
        self._forget_late(now)
        batch = self._batches.get(value)
        if batch is None or batch.identity.name != identity.name:
            raise OperationError(
                ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE,
                "no operation is outstanding under this Asynchronous Correlation Value",
            )
        return batch

    def _forget_late(self, now: datetime) -> None:
        late = [v for v, one in self._batches.items() if one.submitted + PATIENCE < now]
        for value in late:
            if self._batches[value].stage is not ProcessingStage.IN_PROCESS:
                del self._batches[value]


def _pending(item: RequestBatchItem | BadItem, value: bytes) -> ResponseBatchItem:
    return ResponseBatchItem(
        operation=item.operation,
        unique_batch_item_id=item.unique_batch_item_id,
        result_status=ResultStatus.OPERATION_PENDING,
        asynchronous_correlation_value=value,
    )
