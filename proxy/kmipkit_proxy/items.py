"""What the commands ask of a message as a tree; nothing here expects a valid one."""

from collections.abc import Iterator

from kmipkit.spec.names import value_name
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

_HEADERS = (Tag.REQUEST_HEADER, Tag.RESPONSE_HEADER)


def children(item: Item) -> tuple[Item, ...]:
    """The items in a structure; none in a value."""
    return item.value if isinstance(item.value, tuple) else ()


def find(item: Item, *path: Tag) -> Item | None:
    """The first item at a path of tags."""
    for tag in path:
        found = next((child for child in children(item) if child.tag == tag), None)
        if found is None:
            return None
        item = found
    return item


def batch_items(message: Item) -> list[Item]:
    """The batch items of a message."""
    return [child for child in children(message) if child.tag == Tag.BATCH_ITEM]


def version_of(message: Item) -> str:
    """The protocol version in the header of a message, such as ``2.1``; empty if there is none."""
    for header in _HEADERS:
        numbers = [
            find(message, header, Tag.PROTOCOL_VERSION, tag)
            for tag in (Tag.PROTOCOL_VERSION_MAJOR, Tag.PROTOCOL_VERSION_MINOR)
        ]
        if None not in numbers:
            return ".".join(str(number.value) for number in numbers if number is not None)
    return ""


def name_of(item: Item | None) -> str:
    """The name of an enumeration value; its number if it has no name; empty if there is no item."""
    if item is None or not isinstance(item.value, int):
        return ""
    return value_name(item.tag, item.value) or f"0x{item.value:08X}"


def summaries(message: Item) -> Iterator[str]:
    """What each batch item asks, or how it ended: ``Create``, ``Get OperationFailed ItemNotFound``."""
    for item in batch_items(message):
        tags = (Tag.OPERATION, Tag.RESULT_STATUS, Tag.RESULT_REASON)
        yield " ".join(filter(None, (name_of(find(item, tag)) for tag in tags)))
