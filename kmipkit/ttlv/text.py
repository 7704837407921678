"""Values as text, for XML, JSON and the printer.

Each item type has one text form for writing and several for reading (Additional Message Encodings 1.0
§4.1.6 and §6.1.6; Profiles 2.1 §5.4.1.6 and §5.5.1.6): a number may also be hexadecimal with ``0x``.
Names of enumeration values and mask bits depend on the tag; in an attribute of KMIP 1.x they depend on
the Attribute Name before the Attribute Value. :func:`meaning` determines that tag.
"""

import re
from binascii import unhexlify
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from kmipkit.spec import names
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item, ItemValue

TYPE_NAMES = {item_type: item_type.name.title().replace("_", "") for item_type in ItemType}
"""``BigInteger`` and so on."""

TYPES = {name: item_type for item_type, name in TYPE_NAMES.items()}

TEXTS = frozenset(
    (ItemType.TEXT_STRING, ItemType.IDENTIFIER, ItemType.REFERENCE, ItemType.NAME_REFERENCE)
)
"""Types whose values are str."""

_BITS = {
    ItemType.INTEGER: 32,
    ItemType.ENUMERATION: 32,
    ItemType.INTERVAL: 32,
    ItemType.LONG_INTEGER: 64,
    ItemType.DATE_TIME: 64,
    ItemType.DATE_TIME_EXTENDED: 64,
}
_UNSIGNED = frozenset((ItemType.ENUMERATION, ItemType.INTERVAL))
_LEADING = 3
"""Maximum number of items before the Attribute Value: name, index, and one in reserve."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def meaning(tag: int, before: Sequence[Item]) -> int:
    """The tag that determines the meaning of a value; ``before`` are the items before it, or the first
    of them (:func:`leading`).

    The meaning of an Attribute Value of KMIP 1.x depends on the Attribute Name before it (1.4
    §2.1.1). The name of a vendor's attribute (2.1 §4.60), which has a Vendor Identification, has no
    known meaning.
    """
    if tag != Tag.ATTRIBUTE_VALUE:
        return tag
    named: int | None = None
    for item in before[:_LEADING]:
        if item.tag == Tag.VENDOR_IDENTIFICATION:
            return tag
        if item.tag == Tag.ATTRIBUTE_NAME and isinstance(item.value, str):
            named = names.tag_number(item.value)
    return tag if named is None else named


def leading(items: Sequence[Item], index: int) -> Sequence[Item]:
    """The items before the one at ``index``, as many as :func:`meaning` needs.

    A writer must not use the items after the value: a reader has not read them yet.
    """
    return items[: min(index, _LEADING)]


# --- hexadecimal -----------------------------------------------------------------------------


def to_hex(item_type: ItemType, value: int) -> str:
    """A number in full width with ``0x``; a negative one in two's complement."""
    if item_type is ItemType.BIG_INTEGER:
        return f"0x{big_integer_bytes(value).hex()}"
    bits = _BITS[item_type]
    return f"0x{value & (1 << bits) - 1:0{bits // 4}x}"


def from_hex(item_type: ItemType, text: str) -> int:
    """The number of a text ``0x...``; ValueError if it is not valid or too large."""
    digits = text[2:]
    if not re.fullmatch("[0-9A-Fa-f]+", digits):
        raise ValueError("expected hexadecimal digits after 0x")
    if item_type is ItemType.BIG_INTEGER:
        return big_integer(digits)
    bits = _BITS.get(item_type, 64)
    number = int(digits, 16)
    if number >> bits:
        raise ValueError(f"more than {bits} bits")
    negative = item_type not in _UNSIGNED and number >> bits - 1
    return number - (1 << bits) if negative else number


