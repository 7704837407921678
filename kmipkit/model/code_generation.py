"""Source text for reading and writing one item, by the kind of its value.

The texts are pieces of the functions that :mod:`kmipkit.model.compiled` builds. While reading,
``buf`` is the message, ``pos`` the first byte of the item and ``length`` its value's length; a
piece sets ``v`` and moves ``pos`` behind the item, or raises ``Unusual``. While writing, ``v`` is
the value and a piece appends bytes through ``put``. Only our declarations are ever put into these texts,
never anything from the wire.
"""

import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from kmipkit.model.field_types import EPOCH, SECOND, Enumerated, Kind, Masked, Moment, Plain
from kmipkit.spec.item_types import ItemType


class Unusual(Exception):
    """The fast path gives up; the reference codec decides."""


NAMESPACE: dict[str, Any] = {
    "Unusual": Unusual,
    "EPOCH": EPOCH,
    "SECOND": SECOND,
    "timedelta": timedelta,
    "PADS": tuple(bytes(n) for n in range(8)),
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
"""What the generated functions may use: precompiled struct methods and constants."""

UNUSUAL = (Unusual, struct.error, ValueError, OverflowError, TypeError, AttributeError, KeyError)
"""What a generated function raises on values that it was not made for (text is a ValueError)."""


def head(tag: int, item_type: ItemType) -> int:
    """Tag and type of an item as one number, as they stand on the wire."""
    return tag << 8 | item_type


_FIXED4 = "if length != 4 or pad: raise Unusual"
_SPAN = (
    "start = pos + 8",
    "stop = start + length",
    "pos = stop + (-length & 7)",
    "if buf[stop:pos] != PADS[-length & 7]: raise Unusual",
)

_READ_PLAIN: dict[ItemType, tuple[str, ...]] = {
    ItemType.INTEGER: ("v, pad = read_int(buf, pos + 8)", _FIXED4, "pos += 16"),
    ItemType.INTERVAL: ("v, pad = read_word(buf, pos + 8)", _FIXED4, "pos += 16"),
    ItemType.LONG_INTEGER: (
        "if length != 8: raise Unusual",
        "v, = read_long(buf, pos + 8)",
        "pos += 16",
    ),
    ItemType.BIG_INTEGER: (
        "if length & 7 or not length: raise Unusual",
        "start = pos + 8",
        "pos = start + length",
        "v = int.from_bytes(buf[start:pos], 'big', signed=True)",
    ),
    ItemType.BOOLEAN: (
        "v, = read_flag(buf, pos + 8)",
        "if length != 8 or v > 1: raise Unusual",
        "v = v == 1",
        "pos += 16",
    ),
    ItemType.TEXT_STRING: (*_SPAN, "v = str(buf[start:stop], 'utf-8')"),
    ItemType.BYTE_STRING: (*_SPAN, "v = buf[start:stop]"),
}

_WRITE_PLAIN: dict[ItemType, tuple[str, ...]] = {
    ItemType.INTEGER: ("put(put_int({head}, 4, v, 0))",),
    ItemType.INTERVAL: ("put(put_word({head}, 4, v, 0))",),
    ItemType.LONG_INTEGER: ("put(put_long({head}, 8, v))",),
    ItemType.BIG_INTEGER: (
        "size = (v if v >= 0 else ~v).bit_length() // 64 * 8 + 8",
        "put(put_head({head}, size))",
        "put(v.to_bytes(size, 'big', signed=True))",
    ),
    ItemType.BOOLEAN: (
        "if v is not True and v is not False: raise Unusual",
        "put(put_flag({head}, 8, v))",
    ),
    ItemType.TEXT_STRING: (
        "v = v.encode()",
        "size = len(v)",
        "put(put_head({head}, size))",
        "put(v)",
        "if size & 7: put(PADS[-size & 7])",
    ),
    ItemType.BYTE_STRING: (
        "size = len(v)",
        "put(put_head({head}, size))",
        "put(v)",
        "if size & 7: put(PADS[-size & 7])",
    ),
}


class Names:
    """Gives the objects that a generated text refers to a name in its namespace."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = dict(NAMESPACE)

    def add(self, prefix: str, value: object) -> str:
        """The name under which the text may refer to ``value``."""
        name = f"{prefix}_{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def build(self, source: str, name: str, filename: str) -> Callable[..., Any]:
        """Compile the text and return the function of this name."""
        # Text made from our declarations only; see the head of this module.
        exec(compile(source, filename, "exec"), self.namespace)  # noqa: S102
        function: Callable[..., Any] = self.namespace[name]
        return function


def read_lines(kind: Kind, names: Names) -> tuple[str, ...] | None:
    """The text that reads a primitive kind; None for kinds that are read by a function."""
    match kind:
        case Plain():
            return _READ_PLAIN[kind.item_type]
        case Enumerated():
            members = names.add("members", kind.enumeration._value2member_map_)
            enumeration = names.add("enumeration", kind.enumeration)
            return (
                "v, pad = read_word(buf, pos + 8)",
                _FIXED4,
                f"v = {members}[v] if v in {members} else {enumeration}(v)",
                "pos += 16",
            )
        case Masked():
            mask = names.add("mask", kind.mask)
            word = "v, pad = read_word(buf, pos + 8)"
            return (word, _FIXED4, f"v = {mask}(v)", "pos += 16")
        case Moment():
            unit = names.add("unit", kind.unit)
            return (
                "if length != 8: raise Unusual",
                "v, = read_long(buf, pos + 8)",
                "v = EPOCH + timedelta(0, v)" if kind.unit == SECOND else f"v = EPOCH + v * {unit}",
                "pos += 16",
            )
    return None


def write_lines(kind: Kind, tag: int, names: Names, *, strict: bool) -> tuple[str, ...] | None:
    """The text that writes a primitive kind; None for kinds that are written by a function."""
    match kind:
        case Plain():
            number = head(tag, kind.item_type)
            return tuple(line.format(head=number) for line in _WRITE_PLAIN[kind.item_type])
        case Enumerated():
            enumeration = names.add("enumeration", kind.enumeration)
            check = f"if v.__class__ is not {enumeration}: raise Unusual"
            put = f"put(put_word({head(tag, ItemType.ENUMERATION)}, 4, v, 0))"
            unknown = frozenset(
                int(member) for member in kind.enumeration if not member.known_in(kind.version)
            )
            if not unknown:
                return (check, put)
            absent = names.add("unknown", unknown)
            if strict:
                return (check, f"if v in {absent}: raise Unusual", put)
            return (check, f"if v not in {absent}: {put}")
        case Masked():
            return (f"put(put_word({head(tag, ItemType.INTEGER)}, 4, v, 0))",)
        case Moment():
            unit = names.add("unit", kind.unit)
            return (f"put(put_long({head(tag, kind.item_type)}, 8, (v - EPOCH) // {unit}))",)
    return None
