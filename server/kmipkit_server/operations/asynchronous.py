"""Poll, Cancel, Process and Query Asynchronous Requests (KMIP 1.4 §4.27, §4.28, KMIP 2.1 §6.1)."""

from functools import partial

from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.payloads.asynchronous import (
    CancelRequest,
    CancelResponse,
    PollRequest,
    ProcessRequest,
    ProcessResponse,
    QueryAsynchronousRequestsRequest,
    QueryAsynchronousRequestsResponse,
)
from kmipkit_server.engine.asynchronous import DeferredRequest
from kmipkit_server.engine.call import Call


def poll(call: Call, request: PollRequest) -> ResponseBatchItem:
    """The result of an asynchronous operation, as its own response would have had it."""
    value = request.asynchronous_correlation_value
    return call.batch.asynchronous.poll(value, call.identity, call.now)


def cancel(call: Call, request: CancelRequest) -> CancelResponse:
    """Cancel an asynchronous operation."""
    value = request.asynchronous_correlation_value
    result, deferred = call.batch.asynchronous.cancel(value, call.identity, call.now)
    if deferred is not None:
        # Until this batch is committed, the cancellation can be rolled back, and the operation
        # must not be carried out either.
        deferred.cancellations += 1
        call.batch.at_end(partial(_end_cancellation, deferred))
    return CancelResponse(asynchronous_correlation_value=value, cancellation_result=result)


def _end_cancellation(deferred: DeferredRequest) -> None:
    deferred.cancellations -= 1


def process(call: Call, request: ProcessRequest) -> ProcessResponse:
    """Note the request; the dispatcher has carried out the asynchronous operation before it."""
    call.batch.asynchronous.process(request.asynchronous_correlation_value, call.identity, call.now)
    return ProcessResponse()


def query_asynchronous_requests(
    call: Call, request: QueryAsynchronousRequestsRequest
) -> QueryAsynchronousRequestsResponse:
    """List the client's asynchronous requests whose results it has not polled yet."""
    values, operations = request.asynchronous_correlation_values, request.operations
    outstanding = call.batch.asynchronous.outstanding(
        call.identity,
        call.now,
        None if values is None else frozenset(values.values),
        None if operations is None else frozenset(operations.operations),
    )
    # The response cannot name an operation that only another version has.
    known = tuple(each for each in outstanding if each.operation.known_in(call.version))
    return QueryAsynchronousRequestsResponse(asynchronous_requests=known)
