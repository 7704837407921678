"""Placeholders: values that a case does not fix, and their values in a run.

A placeholder is a whole value, ``$NAME`` or ``$NOW`` with an offset in seconds (Profiles 2.1 §4). It
is read into a value of the item's own Python type, so that a tree with placeholders is a tree.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item, ItemValue

_NOW = re.compile(r"\$NOW([+-][0-9]+)?$")

LATEST = frozenset({"ASYNCHRONOUS_CORRELATION_VALUE", "CORRELATION_VALUE", "SIGNATURE_DATA"})
"""Placeholders for the value in the latest response, not in the first."""

CLIENT_GENERATED = re.compile(r"(SHORT_)?UNIQUE_IDENTIFIER_RANDOM_[0-9]+$")
"""Identifiers that the client generates."""

ANY_OBJECT = re.compile(r"ANY_[0-9]+$")
"""Identifiers of objects that a Locate may return, where the standard does not say which of several."""

_BY_TAG = {
    "DATA": Tag.DATA,
    "IV_COUNTER_NONCE": Tag.IV_COUNTER_NONCE,
    "AUTHENTICATED_ENCRYPTION_TAG": Tag.AUTHENTICATED_ENCRYPTION_TAG,
    "MAC_DATA": Tag.MAC_DATA,
    "SIGNATURE_DATA": Tag.SIGNATURE_DATA,
    "TICKET_VALUE": Tag.TICKET_VALUE,
}
"""Placeholders that some cases use in a request, although none of their responses has them."""


class Symbol:
    """Base of the values that are placeholders."""

    name: str


class TextSymbol(Symbol, str):  # noqa: SLOT000 - the name needs a place
    """A placeholder for a text."""


class BytesSymbol(Symbol, bytes):
    """A placeholder for bytes."""


class NumberSymbol(Symbol, int):
    """A placeholder for a number of any kind."""


class Now(int):
    """A point in time relative to the run, in seconds."""


def read(text: str, item_type: ItemType, tag: int) -> ItemValue:
    """The value for a placeholder; the XML reader also passes the tag, which does not matter."""
    del tag
    match = _NOW.match(text)
    if match and item_type is ItemType.DATE_TIME:
        return Now(int(match[1] or 0))
    symbol: TextSymbol | BytesSymbol | NumberSymbol
    if item_type in (ItemType.BYTE_STRING, ItemType.BIG_INTEGER):
        symbol = BytesSymbol(text.encode())
    elif item_type in (ItemType.INTEGER, ItemType.ENUMERATION, ItemType.DATE_TIME):
        symbol = NumberSymbol(0)
    else:
        symbol = TextSymbol(text)
    symbol.name = text.lstrip("$")
    return symbol


def symbols(item: Item) -> Iterator[Symbol]:
    """The placeholders in an item, at any depth; times relative to now are none."""
    if isinstance(item.value, tuple):
        for child in item.value:
            yield from symbols(child)
    elif isinstance(item.value, Symbol):
        yield item.value


def readable(item: Item) -> Item:
    """The tree with each placeholder as its text in the case."""
    value = item.value
    if isinstance(value, tuple):
        return Item(item.tag, item.type, tuple(map(readable, value)))
    if isinstance(value, Now):
        return Item(item.tag, ItemType.TEXT_STRING, f"$NOW{int(value):+}" if value else "$NOW")
    if isinstance(value, Symbol):
        return Item(item.tag, ItemType.TEXT_STRING, f"${value.name}")
    return item


@dataclass(slots=True)
class Bindings:
    """The values of the placeholders of one case; ``now`` in seconds since 1970."""

    now: int
    values: dict[str, Any] = field(default_factory=dict)
    latest: dict[int, Any] = field(default_factory=dict)
    """The last value that a response had under a tag."""
    sent_dates: set[int] = field(default_factory=set)
    times: list[int] = field(default_factory=list)
    """The times of the steps so far."""
    shift: int = 0
    """Seconds by which the dates in requests lie in the past, so that a case need not wait."""
    random: Callable[[int], bytes] = os.urandom
    """Where identifiers come from that the client generates: random bytes of a number."""

    def at(self, now: int) -> None:
        """Set the time of the next step: the value of ``$NOW`` in its request."""
        self.now = now - self.shift
        self.times.append(now)

    def is_now(self, offset: int, value: int, tolerance: int) -> bool:
        """Whether a date is ``$NOW`` plus ``offset`` seconds; ``$NOW`` may be the time of any step."""
        times = {*self.times, *(now - self.shift for now in self.times), self.now}
        return any(abs(now + offset - value) <= tolerance for now in times)

    def fill(self, item: Item) -> Item:
        """The request with values in place of its placeholders."""
        value = item.value
        if isinstance(value, tuple):
            return Item(item.tag, item.type, tuple(self.fill(child) for child in value))
        if isinstance(value, Now):
            value = self.now + int(value)
        elif isinstance(value, Symbol):
            value = self._value(value)
        if item.type is ItemType.DATE_TIME and isinstance(value, int):
            self.sent_dates.add(value)
        return Item(item.tag, item.type, value)

    def _value(self, symbol: Any) -> Any:
        name = symbol.name
        if name in self.values:
            return self.values[name]
        if CLIENT_GENERATED.match(name):
            is_bytes = isinstance(symbol, bytes)
            random = self.random(32 if is_bytes else 16)
            self.values[name] = random if is_bytes else str(uuid.UUID(bytes=random, version=4))
            return self.values[name]
        base = re.sub(r"_[0-9]+$", "", name)
        return self.latest.get(_BY_TAG.get(base, 0), symbol)

    def bind(self, symbol: Symbol, value: Any) -> bool:
        """Whether a value matches the placeholder. Any first value does; later values must equal it."""
        if symbol.name in LATEST or symbol.name not in self.values:
            self.values[symbol.name] = value
            return True
        return bool(self.values[symbol.name] == value)

    def note(self, response: Item) -> None:
        """Store the values to which later requests may refer by tag."""
        if isinstance(response.value, tuple):
            for child in response.value:
                self.note(child)
        else:
            self.latest[response.tag] = response.value
