"""Responses: batch items for successes and failures, and the message around them."""

import logging
from datetime import datetime
from typing import NamedTuple

from kmipkit.errors import LocalProtocolError, OperationError
from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem, ResponseMessage
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.spec.versions import Version
from kmipkit_server.engine.reasons import reason_for
from kmipkit_server.engine.request import UnreadableItem

log = logging.getLogger("kmipkit.server")


class Response(NamedTuple):
    """The response to a request message."""

    data: bytes
    """The encoded response."""
    role_change: Version | None = None
    """If client and server exchange their roles after it: the version of the server's requests."""


def operation_title(operation: Operation | None) -> str:
    """The name of an operation as log lines show it; unreadable items may lack one."""
    return "an operation" if operation is None else title(operation)


def success(item: RequestBatchItem, payload: object) -> ResponseBatchItem:
    """The batch item of an operation that succeeded."""
    if isinstance(payload, ResponseBatchItem):  # of the operation whose result a Poll returns
        return payload.replace(unique_batch_item_id=item.unique_batch_item_id)
    return ResponseBatchItem(
        operation=item.operation,
        unique_batch_item_id=item.unique_batch_item_id,
        result_status=ResultStatus.SUCCESS,
        response_payload=payload,  # type: ignore[arg-type]  # a handler returns a Structure
    )


def failure(
    version: Version,
    error: OperationError,
    item: RequestBatchItem | UnreadableItem | None = None,
) -> ResponseBatchItem:
    """The batch item of an operation that failed, or for a message that failed as a whole."""
    return ResponseBatchItem(
        operation=item.operation if item else None,
        unique_batch_item_id=item.unique_batch_item_id if item else None,
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=reason_for(error.reason, version),
        result_message=error.message,
        response_payload=getattr(error, "payload", None),
    )


def undone(results: list[ResponseBatchItem]) -> list[ResponseBatchItem]:
    """The results of a batch whose last item failed, so that the others were undone."""
    return [
        *(
            ResponseBatchItem(
                operation=result.operation,
                unique_batch_item_id=result.unique_batch_item_id,
                result_status=ResultStatus.OPERATION_UNDONE,
                response_payload=result.response_payload,
            )
            for result in results[:-1]
        ),
        results[-1],
    ]


def message(
    version: Version,
    items: list[ResponseBatchItem],
    now: datetime,
    proof: bytes | None = None,
) -> bytes:
    """The encoded response; ``proof`` is the Server Hashed Password (KMIP 2.1 §8.5)."""
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version),
        time_stamp=now,
        server_hashed_password=proof,
        batch_count=len(items),
    )
    response = ResponseMessage(response_header=header, batch_items=tuple(items))
    try:
        return encode(response, version, strict=False)
    except LocalProtocolError as error:
        # A defect of the server, as an operation must not return what the version cannot express.
        # It must not cost the client the connection, and with it the results of the other items.
        log.error("the response cannot be encoded in KMIP %s: %s", version, error)
    encodable = tuple(_encodable(item, version) for item in items)
    return encode(response.replace(batch_items=encodable), version, strict=False)


def _encodable(item: ResponseBatchItem, version: Version) -> ResponseBatchItem:
    """The item, or an internal error in place of an item that the version cannot express."""
    try:
        encode(item, version, tag=Tag.BATCH_ITEM, strict=False)
    except LocalProtocolError:
        return ResponseBatchItem(
            operation=item.operation,
            unique_batch_item_id=item.unique_batch_item_id,
            result_status=ResultStatus.OPERATION_FAILED,
            result_reason=reason_for(ResultReason.INTERNAL_SERVER_ERROR, version),
            result_message="internal error",
        )
    return item
