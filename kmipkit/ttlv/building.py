"""Building a tree from XML or JSON, within the limits.

The XML and JSON readers report structures and values; depth, number of items, and the size that the
message has in binary form, are checked here before an item is stored. Each value is encoded in binary
form to check its range, so all three encodings accept the same values.
"""

from collections.abc import Callable
from typing import TypeAlias

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_number
from kmipkit.ttlv.binary import encode
from kmipkit.ttlv.framing import HEADER_SIZE, TAG_PREFIXES, WITH_ANY_TAGS
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.paths import step
from kmipkit.ttlv.text import TYPES, meaning, read_value
from kmipkit.ttlv.tree import Item, ItemValue

Placeholder: TypeAlias = Callable[[str, ItemType, int], ItemValue]
"""The value of a text that begins with ``$``, from the text, the type of the item, and its tag."""

SCALE = 16
"""Maximum number of XML or JSON characters for one byte of the binary form."""


def check_size(text: bytes | str, limits: Limits) -> None:
    """Refuse a text that is too long for any message within the limits."""
    maximum = limits.max_message * SCALE
    if len(text) > maximum:
        message = f"the message has {len(text)} characters; the limit is {maximum}"
        raise RemoteProtocolError(message, cause=Cause.TOO_LARGE)


class Builder:
    """The tree so far; ``position`` returns the position in the text, for errors."""

    def __init__(
        self,
        limits: Limits,
        position: Callable[[], int | None],
        placeholder: Placeholder | None = None,
    ) -> None:
        self.messages: list[Item] = []
        """The finished messages."""
        self._limits = limits
        self._position = position
        self._placeholder = placeholder
        self._open: list[tuple[int, list[Item]]] = []
        self._size = 0
        self._items = 0

    def tag(self, name: str) -> int:
        """The number of a tag, from its name or ``0x`` and six digits (KMIP 1.4 §9.1.1.1)."""
        tag = tag_number(name)
        if tag is None:
            raise self.error(Cause.BAD_TAG, f"unknown tag {name[:80]!r}")
        is_free = any(open_tag in WITH_ANY_TAGS for open_tag, _ in self._open)
        if tag >> 16 not in TAG_PREFIXES and not is_free:
            message = f"a tag begins with 42 or 54, not with {tag >> 16:02X}"
            raise self.error(Cause.BAD_TAG, message)
        return tag

    def type(self, name: str | None) -> ItemType:
        """The item type of this name; a Structure if there is no name."""
        if name is None:
            return ItemType.STRUCTURE
        if name not in TYPES:
            raise self.error(Cause.BAD_TYPE, f"unknown item type {name[:80]!r}")
        return TYPES[name]

    def open(self, tag: int) -> None:
        if len(self._open) >= self._limits.max_depth:
            message = f"structures are nested more than {self._limits.max_depth} deep"
            raise self.error(Cause.TOO_DEEP, message, tag)
        self._count(tag, HEADER_SIZE)
        self._open.append((tag, []))

    def close(self) -> None:
        tag, items = self._open.pop()
        self._add(Item(tag, ItemType.STRUCTURE, tuple(items)))

    def text(self, tag: int, item_type: ItemType, text: str) -> None:
        """Add the item whose value is written as ``text``."""
        if self._placeholder is not None and text.startswith("$"):
            self.value(tag, item_type, self._placeholder(text, item_type, tag))
            return
        siblings = self._open[-1][1] if self._open else []
        try:
            value = read_value(item_type, text, meaning(tag, siblings))
        except ValueError as error:
            raise self.error(Cause.BAD_VALUE, str(error), tag) from None
        self.value(tag, item_type, value)

    def value(self, tag: int, item_type: ItemType, value: ItemValue) -> None:
        """Add an item. RemoteProtocolError if its type does not permit the value."""
        item = Item(tag, item_type, value)
        try:
            size = len(encode(item))
        except LocalProtocolError as error:
            raise self.error(error.cause, error.message, tag) from None
        self._count(tag, size)
        self._add(item)

    def error(self, cause: Cause, message: str, tag: int | None = None) -> RemoteProtocolError:
        tags = [open_tag for open_tag, _ in self._open] + ([] if tag is None else [tag])
        before = [self.messages, *(items for _, items in self._open)]
        path = "/".join(
            step(at, [item.tag for item in items]) for at, items in zip(tags, before, strict=False)
        )
        return RemoteProtocolError(message, cause=cause, path=path, offset=self._position())

    def _count(self, tag: int, size: int) -> None:
        if not self._open:
            # The limits apply to one message; a text may contain several.
            self._size = self._items = 0
        self._items += 1
        self._size += size
        if self._items > self._limits.max_items:
            message = f"the message has more than {self._limits.max_items} items"
            raise self.error(Cause.TOO_MANY_ITEMS, message, tag)
        if self._size > self._limits.max_message:
            message = f"the message has more than {self._limits.max_message} bytes in binary form"
            raise self.error(Cause.TOO_LARGE, message, tag)

    def _add(self, item: Item) -> None:
        (self._open[-1][1] if self._open else self.messages).append(item)
