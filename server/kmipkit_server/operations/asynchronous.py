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
    """The answer of the operation that is asked about, as if it had come at once."""
    value = request.asynchronous_correlation_value
    return call.batch.asynchronous.poll(value, call.identity, call.now)


def cancel(call: Call, request: CancelRequest) -> CancelResponse:
    """Give up an operation."""
    value = request.asynchronous_correlation_value
    result, held = call.batch.asynchronous.cancel(value, call.identity, call.now)
    if held is not None:  # not carried out while this batch waits for its commit
        held.cancelling += 1
        call.batch.at_end(partial(_release, held))
    return CancelResponse(asynchronous_correlation_value=value, cancellation_result=result)


def _release(held: DeferredRequest) -> None:
    held.cancelling -= 1


def process(call: Call, request: ProcessRequest) -> ProcessResponse:
    """Note that it was asked for; the dispatcher has carried the operation out before."""
    call.batch.asynchronous.process(request.asynchronous_correlation_value, call.identity, call.now)
    return ProcessResponse()


def query_asynchronous_requests(
    call: Call, request: QueryAsynchronousRequestsRequest
) -> QueryAsynchronousRequestsResponse:
    """What was not fetched yet."""
    values, operations = request.asynchronous_correlation_values, request.operations
    found = call.batch.asynchronous.outstanding(
        call.identity,
        call.now,
        None if values is None else frozenset(values.values),
        None if operations is None else frozenset(operations.operations),
    )
    return QueryAsynchronousRequestsResponse(asynchronous_requests=tuple(found))
