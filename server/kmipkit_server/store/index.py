"""From attributes and criteria to rows of the index.

Each attribute is a few rows (attribute, field, value): field 0 and the value of a plain attribute,
or one row per field of a structure, told apart by the field's tag. Masks have one row per bit, so
that "has all these bits" is a look-up too. Values are bytes whose order is that of the values;
long ones are cut and end in a hash, which keeps them equal or different.

Attributes in which thousands of objects are alike, such as algorithm, length and masks, are no rows
of each object but of the attribute set that it shares with others: a new object whose set is known
costs one row for all of them.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

from kmipkit.model.attribute import Attribute, AttributeKey
from kmipkit.model.field_types import EPOCH, SECOND
from kmipkit.model.memo import memoized
from kmipkit.model.plan import plan
from kmipkit.model.structure import Structure
from kmipkit.spec.enumeration import OpenMask
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

_TAG_NAMES = {tag: f"{int(tag):06x}" for tag in Tag}

WHOLE = 0
"""The field of a plain value."""

_LONGEST = 200
"""Bytes of a value that are kept as they are."""

MASKS = frozenset({Tag.CRYPTOGRAPHIC_USAGE_MASK, Tag.PROTECTION_STORAGE_MASK})

NOT_INDEXED = frozenset({Tag.UNIQUE_IDENTIFIER, Tag.OBJECT_TYPE, Tag.STATE})
"""Attributes that are columns of their own."""

SHARED = frozenset(
    {
        Tag.ALWAYS_SENSITIVE,
        Tag.CERTIFICATE_TYPE,
        Tag.CRYPTOGRAPHIC_ALGORITHM,
        Tag.CRYPTOGRAPHIC_DOMAIN_PARAMETERS,
        Tag.CRYPTOGRAPHIC_LENGTH,
        Tag.CRYPTOGRAPHIC_PARAMETERS,
        Tag.CRYPTOGRAPHIC_USAGE_MASK,
        Tag.DIGITAL_SIGNATURE_ALGORITHM,
        Tag.EXTRACTABLE,
        Tag.FRESH,
        Tag.KEY_FORMAT_TYPE,
        Tag.KEY_VALUE_PRESENT,
        Tag.LEASE_TIME,
        Tag.NEVER_EXTRACTABLE,
        Tag.NIST_KEY_TYPE,
        Tag.OPAQUE_DATA_TYPE,
        Tag.OPERATION_POLICY_NAME,
        Tag.PROTECTION_LEVEL,
        Tag.PROTECTION_STORAGE_MASK,
        Tag.QUANTUM_SAFE,
        Tag.RANDOM_NUMBER_GENERATOR,
        Tag.ROTATE_AUTOMATIC,
        Tag.ROTATE_LATEST,
        Tag.SENSITIVE,
    }
)
"""Attributes with few values, which many objects share: they are indexed once for each set of them."""


Row = tuple[str, int, bytes, int]
"""A row of the index, without owner and object: attribute, field, value, instance."""


def name_of(key: AttributeKey) -> str:
    """The attribute as the index knows it."""
    return _TAG_NAMES[key] if isinstance(key, Tag) else f"{key.vendor}\0{key.name}"


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


def text(value: str) -> bytes:
    """A text."""
    return b"t" + _short(value.encode("utf-8", "surrogatepass"))


def _of_python(value: Any) -> bytes:
    """The value of one row; any integer type, enumerations included, counts as a number."""
    if isinstance(value, str):
        return text(value)
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


def rows(attributes: Iterable[Attribute]) -> set[Row]:
    """The rows of these attributes."""
    found: list[Row] = []
    for attribute in attributes:
        if attribute.key not in NOT_INDEXED:
            _add_rows(found, attribute)
    return set(found)


def _add_rows(found: list[Row], attribute: Attribute) -> None:
    value, instance = attribute.value, attribute.index or 0
    name = name_of(attribute.key)
    if isinstance(value, Structure):
        for field, tag in _fields(type(value)):
            inner = getattr(value, field)
            several = inner if isinstance(inner, tuple) else (inner,)
            found += [(name, tag, _of_python(one), instance) for one in several if one is not None]
    elif isinstance(value, OpenMask):
        found += [(name, WHOLE, number(bit), instance) for bit in bits(int(value))]
    elif isinstance(value, Item) and isinstance(value.value, tuple):
        found.append((name, WHOLE, of_item(value), instance))
    else:
        found.append((name, WHOLE, _of_python(value), instance))
