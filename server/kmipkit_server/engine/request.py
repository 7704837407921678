"""Reading a request message, item by item where a part of it is bad.

A message that is well-formed is read in one go. Where that fails, the parts are read one by one:
"error parsing batch item or payload within batch item: batch item fails" (KMIP 1.4 §11.1), the
others are carried out. Only a message without a header or batch fails as a whole.
"""

from dataclasses import dataclass

from kmipkit.errors import Cause, OperationError, RemoteProtocolError
from kmipkit.model.codec import from_tree
from kmipkit.model.envelope import decode_request, peek_version
from kmipkit.model.headers import RequestHeader
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """A batch item that cannot be read; its answer names the operation as far as it is known."""

    error: RemoteProtocolError
    operation: Operation | None
    unique_batch_item_id: bytes | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request message in a version that is spoken."""

    version: Version
    header: RequestHeader
    items: tuple[RequestBatchItem | UnreadableItem, ...]


def read_request(data: bytes, limits: Limits) -> Request:
    """The request that these bytes hold; RemoteProtocolError if there is no header or no batch."""
    try:
        message, version = decode_request(data, limits=limits)
    except RemoteProtocolError:
        return _read_parts(data, limits)
    return Request(version, message.request_header, message.batch_items)


def _read_parts(data: bytes, limits: Limits) -> Request:
    version = peek_version(data)
    root = binary.decode(data, limits)
    parts = root.value if isinstance(root.value, tuple) else ()
    if version not in VERSIONS or len(parts) < 2 or any(p.tag != Tag.BATCH_ITEM for p in parts[1:]):
        decode_request(data, limits=limits)  # raises the error that says what is wrong
        raise RemoteProtocolError("the message has no batch item", cause=Cause.MISSING_FIELD)
    header = from_tree(RequestHeader, parts[0], version, tag=Tag.REQUEST_HEADER)
    return Request(version, header, tuple(_read_item(part, version) for part in parts[1:]))


def _read_item(part: Item, version: Version) -> RequestBatchItem | UnreadableItem:
    try:
        return from_tree(RequestBatchItem, part, version, tag=Tag.BATCH_ITEM)
    except RemoteProtocolError as error:
        children = part.value if isinstance(part.value, tuple) else ()
        named = {child.tag: child.value for child in children}
        code = named.get(Tag.OPERATION)
        identifier = named.get(Tag.UNIQUE_BATCH_ITEM_ID)
        return UnreadableItem(
            error,
            Operation(code) if isinstance(code, int) else None,
            identifier if isinstance(identifier, bytes) else None,
        )


def check_header(request: Request) -> None:
    """Refuse a whole message for what its header says (KMIP 1.4 §6, §11.1).

    KMIP 1.4 §6.4 requires a Unique Batch Item ID for each of several items. Clients that leave them
    out rely on the order, which is kept anyway, so nothing is gained by refusing them.
    """
    count = request.header.batch_count
    if count is not None and count != len(request.items):
        raise OperationError(
            ResultReason.INVALID_MESSAGE,
            f"Batch Count is {count}, but the message has {len(request.items)} items",
        )
