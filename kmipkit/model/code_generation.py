"""Source text for reading and writing one item, by the field type of its value.

The texts become part of the functions that :mod:`kmipkit.model.compiled` builds. For reading, ``buf``
is the message, ``pos`` the first byte of the item and ``length`` the length of its value; the text
sets ``v`` and moves ``pos`` to the end of the item, or raises ``Fallback``. For writing, ``v`` is the
value, and the text appends bytes with ``put``. The texts are made from our declarations only, never
from received data.
"""

import struct
from collections.abc import Callable
from typing import Any

from kmipkit.errors import RemoteProtocolError
from kmipkit.model.field_types import (
    EPOCH,
    DateTimeType,
    EnumerationType,
    FieldType,
    MaskType,
    PrimitiveType,
)
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv.limits import Limits


class Fallback(Exception):
    """A compiled function leaves the decision to the reference codec."""


def leave_to_reference(error: RemoteProtocolError) -> bool:
    """The judge of the compiled codec, which leaves what only a later version has to the reference."""
    raise Fallback from error


COMMON_NAMES: dict[str, Any] = {
    "Fallback": Fallback,
    "EPOCH": EPOCH,
    "PADDING": tuple(bytes(n) for n in range(8)),
    "read_head": struct.Struct(">II").unpack_from,
    "read_int": struct.Struct(">iI").unpack_from,
    "read_word": struct.Struct(">II").unpack_from,
    "read_long": struct.Struct(">q").unpack_from,
    "read_flag": struct.Struct(">Q").unpack_from,
    "put_head": struct.Struct(">II").pack,
    "put_int": struct.Struct(">IIiI").pack,
    "put_word": struct.Struct(">IIII").pack,
    "put_long": struct.Struct(">IIq").pack,
    "put_flag": struct.Struct(">IIQ").pack,
}
"""Precompiled struct methods and constants for the generated functions."""

GENERIC_LIMITS = Limits(max_depth=16)
"""Limits for a generic item inside a message; a deeper one is left to the reference codec."""

UNREADABLE = (Fallback, struct.error, UnicodeDecodeError, OverflowError)
"""Errors of a generated function for bytes that it cannot read.

``struct.error`` is for a number that the end of the message cuts off, OverflowError for a date
outside the years 1 to 9999. Any other error is a defect of the function, and is not caught.
"""

UNWRITABLE = (Fallback, struct.error, UnicodeEncodeError, OverflowError)
"""Errors of a generated function for values that it cannot write.

``struct.error`` and OverflowError are for numbers that do not fit, UnicodeEncodeError for surrogates
in a text.
"""

WRONG_CLASS = (TypeError, AttributeError, KeyError)
"""Errors of a generated function for a field with an object of a wrong class.

For speed, the functions do not check classes. A defect of a function raises the same errors, so the
caller must use the reference codec to distinguish the two.
"""


def head(tag: int, item_type: ItemType) -> int:
    """Tag and type of an item as one number, as on the wire."""
    return tag << 8 | item_type


_CHECK_4_BYTES = "if length != 4 or pad: raise Fallback"
_READ_SPAN = (
    "start = pos + 8",
    "stop = start + length",
    "pos = stop + (-length & 7)",
    "if buf[stop:pos] != PADDING[-length & 7]: raise Fallback",
)

_READ_PRIMITIVE: dict[ItemType, tuple[str, ...]] = {
    ItemType.INTEGER: ("v, pad = read_int(buf, pos + 8)", _CHECK_4_BYTES, "pos += 16"),
    ItemType.INTERVAL: ("v, pad = read_word(buf, pos + 8)", _CHECK_4_BYTES, "pos += 16"),
    ItemType.LONG_INTEGER: (
        "if length != 8: raise Fallback",
        "v, = read_long(buf, pos + 8)",
        "pos += 16",
    ),
    ItemType.BIG_INTEGER: (
        "if length & 7 or not length: raise Fallback",
        "start = pos + 8",
        "pos = start + length",
        "v = int.from_bytes(buf[start:pos], 'big', signed=True)",
    ),
    ItemType.BOOLEAN: (
        "v, = read_flag(buf, pos + 8)",
        "if length != 8 or v > 1: raise Fallback",
        "v = v == 1",
        "pos += 16",
    ),
    ItemType.TEXT_STRING: (*_READ_SPAN, "v = str(buf[start:stop], 'utf-8')"),
    ItemType.BYTE_STRING: (*_READ_SPAN, "v = buf[start:stop]"),
}