def big_integer_bytes(value: int) -> bytes:
    """Two's complement in the least multiple of eight bytes."""
    bits = (~value if value < 0 else value).bit_length()
    return value.to_bytes((bits // 64 + 1) * 8, "big", signed=True)


def big_integer(digits: str) -> int:
    """The number of two's complement bytes in hexadecimal."""
    return int.from_bytes(byte_string(digits), "big", signed=True)


def byte_string(text: str) -> bytes:
    try:
        return unhexlify(text.strip())
    except ValueError:
        # Without the text: it may be a key.
        raise ValueError("expected pairs of hexadecimal digits") from None


# --- names -----------------------------------------------------------------------------------


def enumeration_text(number: int, context: int) -> str:
    """The name of an enumeration value, or its hexadecimal form if it has none."""
    return names.value_name(context, number) or f"0x{number:08x}"


def enumeration_number(text: str, context: int) -> int:
    if text.startswith("0x"):
        return from_hex(ItemType.ENUMERATION, text)
    number = names.value_number(context, text)
    if number is None and text.isdecimal():
        number = int(text)
    if number is None:
        raise ValueError(f"{names.tag_name(context)} has no value with this name")
    return number


def mask_text(value: int, context: int, separator: str) -> str | None:
    """The names of the bits of a mask; None if the tag is not a mask or no bit is set."""
    bits = names.mask_names(context, value & 0xFFFFFFFF)
    return separator.join(bits) if bits else None


def integer(text: str, context: int) -> int:
    """A decimal or hexadecimal number, or the names of the bits of a mask."""
    if re.fullmatch(r"[+-]?[0-9]{1,10}", text):
        return int(text)
    parts = text.replace("|", " ").split()
    if not parts:
        raise ValueError("expected a number")
    total = 0
    for part in parts:
        bit = names.mask_bit(context, part)
        if part.startswith("0x"):
            bit = from_hex(ItemType.ENUMERATION, part)
        if bit is None:
            raise ValueError(f"expected a number, or bits of {names.tag_name(context)}")
        total |= bit
    return total - (1 << 32) if total >> 31 else total


# --- dates -----------------------------------------------------------------------------------

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:(Z)|([+-])(0\d|1[0-4]):([0-5]\d))?",
    re.ASCII,
)


def date_text(seconds: int) -> str:
    """ISO 8601 in UTC; hexadecimal for dates outside the years 1 to 9999."""
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return to_hex(ItemType.DATE_TIME, seconds)


def date(text: str) -> int:
    """Seconds since 1970, without fractions (Profiles 2.1 §5.4.1.6); the default zone is UTC."""
    if text.startswith("0x"):
        return from_hex(ItemType.DATE_TIME, text)
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("expected a date such as 2001-01-01T10:00:00+10:00")
    *parts, _, sign, hours, minutes = match.groups()
    when = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[arg-type, misc]  # six integers
    shift = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return (when - _EPOCH + (shift if sign == "-" else -shift)) // timedelta(seconds=1)


# --- by type ---------------------------------------------------------------------------------


def _number(item_type: ItemType) -> Callable[[str, int], int]:
    def read(text: str, _context: int) -> int:
        if text.startswith("0x"):
            return from_hex(item_type, text)
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text):
            raise ValueError("expected a number")
        return int(text)

    return read


def _big_integer(text: str, _context: int) -> int:
    """In XML without ``0x``, in JSON with it (Profiles 2.1 §5.4.1.6, §5.5.1.6)."""
    if text.startswith("0x"):
        return from_hex(ItemType.BIG_INTEGER, text)
    return big_integer(text)


def _boolean(text: str, _context: int) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    values |= {f"0x{0:016x}": False, f"0x{1:016x}": True}
    if text not in values:
        raise ValueError("expected true or false")
    return values[text]


def _text(text: str, _context: int) -> str:
    return text


_READ: dict[ItemType, Callable[[str, int], ItemValue]] = {
    ItemType.INTEGER: integer,
    ItemType.LONG_INTEGER: _number(ItemType.LONG_INTEGER),
    ItemType.BIG_INTEGER: _big_integer,
    ItemType.ENUMERATION: enumeration_number,
    ItemType.BOOLEAN: _boolean,
    ItemType.BYTE_STRING: lambda text, _context: byte_string(text),
    ItemType.DATE_TIME: lambda text, _context: date(text),
    ItemType.INTERVAL: _number(ItemType.INTERVAL),
    ItemType.DATE_TIME_EXTENDED: _number(ItemType.DATE_TIME_EXTENDED),
    **dict.fromkeys(TEXTS, _text),
}


def read_value(item_type: ItemType, text: str, context: int) -> ItemValue:
    """The value of a text; ``context`` is the result of :func:`meaning`.

    ValueError if the text is not valid; its message does not contain the text, which may be secret.
    """
    return _READ[item_type](text if item_type in TEXTS else text.strip(), context)


def write_value(item: Item, context: int, separator: str = " ") -> str:
    """The text of a value in XML; ``separator`` separates the names of mask bits."""
    value = item.value
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if item.type is ItemType.BOOLEAN:
        return "true" if value else "false"
    assert isinstance(value, int)
    if item.type is ItemType.ENUMERATION:
        return enumeration_text(value, context)
    if item.type is ItemType.INTEGER:
        return mask_text(value, context, separator) or str(int(value))
    if item.type is ItemType.BIG_INTEGER:
        return big_integer_bytes(value).hex()
    if item.type is ItemType.DATE_TIME:
        return date_text(value)
    return str(int(value))
