"""Whether a response is the one to a request.

KMIP has no message numbers, so that a response is known by its place in the connection only. If a
connection has lost its order, or the server is hostile, a client would take the key of one object for
that of another. So everything that a response must repeat is compared: the version (KMIP 1.4 §6.1), the
number of batch items (§6.14), and of each item the operation, the Unique Batch Item ID (§6.4) and the
Unique Identifier. Any difference is a RemoteProtocolError, after which the connection must be closed,
and so is an extension that must be understood.
"""

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import Operation, ResultStatus

NAMES_ANOTHER_OBJECT = frozenset(
    {
        Operation.CERTIFY,
        Operation.RE_CERTIFY,
        Operation.RE_KEY,
        Operation.CREATE_SPLIT_KEY,
        Operation.RE_PROVISION,
    }
)
"""Operations whose response has the Unique Identifier of a new object, not that of the request."""


def check_pairing(request: RequestMessage, response: ResponseMessage) -> None:
    """Raise RemoteProtocolError if a response is not the one to a request."""
    expected = request.request_header.protocol_version
    actual = response.response_header.protocol_version
    if actual != expected and not _is_refusal(response):
        raise _mismatch(
            f"the response is in KMIP {actual.version}, the request in KMIP {expected.version}"
        )
    _check_count(request, response)
    for index, (asked, item) in enumerate(
        zip(request.batch_items, response.batch_items, strict=False)
    ):
        _check_item(asked, item, f"ResponseMessage/BatchItem[{index}]")
    _check_extensions(response)


def _check_extensions(response: ResponseMessage) -> None:
    """A critical extension that nobody here understands rejects the message (KMIP 1.4 §6.16)."""
    for index, item in enumerate(response.batch_items):
        for extension in item.message_extensions:
            if extension.criticality_indicator:
                raise _mismatch(
                    f"a critical extension of {extension.vendor_identification!r} is not known",
                    f"ResponseMessage/BatchItem[{index}]/MessageExtension",
                )


def _is_refusal(response: ResponseMessage) -> bool:
    """Whether the response may refuse the version of the request, which its server does not have."""
    return len(response.batch_items) == 1 and _has_failed(response.batch_items[0])


def _has_failed(item: ResponseBatchItem) -> bool:
    return item.result_status is ResultStatus.OPERATION_FAILED


def _check_count(request: RequestMessage, response: ResponseMessage) -> None:
    """Fewer items than the request has are right only after a failure, which stops the batch."""
    count, items = response.response_header.batch_count, response.batch_items
    if count is not None and count != len(items):
        raise _mismatch(f"Batch Count is {count}, but the response has {len(items)} batch items")
    expected = len(request.batch_items)
    if len(items) > expected or (len(items) < expected and not _has_failed(items[-1])):
        raise _mismatch(f"the response has {len(items)} batch items, the request {expected}")


def _check_item(request: RequestBatchItem, response: ResponseBatchItem, path: str) -> None:
    # A message that fails as a whole has one item with neither of both (KMIP 1.4 §11.1).
    is_whole = response.operation is None and _has_failed(response)
    if response.unique_batch_item_id != request.unique_batch_item_id and not (
        is_whole and response.unique_batch_item_id is None
    ):
        raise _mismatch(
            "the response has another Unique Batch Item ID than the request",
            f"{path}/UniqueBatchItemID",
        )
    # The result of a Poll is that of the operation which was asynchronous (KMIP 1.4 §4.28).
    is_poll = request.operation is Operation.POLL and response.operation is not None
    if response.operation != request.operation and not is_poll and not is_whole:
        actual = "no operation" if response.operation is None else response.operation.name
        raise _mismatch(
            f"the response is to {actual}, the request is {request.operation.name}",
            f"{path}/Operation",
        )
    if request.operation.is_named and request.operation not in NAMES_ANOTHER_OBJECT:
        _check_identifier(request.request_payload, response.response_payload, path)


def _check_identifier(request: object, response: object, path: str) -> None:
    expected = getattr(request, "unique_identifier", None)
    actual = getattr(response, "unique_identifier", None)
    is_identifier = isinstance(expected, str) and not isinstance(expected, NameReference)
    if is_identifier and isinstance(actual, str) and actual != expected:
        raise _mismatch(
            f"the response is about the object {actual!r}, the request about {expected!r}",
            f"{path}/ResponsePayload/UniqueIdentifier",
        )


def _mismatch(message: str, path: str = "ResponseMessage") -> RemoteProtocolError:
    return RemoteProtocolError(message, cause=Cause.UNEXPECTED_MESSAGE, path=path)
