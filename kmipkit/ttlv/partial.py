"""What is there of a message that is cut off."""

from kmipkit.errors import RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv import binary
from kmipkit.ttlv.framing import HEADER_SIZE, TAG_PREFIXES, WITH_ANY_TAGS
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item

_ANY_TAG = b"\x42\0\0"


def decode_available(data: bytes, limits: Limits) -> Item | None:
    """The first item with all complete items inside; None if not even its beginning is there.

    Structures that are cut off end with the data; what follows the first malformed item is not read.
    """
    items, _ = _Available(data, limits).items(0, len(data), limits.max_depth, is_free=False)
    return items[0] if items else None


class _Available:
    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data = data
        self._limits = limits

    def items(self, pos: int, end: int, depth: int, *, is_free: bool) -> tuple[list[Item], bool]:
        """The items from a position to an end, and whether all of them are complete.

        ``is_free`` says whether a vendor defines the items, which may then have any tags.
        """
        items: list[Item] = []
        while pos < end:
            head = self._data[pos : min(pos + HEADER_SIZE, end)]
            if len(head) < HEADER_SIZE or not (is_free or head[0] in TAG_PREFIXES):
                return items, False
            length = int.from_bytes(head[4:], "big")
            stop = pos + HEADER_SIZE + length + (-length & 7)
            item, is_complete = self._item(pos, min(stop, end), depth, is_free)
            if item is not None:
                items.append(item)
            if item is None or not is_complete or stop > end:
                return items, False
            pos = stop
        return items, True

    def _item(self, pos: int, stop: int, depth: int, is_free: bool) -> tuple[Item | None, bool]:
        """The item at a position, whether complete or not; None if it has no complete value."""
        tag = int.from_bytes(self._data[pos : pos + 3], "big")
        if self._data[pos + 3] == ItemType.STRUCTURE and depth:
            inner, is_complete = self.items(
                pos + HEADER_SIZE, stop, depth - 1, is_free=is_free or tag in WITH_ANY_TAGS
            )
            return Item(tag, ItemType.STRUCTURE, tuple(inner), pos), is_complete
        try:
            item = binary.decode(_ANY_TAG + self._data[pos + 3 : stop], self._limits)
        except RemoteProtocolError:
            return None, False
        return Item(tag, item.type, item.value, pos), True
