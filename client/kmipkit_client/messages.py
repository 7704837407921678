"""Calls to request messages, and response messages to results or errors."""

from collections.abc import Sequence
from typing import Any

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model import operations
from kmipkit.model.credentials import Authentication, Credential
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.spec.enums import BatchErrorContinuationOption, ResultReason, ResultStatus
from kmipkit.spec.versions import SETTLED, V1_1, V2_1, V3_0, Version
from kmipkit_client import calls
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

BEST_FIRST = tuple(reversed(SETTLED))
"""What is tried: 3.0 is a draft, and spoken only where it is asked for."""

NEGOTIATION = (V1_1, V2_1)
"""Versions in which Discover Versions is tried: the first that has it, and one for servers that have
left 1.x behind (KMIP 1.4 §4.26). A server that understands neither is taken for one of 1.0."""


def request(
    version: Version,
    asked: Sequence[Call[Any]],
    credential: Credential | None = None,
    on_error: BatchErrorContinuationOption | None = None,
) -> RequestMessage:
    """A request of one batch item or more."""
    several = len(asked) > 1
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        authentication=Authentication(credentials=(credential,)) if credential else None,
        batch_error_continuation_option=on_error,
        batch_order_option=True if several and version < V3_0 else None,
        batch_count=len(asked) if version < V3_0 else None,
    )
    items = tuple(
        RequestBatchItem(
            operation=call.operation,
            unique_batch_item_id=number.to_bytes(4, "big") if several and version < V3_0 else None,
            request_payload=call.build(version),
        )
        for number, call in enumerate(asked, 1)
    )
    return RequestMessage(request_header=header, batch_items=items)


def discovery(version: Version) -> RequestMessage:
    """The question that opens a connection: which of our versions does the server speak?"""
    return request(version, [calls.discover_versions(BEST_FIRST)])


def discovered(response: ResponseMessage) -> Version | None:
    """The best common version from the answer to :func:`discovery`; None if it was refused.

    Raises :class:`OperationFailed` where the client itself is refused: no version will help then.
    """
    item = response.batch_items[0]
    if item.result_reason is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL:
        raise _result(calls.discover_versions(BEST_FIRST), item)
    if item.result_status is not ResultStatus.SUCCESS or item.response_payload is None:
        return None
    offered = {found.version for found in item.response_payload.protocol_versions}  # type: ignore[union-attr]
    return next((version for version in BEST_FIRST if version in offered), None)


def may_repeat(asked: Sequence[Call[Any]]) -> bool:
    """Whether nothing changes if the server gets this twice; vendors' operations must say so."""
    rows = [operations.row(call.operation) for call in asked]
    return all(row is not None and row.may_be_repeated for row in rows)


def results(asked: Sequence[Call[Any]], response: ResponseMessage) -> list[Any]:
    """The result of each call, an :class:`OperationFailed` in the place of one that failed.

    A server that stops at the first error leaves the later items out; they have failed, too.
    """
    found: list[Any] = [
        _result(call, item) for call, item in zip(asked, response.batch_items, strict=False)
    ]
    missing = asked[len(found) :]
    return found + [
        OperationFailed(call.operation, ResultStatus.OPERATION_FAILED, None, "not attempted")
        for call in missing
    ]


def _result(call: Call[Any], item: ResponseBatchItem) -> Any:
    if item.result_status is not ResultStatus.SUCCESS:
        return OperationFailed(
            call.operation, item.result_status, item.result_reason, item.result_message
        )
    if item.operation not in (None, call.operation) or item.response_payload is None:
        message = f"the server answered {call.operation.name} with something else"
        raise RemoteProtocolError(message, cause=Cause.UNEXPECTED_MESSAGE)
    return call.read(item.response_payload)
