"""Faults of responses: when they come, and what is in them.

An answer is changed in its encoding, so that it can be wrong in ways that no encoder writes. A function
returns None if the answer does not have what it would change: then the fault does not take place.
"""

import uuid
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn

import trio

from kmipkit.errors import OperationError
from kmipkit.model.messages import RequestBatchItem
from kmipkit.spec.enums import ObjectType, Operation, ProfileName, QueryFunction, ResultReason
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item, ItemValue
from kmipkit_server.test_mode.faults.trees import changed_answer, items

# --- instead of the operation --------------------------------------------------------------------


def failure(
    _item: RequestBatchItem,
    *,
    reason: ResultReason = ResultReason.GENERAL_FAILURE,
    message: str = "a fault on demand",
) -> NoReturn:
    """The operation fails with this Result Reason, and changes nothing."""
    raise OperationError(reason, message)


# --- before the response -------------------------------------------------------------------------


async def delay(*, seconds: float = 1.0) -> None:
    """The response comes late."""
    await trio.sleep(max(0.0, seconds))


async def silence() -> None:
    """There is no response; the connection stays open until the client closes it."""
    await trio.sleep_forever()


# --- the encoding --------------------------------------------------------------------------------


def _patched(answer: bytes, field: Tag, patch: Callable[[bytearray, int], None]) -> bytes | None:
    """The answer with some bytes changed at the beginning of the first item with this tag."""
    for item in items(binary.decode(answer)):
        if item.tag == field:
            data = bytearray(answer)
            patch(data, item.offset)
            return bytes(data)
    return None


def tag(answer: bytes, *, field: Tag = Tag.RESULT_STATUS, value: int = 0x42FFFE) -> bytes | None:
    """A field has another tag."""

    def patch(data: bytearray, at: int) -> None:
        data[at : at + 3] = min(max(value, 0), 0xFFFFFF).to_bytes(3, "big")

    return _patched(answer, field, patch)


def item_type(
    answer: bytes, *, field: Tag = Tag.RESULT_STATUS, value: ItemType = ItemType.BYTE_STRING
) -> bytes | None:
    """A field has another item type."""

    def patch(data: bytearray, at: int) -> None:
        data[at + 3] = value

    return _patched(answer, field, patch)


def length(answer: bytes, *, field: Tag = Tag.RESULT_STATUS, add: int = 8) -> bytes | None:
    """A field has a length that is larger or smaller than it should be."""

    def patch(data: bytearray, at: int) -> None:
        right = int.from_bytes(data[at + 4 : at + 8], "big")
        data[at + 4 : at + 8] = min(max(right + add, 0), 0xFFFFFFFF).to_bytes(4, "big")

    return _patched(answer, field, patch)


def garbage(answer: bytes, *, text: str = "HTTP/1.1 400 Bad Request\r\n\r\n") -> bytes:  # noqa: ARG001 - replaced
    """The response is something else than KMIP."""
    return text.encode()


def twice(answer: bytes) -> bytes:
    """The response comes twice."""
    return answer * 2


# --- the contents --------------------------------------------------------------------------------


def _with_value(
    answer: bytes, field: Tag, value: Callable[[Item], int | str | bytes]
) -> bytes | None:
    """The answer with another value in all items with this tag."""
    return changed_answer(
        answer, lambda item: Item(item.tag, item.type, value(item)) if item.tag == field else None
    )


def identifier(answer: bytes, *, value: str | None = None) -> bytes | None:
    """The response is about another object."""
    other = value or str(uuid.uuid4())
    return _with_value(answer, Tag.UNIQUE_IDENTIFIER, lambda _: other)


def operation(answer: bytes, *, value: Operation = Operation.POLL) -> bytes | None:
    """The response is one to another operation."""
    return _with_value(answer, Tag.OPERATION, lambda _: value)


def version(answer: bytes, *, value: Version = Version(9, 9)) -> bytes | None:  # noqa: B008 - immutable
    """The response is in another protocol version."""
    other = _version_item(value)
    return changed_answer(answer, lambda item: other if item.tag == Tag.PROTOCOL_VERSION else None)


def _version_item(number: Version) -> Item:
    """A Protocol Version."""
    major = Item(Tag.PROTOCOL_VERSION_MAJOR, ItemType.INTEGER, number.major)
    minor = Item(Tag.PROTOCOL_VERSION_MINOR, ItemType.INTEGER, number.minor)
    return Item(Tag.PROTOCOL_VERSION, ItemType.STRUCTURE, (major, minor))


def time_stamp(answer: bytes, *, seconds: int = -365 * 86400) -> bytes | None:
    """The Time Stamp is one of the past or (positive) of the future."""
    return _with_value(answer, Tag.TIME_STAMP, lambda item: _sum(item, seconds, 64))


def batch_count(answer: bytes, *, add: int = 1) -> bytes | None:
    """The Batch Count is not that of the items."""
    return _with_value(answer, Tag.BATCH_COUNT, lambda item: _sum(item, add, 32))


def _sum(item: Item, add: int, bits: int) -> int:
    """The value of an item with something added, as far as so many bits with a sign permit."""
    assert isinstance(item.value, int)
    limit = 1 << (bits - 1)
    return min(max(item.value + add, -limit), limit - 1)


