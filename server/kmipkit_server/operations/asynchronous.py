"""Poll, Cancel, Process and Query Asynchronous Requests (KMIP 1.4 §4.27, §4.28, KMIP 2.1 §6.1)."""

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
from kmipkit.spec.enums import Operation
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.registry import operation


@operation(Operation.POLL, writes=False)
def poll(call: Call, request: PollRequest) -> ResponseBatchItem:
    """The answer of the operation that is asked about, as if it had come at once."""
    return call.memory.pending.poll(request.asynchronous_correlation_value, call.identity, call.now)


@operation(Operation.CANCEL, writes=False)
def cancel(call: Call, request: CancelRequest) -> CancelResponse:
    """Give up an operation."""
    value = request.asynchronous_correlation_value
    return CancelResponse(
        asynchronous_correlation_value=value,
        cancellation_result=call.memory.pending.cancel(value, call.identity, call.now),
    )


@operation(Operation.PROCESS, writes=False)
def process(call: Call, request: ProcessRequest) -> ProcessResponse:
    """The dispatcher has carried the operation out before it comes here, so that it is done."""
    call.memory.pending.process(request.asynchronous_correlation_value, call.identity, call.now)
    return ProcessResponse()


@operation(Operation.QUERY_ASYNCHRONOUS_REQUESTS, writes=False)
def query_asynchronous_requests(
    call: Call, request: QueryAsynchronousRequestsRequest
) -> QueryAsynchronousRequestsResponse:
    """What was not fetched yet."""
    values, operations = request.asynchronous_correlation_values, request.operations
    found = call.memory.pending.outstanding(
        call.identity,
        call.now,
        None if values is None else frozenset(values.values),
        None if operations is None else frozenset(operations.operations),
    )
    return QueryAsynchronousRequestsResponse(asynchronous_requests=tuple(found))
