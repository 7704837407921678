"""Requests and responses as trees, for messages that our own classes would not write."""

from laboratory import Laboratory

from kmipkit.spec.enums import Operation
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item


def structure(tag: int, *items: Item) -> Item:
    return Item(tag, ItemType.STRUCTURE, items)


def text(tag: int, value: str) -> Item:
    return Item(tag, ItemType.TEXT_STRING, value)


def integer(tag: int, value: int) -> Item:
    return Item(tag, ItemType.INTEGER, value)


def enumeration(tag: int, value: int) -> Item:
    return Item(tag, ItemType.ENUMERATION, value)


def attribute(name: str, value: Item) -> Item:
    return structure(
        Tag.ATTRIBUTE,
        text(Tag.ATTRIBUTE_NAME, name),
        Item(Tag.ATTRIBUTE_VALUE, value.type, value.value),
    )


def request(
    version: Version, *operations: tuple[Operation, list[Item]], header: tuple[Item, ...] = ()
) -> bytes:
    numbers = structure(
        Tag.PROTOCOL_VERSION,
        integer(Tag.PROTOCOL_VERSION_MAJOR, version.major),
        integer(Tag.PROTOCOL_VERSION_MINOR, version.minor),
    )
    count = integer(Tag.BATCH_COUNT, len(operations))
    items = [
        structure(
            Tag.BATCH_ITEM,
            enumeration(Tag.OPERATION, operation),
            *(
                [Item(Tag.UNIQUE_BATCH_ITEM_ID, ItemType.BYTE_STRING, bytes([index]))]
                if len(operations) > 1
                else []
            ),
            structure(Tag.REQUEST_PAYLOAD, *payload),
        )
        for index, (operation, payload) in enumerate(operations)
    ]
    message = structure(
        Tag.REQUEST_MESSAGE, structure(Tag.REQUEST_HEADER, numbers, *header, count), *items
    )
    return binary.encode(message)


def find(item: Item, tag: int) -> list[Item]:
    inner = item.value if isinstance(item.value, tuple) else ()
    return [
        *([item] if item.tag == tag else []),
        *(each for child in inner for each in find(child, tag)),
    ]


def values(answer: Item, tag: int) -> list[object]:
    return [item.value for item in find(answer, tag)]


def send(laboratory: Laboratory, data: bytes, identity: str = "me") -> Item:
    return binary.decode(laboratory.exchange(data, identity))
