"""Enough DER to distinguish structures and to read numbers (X.690 §8); the library does the rest."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple


class Element(NamedTuple):
    """One type-length-value of DER."""

    tag: int
    content: bytes
    encoded: bytes
    """The element with its tag and length."""


INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x05, 0x06
SEQUENCE, SET = 0x30, 0x31
CONTEXT_0, CONTEXT_3 = 0xA0, 0xA3
"""The constructed context-specific tags [0] and [3]."""

_CONSTRUCTED = 0x20
_MAX_DEPTH = 32
MAX_ELEMENTS = 20_000
"""Elements in nested structures at most: reading more takes long."""


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


def sequence(data: bytes, most: int = 64) -> list[Element]:
    """The elements in the one SEQUENCE that ``data`` is; ``ValueError`` if it is not one.

    No structure that is read here has more than ``most`` elements.
    """
    outer = list(islice(elements(data), 2))
    if len(outer) != 1 or outer[0].tag != SEQUENCE:
        raise ValueError("the data is not one SEQUENCE")
    inner = list(islice(elements(outer[0].content), most + 1))
    if len(inner) > most:
        raise ValueError("the SEQUENCE has too many elements")
    return inner


def shape(data: bytes) -> tuple[int, ...]:
    """The tags of the elements in the SEQUENCE ``data``; empty if it is not one SEQUENCE."""
    try:
        return tuple(element.tag for element in sequence(data))
    except ValueError:
        return ()


def require_nested(data: bytes) -> None:
    """Check that every constructed element consists of elements; ``ValueError`` if not."""
    pending, count = [(data, 0)], 0
    while pending:
        content, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise ValueError("elements are nested too deeply")
        for element in elements(content):
            count += 1
            if count > MAX_ELEMENTS:
                raise ValueError("there are too many elements")
            if element.tag & _CONSTRUCTED:
                pending.append((element.content, depth + 1))


def integer(element: Element) -> int:
    """The value of an INTEGER; ``ValueError`` for another element."""
    if element.tag != INTEGER or not element.content:
        raise ValueError("the element is not an INTEGER")
    return int.from_bytes(element.content, "big", signed=True)


def integers(elements_: list[Element]) -> list[int]:
    """The values of INTEGERs."""
    return [integer(element) for element in elements_]


def bits(element: Element) -> bytes:
    """The whole bytes of a BIT STRING; ``ValueError`` for another element."""
    if element.tag != BIT_STRING or element.content[:1] != b"\0":
        raise ValueError("the element is not a BIT STRING of whole bytes")
    return element.content[1:]


def object_identifier(element: Element) -> str:
    """An OBJECT IDENTIFIER in dotted form; ``ValueError`` for another element."""
    content = element.content
    if element.tag != OBJECT_IDENTIFIER or not content or content[-1] & 0x80:
        raise ValueError("the element is not an OBJECT IDENTIFIER")
    arcs, arc = [], 0
    for byte in content:
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
