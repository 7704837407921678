"""From attributes and criteria to rows of the index.

Each attribute is a few rows (attribute, field, value): field 0 and the value of a plain attribute,
or one row per field of a structure, told apart by the field's tag. Masks have one row per bit, so
that "has all these bits" is a look-up too. Values are bytes whose order is that of the values;
long ones are cut and end in a hash, which keeps them equal or different.
"""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.kinds import EPOCH, SECOND
from kmipkit.model.memo import memoized
from kmipkit.model.plan import plan
from kmipkit.model.structure import Structure
from kmipkit.spec.enumeration import OpenMask
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

WHOLE = 0
"""The field of a plain value."""

_LONGEST = 200
"""Bytes of a value that are kept as they are."""

MASKS = frozenset({Tag.CRYPTOGRAPHIC_USAGE_MASK, Tag.PROTECTION_STORAGE_MASK})

NOT_INDEXED = frozenset({Tag.UNIQUE_IDENTIFIER, Tag.OBJECT_TYPE, Tag.STATE})
"""Attributes that are columns of their own."""


class Row(NamedTuple):
    """A row of the index, without owner and object."""

    attribute: str
    field: int
    value: bytes
    instance: int


def name_of(key: AttributeKey) -> str:
    """The attribute as the index knows it."""
    return f"{int(key):06x}" if isinstance(key, Tag) else f"{key.vendor}\0{key.name}"


def number(value: int) -> bytes:
    """A number of any integer type, sortable."""
    if -(1 << 63) <= value < 1 << 63:
        return b"n" + (value + (1 << 63)).to_bytes(8, "big")
    return b"N" + _short(value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def date(value: int) -> bytes:
    """A point in time, from its seconds."""
    return b"d" + (value + (1 << 63)).to_bytes(8, "big")


def _short(data: bytes) -> bytes:
    return data if len(data) <= _LONGEST else data[:_LONGEST] + sha256(data).digest()


def _of_python(value: Any) -> bytes:
    """The value of one row; any integer type, enumerations included, counts as a number."""
    if isinstance(value, str):
        return b"t" + _short(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return b"b" + _short(value)
    if isinstance(value, datetime):
        return date((value - EPOCH) // SECOND)
    if isinstance(value, Item):
        return of_item(value)
    return number(int(value))


def of_item(item: Item) -> bytes:
    """The value of one row from an item of a request."""
    if item.type is ItemType.DATE_TIME:
        assert isinstance(item.value, int)
        return date(item.value)
    if isinstance(item.value, tuple):
        return b"s" + _short(b"".join(binary.encode(child) for child in item.value))
    return _of_python(item.value)


def bits(mask: int) -> Iterator[int]:
    """The single bits of a mask."""
    while mask:
        low = mask & -mask
        yield low
        mask ^= low


@memoized
def _fields(cls: type) -> tuple[tuple[str, int], ...]:
    """Name and tag of each field of a structure, whichever version has it."""
    tags: dict[str, int] = {}
    for version in (V1_4, V2_1):
        tags |= {field.name: field.forms[0].tag for field in plan(cls, version) if field.forms}
    return tuple(tags.items())


def rows(attributes: Attributes) -> set[Row]:
    """The rows of all attributes of an object."""
    return {row for attribute in attributes for row in _rows(attribute)}


def _rows(attribute: Attribute) -> Iterator[Row]:
    key, value, instance = attribute.key, attribute.value, attribute.index or 0
    if key in NOT_INDEXED:
        return
    name = name_of(key)
    if isinstance(value, Structure):
        for field, tag in _fields(type(value)):
            found = getattr(value, field)
            for one in found if isinstance(found, tuple) else (found,):
                if one is not None:
                    yield Row(name, tag, _of_python(one), instance)
    elif isinstance(value, OpenMask):
        for bit in bits(int(value)):
            yield Row(name, WHOLE, number(bit), instance)
    elif isinstance(value, Item) and isinstance(value.value, tuple):
        yield Row(name, WHOLE, of_item(value), instance)
    else:
        yield Row(name, WHOLE, _of_python(value), instance)