def correlation(answer: bytes, *, value: bytes = b"\xff" * 4) -> bytes | None:
    """Batch items have another Unique Batch Item ID than those of the request, or one that is not asked
    for."""
    wrong = Item(Tag.UNIQUE_BATCH_ITEM_ID, ItemType.BYTE_STRING, value)

    def change(item: Item) -> Item | None:
        if item.tag != Tag.BATCH_ITEM or not isinstance(item.value, tuple):
            return None
        others = [each for each in item.value if each.tag != Tag.UNIQUE_BATCH_ITEM_ID]
        at = sum(each.tag == Tag.OPERATION for each in others[:1])  # after the Operation
        return Item(item.tag, item.type, (*others[:at], wrong, *others[at:]))

    return changed_answer(answer, change)


# --- lies ----------------------------------------------------------------------------------------


_AFTER_EXTENSIONS = frozenset(
    {
        Tag.ATTESTATION_TYPE, Tag.RNG_PARAMETERS, Tag.PROFILE_INFORMATION, Tag.VALIDATION_INFORMATION,
        Tag.CAPABILITY_INFORMATION, Tag.CLIENT_REGISTRATION_METHOD, Tag.DEFAULTS_INFORMATION,
        Tag.PROTECTION_STORAGE_MASKS,
    }
)  # fmt: skip
"""What follows the extensions in a response to Query (KMIP 2.1 §6.1.37)."""

FIRST_EXTENSION = 0x540000
"""The first tag that the standard leaves to extensions (KMIP 1.4 §9.1.3.1)."""


def query(
    answer: bytes,
    request: bytes,
    *,
    only: tuple[Operation, ...] = (),
    hide: tuple[Operation, ...] = (),
    claim: tuple[Operation, ...] = (),
    objects: tuple[ObjectType, ...] = (),
    profiles: tuple[ProfileName, ...] = (),
    extensions: tuple[str, ...] = (),
    vendor: str | None = None,
) -> bytes | None:
    """Query hides operations that the server has (all but ``only``), claims others, or names other
    object types, profiles and extensions, or another vendor."""
    asked = {each.value for each in items(binary.decode(request)) if each.tag == Tag.QUERY_FUNCTION}
    named = _extensions(extensions, asked)

    def operations(told: list[Item]) -> list[Item]:
        kept = [
            each for each in told if each.value not in hide and (not only or each.value in only)
        ]
        return [*kept, *_enumerations(Tag.OPERATION, claim)]

    def change(item: Item) -> Item | None:
        if item.tag != Tag.RESPONSE_PAYLOAD or not isinstance(item.value, tuple):
            return None
        told = list(item.value)
        told = _listed(told, Tag.OPERATION, operations)
        if objects:
            told = _listed(told, Tag.OBJECT_TYPE, lambda _: _enumerations(Tag.OBJECT_TYPE, objects))
        if profiles:
            told = _listed(told, Tag.PROFILE_INFORMATION, lambda _: _profiles(profiles))
        if vendor is not None:
            told = [
                Item(each.tag, each.type, vendor) if each.tag == Tag.VENDOR_IDENTIFICATION else each
                for each in told
            ]
        at = next((i for i, each in enumerate(told) if each.tag in _AFTER_EXTENSIONS), len(told))
        return Item(item.tag, item.type, (*told[:at], *named, *told[at:]))

    return changed_answer(answer, change)


def _listed(told: list[Item], tag: Tag, new: Callable[[list[Item]], list[Item]]) -> list[Item]:
    """Items with others in place of those with a tag, if there are any."""
    found = [each for each in told if each.tag == tag]
    if not found:
        return told
    at = told.index(found[0])
    others = [each for each in told if each.tag != tag]
    return [*others[:at], *new(found), *others[at:]]


def _enumerations(tag: Tag, values: Iterable[int]) -> list[Item]:
    return [Item(tag, ItemType.ENUMERATION, each) for each in values]


def _profiles(names: Iterable[ProfileName]) -> list[Item]:
    return [
        Item(
            Tag.PROFILE_INFORMATION,
            ItemType.STRUCTURE,
            tuple(_enumerations(Tag.PROFILE_NAME, (each,))),
        )
        for each in names
    ]


def _extensions(names: Iterable[str], asked: Collection[ItemValue]) -> list[Item]:
    """What Query says about extensions, as far as it was asked: with the map, also tag and type."""
    is_map = QueryFunction.QUERY_EXTENSION_MAP in asked
    if not is_map and QueryFunction.QUERY_EXTENSION_LIST not in asked:
        return []
    found = []
    for number, name in enumerate(names, FIRST_EXTENSION):
        fields = [Item(Tag.EXTENSION_NAME, ItemType.TEXT_STRING, name)]
        if is_map:
            fields.append(Item(Tag.EXTENSION_TAG, ItemType.INTEGER, number))
            fields.append(Item(Tag.EXTENSION_TYPE, ItemType.INTEGER, ItemType.TEXT_STRING))
        found.append(Item(Tag.EXTENSION_INFORMATION, ItemType.STRUCTURE, tuple(fields)))
    return found


def versions(answer: bytes, *, only: tuple[Version, ...] = (V1_0,)) -> bytes | None:
    """Discover Versions says that the server has these versions only."""
    told = tuple(map(_version_item, only))
    return changed_answer(
        answer,
        lambda item: Item(item.tag, item.type, told) if item.tag == Tag.RESPONSE_PAYLOAD else None,
    )
