"""Faults that servers of other vendors have or had, for which public reports exist.

They are what the files in ``personalities`` are made of; each of them names its sources.
"""

from collections.abc import Mapping
from typing import Any

from kmipkit.errors import Cause, OperationError, RemoteProtocolError
from kmipkit.model.attribute import Attributes, attribute_name
from kmipkit.model.envelope import peek_version
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import ObjectType, Operation, ResultReason
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit.spec.versions import V1_0, V1_1, Version
from kmipkit.ttlv.tree import Item
from kmipkit_server.test_mode.faults.trees import changed, changed_answer, values_of

# --- what the server does not have ---------------------------------------------------------------


def unsupported_version(
    request: bytes, *, only: tuple[Version, ...] = (V1_0, V1_1)
) -> RemoteProtocolError | None:
    """The server refuses requests in all other versions; Discover Versions must say so, too."""
    version = peek_version(request)
    if version is None or version in only:
        return None
    supported = ", ".join(map(str, only))
    return RemoteProtocolError(
        f"KMIP {version} is not supported; supported versions are {supported}",
        cause=Cause.UNSUPPORTED_VERSION,
    )


def unsupported_operation(item: RequestBatchItem, *, only: tuple[Operation, ...] = ()) -> None:
    """The server does not support any other operations; Query must say so, too."""
    if item.operation not in only:
        raise OperationError(
            ResultReason.OPERATION_NOT_SUPPORTED, f"{title(item.operation)} is not supported"
        )


def missing_attribute(
    item: RequestBatchItem,
    *,
    attribute: Tag = Tag.CRYPTOGRAPHIC_USAGE_MASK,
    reason: ResultReason = ResultReason.INVALID_MESSAGE,
) -> None:
    """The operation fails if its request does not have this attribute."""
    attributes: Any = getattr(item.request_payload, "attributes", None)
    if isinstance(attributes, Attributes) and attributes.get(attribute) is None:
        raise OperationError(reason, f"attribute {attribute_name(attribute)} is missing")


# --- responses that are not as the standard says -------------------------------------------------


def object_type(answer: bytes, *, value: ObjectType = ObjectType.SYMMETRIC_KEY) -> bytes | None:
    """The response to Register begins with an Object Type, which it does not have in the standard."""
    added = Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, value)

    def change(item: Item) -> Item | None:
        if item.tag != Tag.BATCH_ITEM or values_of(item, Tag.OPERATION) != [Operation.REGISTER]:
            return None
        return changed(item, payload)

    def payload(item: Item) -> Item | None:
        if item.tag != Tag.RESPONSE_PAYLOAD or not isinstance(item.value, tuple):
            return None
        return Item(item.tag, item.type, (added, *item.value))

    return changed_answer(answer, change)


def server_correlation(answer: bytes, *, value: str = "0123456789") -> bytes | None:
    """The header has a Server Correlation Value in all versions, also in those that have none."""
    added = Item(Tag.SERVER_CORRELATION_VALUE, ItemType.TEXT_STRING, value)

    def change(item: Item) -> Item | None:
        if item.tag != Tag.RESPONSE_HEADER or not isinstance(item.value, tuple):
            return None
        others = [each for each in item.value if each.tag != added.tag]
        at = next(i for i, each in enumerate(others) if each.tag == Tag.TIME_STAMP) + 1
        return Item(item.tag, item.type, (*others[:at], added, *others[at:]))

    return changed_answer(answer, change)


_SOME_INFORMATION = Item(
    Tag.SERVER_INFORMATION,
    ItemType.STRUCTURE,
    (Item(0x540001, ItemType.TEXT_STRING, "of its vendor"),),
)


def query_order(answer: bytes) -> bytes | None:
    """The response to Query has a Server Information, in all versions, before the Vendor
    Identification."""

    def change(item: Item) -> Item | None:
        if item.tag != Tag.RESPONSE_PAYLOAD or not isinstance(item.value, tuple):
            return None
        told = [each for each in item.value if each.tag == Tag.SERVER_INFORMATION]
        others = [each for each in item.value if each.tag != Tag.SERVER_INFORMATION]
        vendor = [i for i, each in enumerate(others) if each.tag == Tag.VENDOR_IDENTIFICATION]
        for at in vendor[:1]:
            moved = told or [_SOME_INFORMATION]
            return Item(item.tag, item.type, (*others[:at], *moved, *others[at:]))
        return None

    return changed_answer(answer, change)


def reason(
    answer: bytes,
    *,
    instead_of: tuple[ResultReason, ...] = (),
    value: ResultReason = ResultReason.GENERAL_FAILURE,
    message: str | None = None,
) -> bytes | None:
    """Failures have this Result Reason instead of all others, or of those in the list."""

    def change(item: Item) -> Item | None:
        if item.tag != Tag.BATCH_ITEM or not isinstance(item.value, tuple):
            return None
        told = values_of(item, Tag.RESULT_REASON)
        if not told or (instead_of and told[0] not in instead_of):
            return None
        new = {Tag.RESULT_REASON: value, Tag.RESULT_MESSAGE: message}
        return Item(item.tag, item.type, tuple(_replaced(each, new) for each in item.value))

    return changed_answer(answer, change)


def _replaced(item: Item, values: Mapping[Tag, int | str | None]) -> Item:
    new = values.get(Tag(item.tag))
    return item if new is None else Item(item.tag, item.type, new)
