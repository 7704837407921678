"""Which value of the second side stands for which of the first: identifiers, times, keys, and so on.

The first time that two chosen values stand in the same place, they are bound to each other. From then
on the second one is expected wherever the first one is, and a replay puts it into its requests.
"""

import os
from dataclasses import dataclass, field

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.text import big_integer_bytes
from kmipkit.ttlv.tree import Item, ItemValue
from kmipkit_proxy.items import children
from kmipkit_proxy.meaning import Kind, Place

MIN_SIZE = 8
"""Bytes of a value that is not equal to another one by chance; shorter ones are not bound."""


@dataclass(slots=True)
class Bindings:
    """The values that were bound so far."""

    identifiers: dict[ItemValue, ItemValue] = field(default_factory=dict)
    values: dict[ItemValue, ItemValue] = field(default_factory=dict)
    """Key material, and what follows from it."""
    asked_times: dict[tuple[int, ItemValue], ItemValue] = field(default_factory=dict)
    """Times that a client has chosen, by the item that has them."""
    answered_times: dict[ItemValue, ItemValue] = field(default_factory=dict)
    replaced: int = 0
    """How many redacted values were replaced by random ones."""
    _taken: set[tuple[bool, ItemValue]] = field(default_factory=set)

    def is_taken(self, kind: Kind, value: ItemValue) -> bool:
        """Whether a value of the second side stands for one of the first already."""
        return (kind is Kind.IDENTIFIER, value) in self._taken

    def bound(self, kind: Kind, value: ItemValue) -> "ItemValue | None":
        """The identifier or value that stands for another one; None if there is none."""
        return (self.identifiers if kind is Kind.IDENTIFIER else self.values).get(value)

    def bind(self, kind: Kind, first: ItemValue, second: ItemValue) -> None:
        """Let ``second`` stand for ``first``."""
        if kind is Kind.IDENTIFIER:
            self.identifiers[first] = second
        elif _size(first) >= MIN_SIZE:
            self.values[first] = second
        else:
            return
        self._taken.add((kind is Kind.IDENTIFIER, second))

    # --- requests of a replay --------------------------------------------------------------------

    def filled(self, request: Item, now: int, *, is_redacted: bool) -> Item:
        """A recorded request as another server needs it; ``now`` in seconds since 1970."""
        return self._filled(request, Place(), now, is_redacted)

    def _filled(self, item: Item, place: Place, now: int, is_redacted: bool) -> Item:
        if isinstance(item.value, tuple):
            inner = place.within(item)
            filled = (self._filled(child, inner, now, is_redacted) for child in children(item))
            return Item(item.tag, item.type, tuple(filled))
        kind = place.kind(item)
        if kind is Kind.TIME:
            # A server refuses a request whose Time Stamp is an old one (KMIP 1.4 §6.5).
            value = now if item.tag == Tag.TIME_STAMP else self.answered_times.get(item.value)
        elif kind is Kind.PLAIN or kind is Kind.IGNORED:
            value = None
        else:
            value = self.bound(kind, item.value)
        if value is None and kind is Kind.MATERIAL and is_redacted:
            value = self._random(item)
        return item if value is None else Item(item.tag, item.type, value)

    def _random(self, item: Item) -> ItemValue:
        """Random bytes in place of redacted ones: nobody who has the capture knows them."""
        self.replaced += 1
        if isinstance(item.value, bytes):
            value: ItemValue = os.urandom(len(item.value))
        elif item.type is ItemType.BIG_INTEGER and isinstance(item.value, int):
            size = len(big_integer_bytes(item.value))
            value = int.from_bytes(os.urandom(size), "big", signed=True)
        else:
            return item.value
        self.bind(Kind.MATERIAL, item.value, value)
        return value


def _size(value: ItemValue) -> int:
    if isinstance(value, bytes | str):
        return len(value)
    return len(big_integer_bytes(value)) - 1 if isinstance(value, int) else 0
