"""Building request messages from calls, and results or errors from response messages."""

from collections.abc import Sequence
from typing import Any

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.model import operations
from kmipkit.model.credentials import Authentication, Credential
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.spec.enums import BatchErrorContinuationOption, Operation, ResultReason, ResultStatus
from kmipkit.spec.titles import title
from kmipkit.spec.versions import PUBLISHED, V1_1, V2_1, V3_0, Version
from kmipkit_client import calls
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

PREFERRED_VERSIONS = tuple(reversed(PUBLISHED))
"""The versions that are negotiated: 3.0 is a draft, and used only on request."""

NEGOTIATION = (V1_1, V2_1)
"""Versions in which Discover Versions is sent: the first that has it, and one for servers without 1.x
(KMIP 1.4 §4.26). A server that understands neither is assumed to support 1.0 only."""


def request(
    version: Version,
    batch: Sequence[Call[Any]],
    credential: Credential | None = None,
    on_error: BatchErrorContinuationOption | None = None,
) -> RequestMessage:
    """A request with one batch item or more."""
    is_batch = len(batch) > 1
    header = RequestHeader(
        protocol_version=ProtocolVersion.of(version),
        authentication=Authentication(credentials=(credential,)) if credential else None,
        batch_error_continuation_option=on_error,
        batch_order_option=True if is_batch and version < V3_0 else None,
        batch_count=len(batch) if version < V3_0 else None,
    )
    items = tuple(
        RequestBatchItem(
            operation=call.operation,
            unique_batch_item_id=number.to_bytes(4, "big") if is_batch and version < V3_0 else None,
            request_payload=call.build(version),
        )
        for number, call in enumerate(batch, 1)
    )
    return RequestMessage(request_header=header, batch_items=items)


def require_known(version: Version, batch: Sequence[Call[Any]]) -> None:
    """LocalProtocolError if a version does not have an operation: no server can carry it out."""
    for call in batch:
        row = operations.row(call.operation)
        if row is None or row.known_in(version):
            continue
        needed = f"{row.since} or later" if version < row.since else f"{row.until} or earlier"
        # The client does not choose a draft by itself.
        how = ", which must be asked for: version=V3_0, or --kmip 3.0 on the command line"
        raise LocalProtocolError(
            f"{title(call.operation)} needs KMIP {needed}{how if row.since == V3_0 else ''};"
            f" this connection uses KMIP {version}",
            cause=Cause.WRONG_VERSION,
        )


def discovery_request(version: Version) -> RequestMessage:
    """The request that negotiates the version of a connection."""
    return request(version, [calls.discover_versions(PREFERRED_VERSIONS)])


def common_version(response: ResponseMessage) -> Version | None:
    """The newest common version, from the response to :func:`discovery_request`; None if it failed.

    Raises :class:`OperationFailed` if the server does not accept the client: no version helps then.
    """
    item = response.batch_items[0]
    if item.result_reason in _REFUSALS:
        raise _result(calls.discover_versions(PREFERRED_VERSIONS), item)
    if item.result_status is not ResultStatus.SUCCESS or item.response_payload is None:
        return None
    supported = {entry.version for entry in item.response_payload.protocol_versions}  # type: ignore[union-attr]  # of Discover Versions
    return next((version for version in PREFERRED_VERSIONS if version in supported), None)


def is_unable(response: ResponseMessage) -> bool:
    """Whether a server could not answer :func:`discovery_request` at the moment, such as one without its
    database: what it supports, it has not said."""
    return response.batch_items[0].result_reason is ResultReason.GENERAL_FAILURE


_REFUSALS = frozenset({ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, ResultReason.PERMISSION_DENIED})
"""A client that may not ask would speak KMIP 1.0 otherwise, and be told what that version lacks, and not
why it is refused."""


def may_repeat(batch: Sequence[Call[Any]]) -> bool:
    """Whether the batch can be sent twice without harm; vendors' operations must declare it."""
    rows = [operations.row(call.operation) for call in batch]
    return all(row is not None and row.may_be_repeated for row in rows)


def names(batch: Sequence[Call[Any]]) -> str:
    """The operations of a batch, for people."""
    return ", ".join(dict.fromkeys(call.operation.name for call in batch))


def results(batch: Sequence[Call[Any]], response: ResponseMessage) -> list[Any]:
    """The result of each call; an :class:`OperationFailed` for a call that failed.

    A server that stops at the first error omits the later items; those calls have failed, too.
    """
    attempted: list[Any] = [
        _result(call, item) for call, item in zip(batch, response.batch_items, strict=False)
    ]
    missing = batch[len(attempted) :]
    return attempted + [
        OperationFailed(call.operation, ResultStatus.OPERATION_FAILED, None, "not attempted")
        for call in missing
    ]


def _result(call: Call[Any], item: ResponseBatchItem) -> Any:
    if item.result_status is not ResultStatus.SUCCESS:
        return OperationFailed(
            call.operation,
            item.result_status,
            item.result_reason,
            item.result_message,
            item.asynchronous_correlation_value,
        )
    if item.operation is None or (
        item.response_payload is None and call.operation is not Operation.POLL
    ):
        message = f"the response to {call.operation.name} has no operation or no payload"
        raise RemoteProtocolError(message, cause=Cause.UNEXPECTED_MESSAGE)
    return call.read(item.response_payload)
