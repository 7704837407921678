"""Messages with gaps: encoded messages that are the same but for some byte strings.

TTLV has the length of a byte string before its value (KMIP 1.4 §9.1.1). So two messages that differ only
in such values of the same length have the same structure, and every other field of theirs is the same.
"""

import struct
from collections.abc import Iterable

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag

_pack_head = struct.Struct(">II").pack

Gaps = tuple[tuple[int, int], ...]
"""Where each value begins and ends."""

Parts = tuple[bytes, ...]
"""What is before, between and after the values."""


def find_gaps(message: bytes, values: Iterable[tuple[Tag, bytes]]) -> Gaps | None:
    """The places of byte strings in a message that has them in this order.

    None if the place of one of them is not certain, because the same bytes are also elsewhere.
    """
    found: list[tuple[int, int]] = []
    for tag, value in values:
        item = _pack_head(tag << 8 | ItemType.BYTE_STRING, len(value)) + value
        at = message.find(item)
        if at < 0 or at != message.rfind(item):
            return None
        start = at + 8
        if found and start < found[-1][1]:
            return None
        found.append((start, start + len(value)))
    return tuple(found)


def cut(message: bytes, gaps: Gaps) -> tuple[Parts, Parts]:
    """The parts of a message outside of the gaps, and the values in them."""
    if len(gaps) == 1:  # the most usual case
        [(start, end)] = gaps
        return (message[:start], message[end:]), (message[start:end],)
    outside, inside, at = [], [], 0
    for start, end in gaps:
        outside.append(message[at:start])
        inside.append(message[start:end])
        at = end
    return (*outside, message[at:]), tuple(inside)


def fill(parts: Parts, values: Parts) -> Parts:
    """The parts of a message with values in its gaps."""
    filled = [parts[0]]
    for value, part in zip(values, parts[1:], strict=True):
        filled += (value, part)
    return tuple(filled)
