"""Enough DER to distinguish structures (X.690 §8.1); the library parses their contents."""

from collections.abc import Iterator
from typing import NamedTuple


class Element(NamedTuple):
    """One type-length-value of DER."""

    tag: int
    content: bytes
    encoded: bytes
    """The element with its tag and length."""


INTEGER, OCTET_STRING, SEQUENCE = 0x02, 0x04, 0x30


def elements(data: bytes) -> Iterator[Element]:
    """The elements in ``data``, one after the other; ``ValueError`` if it is not DER."""
    position = 0
    while position < len(data):
        start = position
        if len(data) - position < 2:
            raise ValueError("an element is cut off")
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or len(data) - position < count:
                raise ValueError("a length is not valid in DER")
            length = int.from_bytes(data[position : position + count], "big")
            position += count
        if len(data) - position < length:
            raise ValueError("an element is cut off")
        yield Element(tag, data[position : position + length], data[start : position + length])
        position += length


def shape(data: bytes) -> tuple[int, ...]:
    """The tags of the elements in the SEQUENCE ``data``; empty if it is not one SEQUENCE."""
    try:
        outer = list(elements(data))
        if len(outer) != 1 or outer[0].tag != SEQUENCE:
            return ()
        return tuple(element.tag for element in elements(outer[0].content))
    except ValueError:
        return ()
