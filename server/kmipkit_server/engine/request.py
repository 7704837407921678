"""Reading a request message, item by item if a part of it is malformed.

A well-formed message is decoded at once. If that fails, its items are decoded one by one: "error
parsing batch item or payload within batch item: batch item fails" (KMIP 1.4 §11.1), and the others
are carried out. Only a message without a header or without items fails as a whole.

Some clients send a field, attribute or value that only a later version has: Percona Server and MySQL
speak 1.0 and page each Locate with Offset Items, which came with 1.3. Unless the server is strict,
what such a client means is clear and is carried out. Responses never have it.
"""

from dataclasses import dataclass

from kmipkit.errors import Cause, OperationError, RemoteProtocolError
from kmipkit.model.codec import from_tree
from kmipkit.model.envelope import decode_request, peek_version
from kmipkit.model.field_types import VersionJudge
from kmipkit.model.headers import RequestHeader
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """A malformed batch item. Its response has the operation and identifier if they can be read."""

    error: RemoteProtocolError
    operation: Operation | None
    unique_batch_item_id: bytes | None
    critical_extension: str | None = None
    """The vendor of a critical Message Extension that it has all the same."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request message in a supported version."""

    version: Version
    header: RequestHeader
    items: tuple[RequestBatchItem | UnreadableItem, ...]
    later: tuple[RemoteProtocolError, ...] = ()
    """What only later versions have and the server accepts nevertheless, as the errors that would refuse
    it."""


def read_request(data: bytes, limits: Limits, *, strict: bool = False) -> Request:
    """Decode a request; RemoteProtocolError if it has no header or no items.

    With ``strict``, what only a later version has is refused.
    """
    try:
        message, version = decode_request(data, limits=limits, judge=judge_of(strict))
    except RemoteProtocolError:
        return _read_parts(data, limits, strict)
    return Request(version, message.request_header, message.batch_items)


def judge_of(strict: bool) -> VersionJudge:
    """Decides about what only later versions have, as far as that is clear from it alone."""
    return _refuse if strict else _stop


def _refuse(_error: RemoteProtocolError) -> bool:
    """Accept nothing that only a later version has."""
    return False


def _stop(error: RemoteProtocolError) -> bool:
    """Leave the decision to :func:`_read_parts`, so that other requests need no list."""
    raise error


def require_version(request: Request, offered: tuple[Version, ...]) -> None:
    """Refuse a request in a version that is not offered; RemoteProtocolError names those that are.

    Clients do not know them when they ask for them, so Discover Versions is answered in each version.
    """
    if request.version in offered:
        return
    if any(item.operation is not Operation.DISCOVER_VERSIONS for item in request.items):
        supported = ", ".join(map(str, offered))
        raise RemoteProtocolError(
            f"KMIP {request.version} is not supported; supported versions are {supported}",
            cause=Cause.UNSUPPORTED_VERSION,
        )


def _read_parts(data: bytes, limits: Limits, strict: bool) -> Request:
    version = peek_version(data)
    root = binary.decode(data, limits)
    parts = root.value if isinstance(root.value, tuple) else ()
    if version not in VERSIONS or len(parts) < 2 or any(p.tag != Tag.BATCH_ITEM for p in parts[1:]):
        decode_request(data, limits=limits)  # raises the error that names the fault
        raise RemoteProtocolError("the message has no batch item", cause=Cause.MISSING_FIELD)
    later: list[RemoteProtocolError] = []

    def note(error: RemoteProtocolError) -> bool:
        later.append(error)
        return True

    judge = _refuse if strict else note
    header = from_tree(RequestHeader, parts[0], version, tag=Tag.REQUEST_HEADER, judge=judge)
    items = tuple(_read_item(part, version, judge) for part in parts[1:])
    return Request(version, header, items, tuple(later))


def _read_item(
    part: Item, version: Version, judge: VersionJudge
) -> RequestBatchItem | UnreadableItem:
    try:
        return from_tree(RequestBatchItem, part, version, tag=Tag.BATCH_ITEM, judge=judge)
    except RemoteProtocolError as error:
        children = part.value if isinstance(part.value, tuple) else ()
        by_type = {(child.tag, child.type): child.value for child in children}
        code = by_type.get((Tag.OPERATION, ItemType.ENUMERATION))
        identifier = by_type.get((Tag.UNIQUE_BATCH_ITEM_ID, ItemType.BYTE_STRING))
        return UnreadableItem(
            error,
            Operation(code) if isinstance(code, int) else None,
            identifier if isinstance(identifier, bytes) else None,
            _critical_extension(children),
        )


def _critical_extension(children: tuple[Item, ...]) -> str | None:
    """The vendor of a critical Message Extension of an item that cannot be read as a whole."""
    for child in children:
        if child.tag == Tag.MESSAGE_EXTENSION and isinstance(child.value, tuple):
            parts = {part.tag: part.value for part in child.value}
            if parts.get(Tag.CRITICALITY_INDICATOR) is True:
                return str(parts.get(Tag.VENDOR_IDENTIFICATION, "unknown"))
    return None


def check_header(request: Request) -> None:
    """Refuse a whole message because of its header (KMIP 1.4 §6, §11.1).

    KMIP 1.4 §6.4 requires a Unique Batch Item ID for each of several items. Clients that omit them
    rely on the order of the responses, which the server keeps anyway; refusing them gains nothing.
    """
    count = request.header.batch_count
    if count is not None and count != len(request.items):
        raise OperationError(
            ResultReason.INVALID_MESSAGE,
            f"Batch Count is {count}, but the message has {len(request.items)} items",
        )


class CriticalExtension(OperationError):
    """A critical Message Extension, because of which every item of the message fails."""


def require_no_critical_extension(request: Request) -> None:
    """Refuse a whole message with a critical Message Extension, before any item is carried out.

    The server knows no Message Extension: "If the indicator is True (i.e., Critical), and the receiver
    does not understand the extension, then the receiver SHALL reject the entire message" (KMIP 1.4
    §6.16, KMIP 2.1 §9.13).
    """
    for item in request.items:
        vendor = None
        if isinstance(item, UnreadableItem):
            vendor = item.critical_extension
        elif item.message_extensions:
            critical = (each for each in item.message_extensions if each.criticality_indicator)
            vendor = next((each.vendor_identification for each in critical), None)
        if vendor is not None:
            raise CriticalExtension(
                ResultReason.UNKNOWN_MESSAGE_EXTENSION,
                f"the critical Message Extension of vendor {vendor!r} is not supported",
            )


def require_readable(item: RequestBatchItem | UnreadableItem) -> RequestBatchItem:
    """The item itself; OperationError if it is malformed."""
    if isinstance(item, UnreadableItem):
        raise OperationError(item.error.reason, str(item.error))
    return item