_WRITE_PRIMITIVE: dict[ItemType, tuple[str, ...]] = {
    ItemType.INTEGER: ("put(put_int({head}, 4, v, 0))",),
    ItemType.INTERVAL: ("put(put_word({head}, 4, v, 0))",),
    ItemType.LONG_INTEGER: ("put(put_long({head}, 8, v))",),
    ItemType.BIG_INTEGER: (
        "size = (v if v >= 0 else ~v).bit_length() // 64 * 8 + 8",
        "put(put_head({head}, size))",
        "put(v.to_bytes(size, 'big', signed=True))",
    ),
    ItemType.BOOLEAN: (
        "if v is not True and v is not False: raise Fallback",
        "put(put_flag({head}, 8, v))",
    ),
    ItemType.TEXT_STRING: (
        "v = v.encode()",
        "size = len(v)",
        "put(put_head({head}, size))",
        "put(v)",
        "if size & 7: put(PADDING[-size & 7])",
    ),
    ItemType.BYTE_STRING: (
        "size = len(v)",
        "put(put_head({head}, size))",
        "put(v)",
        "if size & 7: put(PADDING[-size & 7])",
    ),
}


class Namespace:
    """The names with which a generated text refers to objects, such as an enumeration."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = dict(COMMON_NAMES)

    def add(self, prefix: str, value: object) -> str:
        """The name with which the text can refer to ``value``."""
        name = f"{prefix}_{len(self.objects)}"
        self.objects[name] = value
        return name

    def build(self, source: str, name: str, filename: str) -> Callable[..., Any]:
        """Compile the text and return the function of this name."""
        # The text is made from our declarations only; see the head of this module.
        exec(compile(source, filename, "exec"), self.objects)  # noqa: S102
        function: Callable[..., Any] = self.objects[name]
        return function


def read_lines(field_type: FieldType, names: Namespace) -> tuple[str, ...] | None:
    """The text that reads a primitive type; None for types that need a function."""
    match field_type:
        case PrimitiveType():
            return _READ_PRIMITIVE[field_type.item_type]
        case EnumerationType():
            members = names.add("members", _members(field_type))
            other = names.add("other", _other_values(field_type))
            return (
                "v, pad = read_word(buf, pos + 8)",
                _CHECK_4_BYTES,
                # A look-up in the table is faster than a call of the enumeration, which only numbers
                # without a name need.
                f"v = {members}[v] if v in {members} else {other}(v)",
                "pos += 16",
            )
        case MaskType():
            mask = names.add("mask", field_type.mask)
            word = "v, pad = read_word(buf, pos + 8)"
            later = field_type.later_bits
            check = (f"if v & {later}: raise Fallback",) if later else ()
            return (word, _CHECK_4_BYTES, *check, f"v = {mask}(v)", "pos += 16")
        case DateTimeType():
            unit = names.add("unit", field_type.unit)
            return (
                "if length != 8: raise Fallback",
                "v, = read_long(buf, pos + 8)",
                f"v = EPOCH + v * {unit}",
                "pos += 16",
            )
    return None


def _members(field_type: EnumerationType) -> dict[int, OpenEnum]:
    """The values of an enumeration by number, without those that only a later version has."""
    return {int(each): each for each in field_type.enumeration if not field_type.is_later(each)}


def _other_values(field_type: EnumerationType) -> Callable[[int], OpenEnum]:
    """The function for other numbers. Values of later versions are left to the reference codec."""
    later = frozenset(int(each) for each in field_type.enumeration if field_type.is_later(each))
    enumeration = field_type.enumeration

    def value(number: int) -> OpenEnum:
        if number in later:
            raise Fallback
        return enumeration(number)

    return value


def write_lines(
    field_type: FieldType, tag: int, names: Namespace, *, strict: bool
) -> tuple[str, ...] | None:
    """The text that writes a primitive type; None for types that need a function."""
    match field_type:
        case PrimitiveType():
            number = head(tag, field_type.item_type)
            return tuple(
                line.format(head=number) for line in _WRITE_PRIMITIVE[field_type.item_type]
            )
        case EnumerationType():
            enumeration = names.add("enumeration", field_type.enumeration)
            # Without this check, a member of another enumeration would be written as its number.
            check = f"if v.__class__ is not {enumeration}: raise Fallback"
            put = f"put(put_word({head(tag, ItemType.ENUMERATION)}, 4, v, 0))"
            unknown = frozenset(
                int(member) for member in field_type.enumeration if not field_type.has(member)
            )
            if not unknown:
                return (check, put)
            excluded = names.add("unknown", unknown)
            if strict:
                return (check, f"if v in {excluded}: raise Fallback", put)
            return (check, f"if v not in {excluded}: {put}")
        case MaskType():
            bits = "v" if strict or not field_type.later_bits else f"v & {~field_type.later_bits}"
            return (f"put(put_word({head(tag, ItemType.INTEGER)}, 4, {bits}, 0))",)
        case DateTimeType():
            unit = names.add("unit", field_type.unit)
            return (f"put(put_long({head(tag, field_type.item_type)}, 8, (v - EPOCH) // {unit}))",)
    return None
