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
from kmipkit.spec.enums import CancellationResult, Operation, ResultStatus
from kmipkit_server.engine import permission
from kmipkit_server.engine.asynchronous import AsynchronousRequests
from kmipkit_server.engine.call import Call


def poll(call: Call, request: PollRequest) -> ResponseBatchItem:
    """The result of an asynchronous operation, as its own response would have had it."""
    value = request.asynchronous_correlation_value
    result = AsynchronousRequests(call.store, call.now).poll(value, call.identity)
    if result.result_status is ResultStatus.OPERATION_PENDING:
        return result
    transaction = call.optional_transaction
    if transaction is not None:
        AsynchronousRequests(transaction, call.now).forget(value, call.identity)
    if isinstance(result.operation, Operation) and result.result_status is ResultStatus.SUCCESS:
        for name in _IDENTIFIERS:
            identifier = getattr(result.response_payload, name, None)
            if isinstance(identifier, str):
                permission.require_result(call, result.operation, identifier)
    return result


_IDENTIFIERS = (
    "unique_identifier",
    "private_key_unique_identifier",
    "public_key_unique_identifier",
)
"""The fields of a result that say which object it is about."""


def cancel(call: Call, request: CancelRequest) -> CancelResponse:
    """Cancel an asynchronous operation."""
    value, result = request.asynchronous_correlation_value, CancellationResult.UNAVAILABLE
    if AsynchronousRequests(call.store, call.now).is_outstanding(value, call.identity):
        result = AsynchronousRequests(call.transaction, call.now).cancel(value, call.identity)
    return CancelResponse(asynchronous_correlation_value=value, cancellation_result=result)


def process(call: Call, request: ProcessRequest) -> ProcessResponse:
    """Note the request; the dispatcher has carried out the asynchronous operation before it."""
    value = request.asynchronous_correlation_value
    AsynchronousRequests(call.transaction, call.now).process(value, call.identity)
    return ProcessResponse()


def query_asynchronous_requests(
    call: Call, request: QueryAsynchronousRequestsRequest
) -> QueryAsynchronousRequestsResponse:
    """List the client's asynchronous requests whose results it has not polled yet."""
    values, operations = request.asynchronous_correlation_values, request.operations
    outstanding = AsynchronousRequests(call.store, call.now).outstanding(
        call.identity,
        None if values is None else frozenset(values.values),
        None if operations is None else frozenset(operations.operations),
    )
    # The response cannot name an operation that only another version has.
    known = tuple(each for each in outstanding if each.operation.known_in(call.version))
    return QueryAsynchronousRequestsResponse(asynchronous_requests=known)
