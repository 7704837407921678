"""Just enough DER to tell structures apart (X.690 §8.1); the library parses what they hold."""

from collections.abc import Iterator
from typing import NamedTuple


class Element(NamedTuple):
    """One type-length-value of DER."""

    tag: int
    content: bytes
    whole: bytes


INTEGER, OCTET_STRING, SEQUENCE = 0x02, 0x04, 0x30


def elements(data: bytes) -> Iterator[Element]:
    """The elements that follow one another in ``data``; ``ValueError`` where that is not DER."""
    at = 0
    while at < len(data):
        start = at
        if len(data) - at < 2:
            raise ValueError("an element is cut off")
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4 or len(data) - at < count:
                raise ValueError("a length is not one of DER")
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if len(data) - at < length:
            raise ValueError("an element is cut off")
        yield Element(tag, data[at : at + length], data[start : at + length])
        at += length


def shape(data: bytes) -> tuple[int, ...]:
    """The tags of the elements inside the one SEQUENCE that ``data`` is; empty if it is none."""
    try:
        outer = list(elements(data))
        if len(outer) != 1 or outer[0].tag != SEQUENCE:
            return ()
        return tuple(element.tag for element in elements(outer[0].content))
    except ValueError:
        return ()
