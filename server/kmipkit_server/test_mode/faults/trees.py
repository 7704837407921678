"""Changing an encoded message as a tree of items."""

from collections.abc import Callable, Iterator

from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item, ItemValue

Change = Callable[[Item], Item | None]
"""Another item, or None for one that stays as it is."""


def items(item: Item) -> Iterator[Item]:
    """An item and all that it contains, from the beginning of the message to its end."""
    yield item
    if isinstance(item.value, tuple):
        for child in item.value:
            yield from items(child)


def values_of(item: Item, tag: int) -> list[ItemValue]:
    """The values with a tag directly inside a structure."""
    inner = item.value if isinstance(item.value, tuple) else ()
    return [each.value for each in inner if each.tag == tag]


def changed(item: Item, change: Change) -> Item:
    """A tree in which each item for which ``change`` returns another one is replaced by it."""
    replacement = change(item)
    if replacement is not None:
        return replacement
    if not isinstance(item.value, tuple):
        return item
    return Item(item.tag, item.type, tuple(changed(child, change) for child in item.value))


def changed_answer(answer: bytes, change: Change) -> bytes | None:
    """The same for an encoded message; None if nothing has changed."""
    before = binary.decode(answer)
    after = changed(before, change)
    return None if after == before else binary.encode(after)
