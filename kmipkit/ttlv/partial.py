"""What is there of a message that is cut off."""

from kmipkit.errors import RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv import binary
from kmipkit.ttlv.framing import HEADER_SIZE
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item


def decode_available(data: bytes, limits: Limits) -> Item | None:
    """The first item with all complete items inside; None if not even its beginning is there.

    Structures that are cut off end with the data; what follows the first malformed item is not read.
    """
    items, _ = _items(data, 0, len(data), limits, limits.max_depth)
    return items[0] if items else None


def _items(data: bytes, pos: int, end: int, limits: Limits, depth: int) -> tuple[list[Item], bool]:
    """The items from a position to an end, and whether all of them are complete."""
    items: list[Item] = []
    while pos < end:
        if end - pos < HEADER_SIZE:
            return items, False
        tag, kind = int.from_bytes(data[pos : pos + 3], "big"), data[pos + 3]
        length = int.from_bytes(data[pos + 4 : pos + 8], "big")
        stop = pos + HEADER_SIZE + length + (-length & 7)
        if kind == ItemType.STRUCTURE and depth:
            inside = min(stop, end)
            inner, is_complete = _items(data, pos + HEADER_SIZE, inside, limits, depth - 1)
            items.append(Item(tag, ItemType.STRUCTURE, tuple(inner), pos))
            if not is_complete or stop > end:
                return items, False
        else:
            try:
                items.append(binary.decode(data[pos:stop], limits))
            except RemoteProtocolError:
                return items, False
        pos = stop
    return items, True
