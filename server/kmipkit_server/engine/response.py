"""Responses: batch items for successes and failures, and the message around them."""

import logging
import struct
from collections.abc import Sequence
from typing import NamedTuple

from kmipkit.errors import OperationError
from kmipkit.model.codec import encode
from kmipkit.model.messages import RequestBatchItem, ResponseBatchItem
from kmipkit.model.structure import Structure, copier, field_names
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.reasons import reason_for
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.spec.versions import Version
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.registry import ServedOperation
from kmipkit_server.engine.repeatable import Repeatable
from kmipkit_server.engine.request import Request, UnreadableItem
from kmipkit_server.engine.response_header import response_header

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
    result: ResponseBatchItem = _success((item.operation, item.unique_batch_item_id, payload))
    return result


_success = copier(
    ResponseBatchItem(result_status=ResultStatus.SUCCESS),
    "operation",
    "unique_batch_item_id",
    "response_payload",
)
"""The item of a success; to call the class takes twice as long."""


_OUTPUTS = ("data", "mac_data", "signature_data")
"""The fields that have the output of a cryptographic operation."""


def without_output(payload: object) -> object:
    """The payload of an Ephemeral item.

    "The Data output of the operation should not be returned to the client" (KMIP 2.1 §8.3): only
    later items of the batch can use it.
    """
    if not isinstance(payload, Structure):
        return payload
    names = field_names(type(payload))
    return payload.replace(**{name: None for name in _OUTPUTS if name in names})


def failure(
    version: Version,
    error: OperationError,
    item: RequestBatchItem | UnreadableItem | None = None,
) -> ResponseBatchItem:
    """The batch item of an operation that failed, or for a message that failed as a whole."""
    operation = item.operation if item else None
    return ResponseBatchItem(
        operation=operation,
        unique_batch_item_id=item.unique_batch_item_id if item else None,
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=reason_for(error.reason, version, operation),
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


def encoded_item(version: Version, item: ResponseBatchItem) -> bytes:
    """One batch item of the response."""
    return encode(item, version, tag=Tag.BATCH_ITEM, strict=False)


_STRUCTURE = struct.Struct(">II")
_RESPONSE_MESSAGE = Tag.RESPONSE_MESSAGE << 8 | ItemType.STRUCTURE


def message(
    version: Version,
    items: Sequence[ResponseBatchItem],
    exchange: Exchange,
    encoded: Sequence[bytes | None] = (),
) -> bytes:
    """The encoded response; ``encoded`` has the items that are encoded already, in their places."""
    header = response_header(version, exchange, len(items))
    _log(version, items, exchange)
    if not encoded:
        return framed(header, *[encoded_item(version, item) for item in items])
    parts = [
        encoded_item(version, item) if part is None else part
        for item, part in zip(items, encoded, strict=True)
    ]
    size = len(header) + sum(map(len, parts))
    # A response may be large, and is copied once.
    return b"".join((_STRUCTURE.pack(_RESPONSE_MESSAGE, size), header, *parts))


def message_of(
    version: Version, item: ResponseBatchItem, exchange: Exchange, encoded: bytes
) -> bytes:
    """The same for a single item that is encoded already."""
    _log(version, (item,), exchange)
    return framed(response_header(version, exchange, 1), encoded)


def _log(version: Version, items: Sequence[ResponseBatchItem], exchange: Exchange) -> None:
    if log.isEnabledFor(logging.DEBUG) and exchange.correlation_value(version) is not None:
        operations = ", ".join(operation_title(item.operation) for item in items)
        log.debug("response %s to %s", exchange.correlation_value(version), operations)


def framed(*parts: bytes) -> bytes:
    """The message of an encoded header and encoded items, or of the parts of these."""
    content = b"".join(parts)
    return _STRUCTURE.pack(_RESPONSE_MESSAGE, len(content)) + content


class Repeated(NamedTuple):
    """The only result of a message, which may be given again."""

    repeatable: Repeatable
    row: ServedOperation
    encoded: bytes
    """Its encoded item."""


class Answer(NamedTuple):
    """The results of a request, and as much of the response as is encoded."""

    results: Sequence[ResponseBatchItem]
    encoded: Sequence[bytes | None] = ()
    """The results in their encoding, as far as they are encoded."""
    message: bytes | None = None
    """The whole response, if it is encoded."""
    exchanges_roles: bool = False
    objects: Sequence[tuple[str, ...]] = ()
    """The Unique Identifiers that each item named and returned."""
    repeated: Repeated | None = None

    def encode(self, version: Version, exchange: Exchange) -> bytes:
        """The whole response."""
        if self.message is not None:
            return self.message
        return message(version, self.results, exchange, self.encoded)


class ResponseTooLarge(Exception):
    """The response to an asynchronous request would be too large, so that it is not accepted."""

    def __init__(self, refusal: ResponseBatchItem) -> None:
        super().__init__()
        self.refusal = refusal


def refusal_of_size(
    request: Request, answer: Answer, exchange: Exchange
) -> ResponseBatchItem | None:
    """Response Too Large, if the response exceeds the maximum of the request; None if it does not."""
    maximum = request.header.maximum_response_size
    if maximum is None:
        return None
    size = len(answer.encode(request.version, exchange))
    if size <= maximum:
        return None
    error = OperationError(
        ResultReason.RESPONSE_TOO_LARGE,
        f"the response has {size} bytes or more; the request allows {maximum} at most",
    )
    return failure(request.version, error, request.items[0])
