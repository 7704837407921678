"""From attributes and criteria to rows of the index.

Each attribute becomes a few rows (attribute, field, value): one with field 0 for a plain attribute,
or one per field of a structure, with the field's tag. Masks have one row per bit, so that "has all
these bits" is a look-up as well. Values are bytes that sort like the original values. Long ones are
truncated and end in a hash, so that equal values stay equal, and different ones different.

Attributes that have the same values in thousands of objects, such as algorithm, length and masks,
are not indexed per object, but for the attribute set that the objects share. A new object with a
known set costs one row for all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from operator import is_
from typing import Any

from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.field_types import EPOCH, SECOND
from kmipkit.model.memo import memoized
from kmipkit.model.plan import plan
from kmipkit.model.structure import Structure
from kmipkit.spec import enums
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

_TAG_NAMES = {tag: f"{int(tag):06x}" for tag in Tag}

WHOLE = 0
"""The field number of a plain value, which is not a field of a structure."""

MAX_SIZE = 200
"""Bytes of a value in the index; longer values are truncated."""

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
"""Attributes with few different values: they are stored and indexed once for each set of them."""


Row = tuple[str, int, bytes, int]
"""A row of the index, without owner and object: attribute, field, value, instance."""


Places = tuple[tuple[str, int, int], ...]
"""Attribute, field and instance of several rows."""


def name_of(key: AttributeKey) -> str:
    """The name of an attribute in the index."""
    return _TAG_NAMES[key] if isinstance(key, Tag) else f"{key.vendor}\0{key.name}"


def number(value: int) -> bytes:
    """The sortable bytes of a number of any integer type."""
    # The offset makes all numbers positive, since the two's complement of negative ones sorts last.
    if -(1 << 63) <= value < 1 << 63:
        return b"n" + (value + (1 << 63)).to_bytes(8, "big")
    # A Big Integer outside 64 bits is only compared for equality, so its order does not matter.
    return b"N" + _truncate(value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def date(value: int) -> bytes:
    """The sortable bytes of a date in seconds since 1970."""
    return b"d" + (value + (1 << 63)).to_bytes(8, "big")


def _truncate(data: bytes) -> bytes:
    return data if len(data) <= MAX_SIZE else data[:MAX_SIZE] + sha256(data).digest()


def text(value: str) -> bytes:
    """The bytes of a text."""
    return b"t" + _truncate(value.encode("utf-8", "surrogatepass"))


def _of_python(value: Any) -> bytes:
    """The bytes of a Python value; integers, enumerations and Booleans are all numbers."""
    encode = _ENCODERS.get(type(value))
    if encode is not None:
        return encode(value)
    if isinstance(value, Item):
        return of_item(value)
    if isinstance(value, str):  # a reference by name
        return text(value)
    return number(int(value))


@lru_cache(maxsize=1024)
def of_date(value: datetime) -> bytes:
    """The bytes of a Date-Time."""
    return date((value - EPOCH) // SECOND)


def _is_enumeration(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, OpenEnum) and kind is not OpenEnum


def of_bytes(value: bytes) -> bytes:
    """The bytes of a byte string."""
    return b"b" + _truncate(value)


@lru_cache(maxsize=4096)
def _of_member(value: int) -> bytes:
    """The bytes of a member of an enumeration; there are few."""
    return number(value)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    str: text,
    bytes: of_bytes,
    datetime: of_date,
    int: number,
    bool: number,
    **{each: _of_member for each in vars(enums).values() if _is_enumeration(each)},
}
"""From a type of Python to the function for the bytes of its values."""


def of_item(item: Item) -> bytes:
    """The bytes of an item of a request: the same as :func:`_of_python` gives for its value."""
    if item.type is ItemType.DATE_TIME:
        assert isinstance(item.value, int)
        return date(item.value)
    if isinstance(item.value, tuple):
        return b"s" + _truncate(b"".join(binary.encode(child) for child in item.value))
    return _of_python(item.value)


def bits(mask: int) -> Iterator[int]:
    """The single bits of a mask."""
    while mask:
        lowest = mask & -mask
        yield lowest
        mask ^= lowest


@memoized
def _fields(cls: type) -> tuple[tuple[str, int], ...]:
    """Name and tag of each field of a structure in 1.4 or 2.1."""
    tags: dict[str, int] = {}
    for version in (V1_4, V2_1):
        tags |= {field.name: field.forms[0].tag for field in plan(cls, version) if field.forms}
    return tuple(tags.items())


def rows(attributes: Iterable[Attribute]) -> set[Row]:
    """The rows of these attributes."""
    # A set, since one attribute gives a row twice where a field repeats a value, and the index
    # has each row once.
    return set(listed(attributes))


def listed(attributes: Iterable[Attribute]) -> list[Row]:
    """The same in the order of the attributes, and perhaps some of them twice."""
    collected: list[Row] = []
    for attribute in attributes:
        if attribute.key not in NOT_INDEXED:
            if type(attribute.value) is datetime:
                # Most dates of a new object are the time of its creation, which others share.
                collected.append(_rowof_date(attribute.key, attribute.value, attribute.index or 0))
            else:
                _add_rows(collected, attribute)
    return collected


@lru_cache(maxsize=1024)
def _rowof_date(key: AttributeKey, value: datetime, instance: int) -> Row:
    return name_of(key), WHOLE, date((value - EPOCH) // SECOND), instance


NAMES_OF_STANDARD = frozenset({*_TAG_NAMES.values(), "live name"})
"""The names of attributes in the index that no client has chosen."""

LIVE_NAME = "live name"
"""What the index calls the Name of an object that is not destroyed: a look-up by name need not pass over
the others. It is the name of no attribute."""


_NAME = name_of(Tag.NAME)


def live_names(attributes: Attributes) -> set[Row]:
    """The further rows of an object that is not destroyed."""
    if Tag.NAME not in attributes:
        return set()
    return {(LIVE_NAME, WHOLE, text(name.name_value), 0) for name in attributes.all(Tag.NAME)}


def live_names_of(rows: Iterable[Row]) -> list[Row]:
    """The same from the other rows of the object."""
    return [
        (LIVE_NAME, WHOLE, value, 0)
        for name, field, value, _ in rows
        if name == _NAME and field == Tag.NAME_VALUE
    ]


def divided(rows: Sequence[Row]) -> tuple[Places, list[bytes]]:
    """The places of rows, and their values."""
    return tuple([(name, field, instance) for name, field, _, instance in rows]), [
        value for _, _, value, _ in rows
    ]


def changed_rows(old: Attributes, new: Attributes) -> tuple[set[Row], set[Row]]:
    """The rows to remove and to add when attributes change.

    An attribute that is the same object before and after is not looked at: usually one of many
    changes, or is added at the end.
    """
    same = [*map(is_, old, new), False].index(False)
    old_rest, new_rest = old.items[same:], new.items[same:]
    before, after = set(map(id, old_rest)), set(map(id, new_rest))
    removed = rows([each for each in old_rest if id(each) not in after])
    added = rows([each for each in new_rest if id(each) not in before])
    return removed - added, added - removed


def _add_rows(collected: list[Row], attribute: Attribute) -> None:
    value, instance = attribute.value, attribute.index or 0
    name = name_of(attribute.key)
    encode = _ENCODERS.get(type(value))
    if encode is not None:
        collected.append((name, WHOLE, encode(value), instance))
    elif isinstance(value, Structure):
        # The rows of a structure have its instance number in common: a criterion with several
        # fields must find them in the same instance, and not one field here and the other there.
        for field, tag in _fields(type(value)):
            content = getattr(value, field)
            if content is None:
                continue
            encode = _ENCODERS.get(type(content))
            if encode is not None:
                collected.append((name, tag, encode(content), instance))
                continue
            values = content if isinstance(content, tuple) else (content,)
            collected += [
                (name, tag, _of_python(each), instance) for each in values if each is not None
            ]
    elif isinstance(value, OpenMask):
        collected += [(name, WHOLE, number(bit), instance) for bit in bits(int(value))]
    elif isinstance(value, Item) and isinstance(value.value, tuple):
        # The structure of a vendor attribute, whose fields nobody can name: it is one value.
        collected.append((name, WHOLE, of_item(value), instance))
    else:
        collected.append((name, WHOLE, _of_python(value), instance))
