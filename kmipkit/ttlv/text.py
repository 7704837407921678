"""Values as text: what XML and JSON have in common, and the printer shows.

Each item type has one way to be written and several to be read (Additional Message Encodings 1.0
§4.1.6 and §6.1.6; Profiles 2.1 §5.4.1.6 and §5.5.1.6): hexadecimal with ``0x`` is read wherever a
number may stand. Names of enumeration values and mask bits depend on the tag; within an attribute
of KMIP 1.x on the Attribute Name that stands before the Attribute Value. That meaning of a tag is
worked out here, by :func:`meaning`.
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
"""The most items that stand before the Attribute Value: name, index, and one to spare."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def meaning(tag: int, before: Sequence[Item]) -> int:
    """The tag that says what a value means; ``before`` are the items in front of it, or the first
    of them (:func:`leading`).

    The Attribute Value of KMIP 1.x takes its meaning from the Attribute Name before it (1.4
    §2.1.1). A vendor's attribute (2.1 §4.60) has a Vendor Identification too; its name means
    nothing to us.
    """
    if tag != Tag.ATTRIBUTE_VALUE:
        return tag
    known: int | None = None
    for item in before[:_LEADING]:
        if item.tag == Tag.VENDOR_IDENTIFICATION:
            return tag
        if item.tag == Tag.ATTRIBUTE_NAME and isinstance(item.value, str):
            known = names.tag_number(item.value)
    return tag if known is None else known


def leading(items: Sequence[Item], index: int) -> Sequence[Item]:
    """The items before the one at ``index``, as many of them as :func:`meaning` looks at.

    A writer must not look behind the value: a reader does not know yet what will stand there.
    """
    return items[: min(index, _LEADING)]


# --- hexadecimal -----------------------------------------------------------------------------


def to_hex(item_type: ItemType, value: int) -> str:
    """A number in full width with ``0x``; negative ones in two's complement."""
    if item_type is ItemType.BIG_INTEGER:
        return f"0x{big_integer_bytes(value).hex()}"
    bits = _BITS[item_type]
    return f"0x{value & (1 << bits) - 1:0{bits // 4}x}"


def from_hex(item_type: ItemType, text: str) -> int:
    """The number that ``0x...`` stands for; ValueError if it is none or too wide."""
    digits = text[2:]
    if not re.fullmatch("[0-9A-Fa-f]+", digits):
        raise ValueError("hexadecimal digits expected after 0x")
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
        raise ValueError("pairs of hexadecimal digits expected") from None


# --- names -----------------------------------------------------------------------------------


def enumeration_text(number: int, about: int) -> str:
    """The name of an enumeration value where it has one, else its hexadecimal form."""
    return names.value_name(about, number) or f"0x{number:08x}"


def enumeration_number(text: str, about: int) -> int:
    if text.startswith("0x"):
        return from_hex(ItemType.ENUMERATION, text)
    number = names.value_number(about, text)
    if number is None and text.isdecimal():
        number = int(text)
    if number is None:
        raise ValueError(f"{names.tag_name(about)} has no value of this name")
    return number


def mask_text(value: int, about: int, separator: str) -> str | None:
    """The names of a mask's bits; None if the tag is no mask or nothing is set."""
    bits = names.mask_names(about, value & 0xFFFFFFFF)
    return separator.join(bits) if bits else None


def integer(text: str, about: int) -> int:
    """A decimal or hexadecimal number, or the names of a mask's bits."""
    if re.fullmatch(r"[+-]?[0-9]{1,10}", text):
        return int(text)
    words = text.replace("|", " ").split()
    if not words:
        raise ValueError("a number expected")
    total = 0
    for word in words:
        bit = names.mask_bit(about, word)
        if word.startswith("0x"):
            bit = from_hex(ItemType.ENUMERATION, word)
        if bit is None:
            raise ValueError(f"neither a number nor a bit of {names.tag_name(about)}")
        total |= bit
    return total - (1 << 32) if total >> 31 else total


# --- dates -----------------------------------------------------------------------------------

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:(Z)|([+-])(0\d|1[0-4]):([0-5]\d))?",
    re.ASCII,
)


def date_text(seconds: int) -> str:
    """ISO 8601 in UTC; hexadecimal for what lies outside of the years 1 to 9999."""
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return to_hex(ItemType.DATE_TIME, seconds)


def date(text: str) -> int:
    """Seconds since 1970. Fractions are dropped (Profiles 2.1 §5.4.1.6); no zone means UTC."""
    if text.startswith("0x"):
        return from_hex(ItemType.DATE_TIME, text)
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("a date such as 2001-01-01T10:00:00+10:00 expected")
    *parts, _, sign, hours, minutes = match.groups()
    when = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[arg-type, misc]  # six integers
    shift = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return (when - _EPOCH + (shift if sign == "-" else -shift)) // timedelta(seconds=1)


# --- by type ---------------------------------------------------------------------------------


def _number(item_type: ItemType) -> Callable[[str, int], int]:
    def read(text: str, _about: int) -> int:
        if text.startswith("0x"):
            return from_hex(item_type, text)
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text):
            raise ValueError("a number expected")
        return int(text)

    return read


def _big_integer(text: str, _about: int) -> int:
    """XML writes it without ``0x``, JSON with it (Profiles 2.1 §5.4.1.6, §5.5.1.6)."""
    if text.startswith("0x"):
        return from_hex(ItemType.BIG_INTEGER, text)
    return big_integer(text)


def _boolean(text: str, _about: int) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    known |= {f"0x{0:016x}": False, f"0x{1:016x}": True}
    if text not in known:
        raise ValueError("true or false expected")
    return known[text]


def _text(text: str, _about: int) -> str:
    return text


_READ: dict[ItemType, Callable[[str, int], ItemValue]] = {
    ItemType.INTEGER: integer,
    ItemType.LONG_INTEGER: _number(ItemType.LONG_INTEGER),
    ItemType.BIG_INTEGER: _big_integer,
    ItemType.ENUMERATION: enumeration_number,
    ItemType.BOOLEAN: _boolean,
    ItemType.BYTE_STRING: lambda text, _about: byte_string(text),
    ItemType.DATE_TIME: lambda text, _about: date(text),
    ItemType.INTERVAL: _number(ItemType.INTERVAL),
    ItemType.DATE_TIME_EXTENDED: _number(ItemType.DATE_TIME_EXTENDED),
    **dict.fromkeys(TEXTS, _text),
}


def read_value(item_type: ItemType, text: str, about: int) -> ItemValue:
    """The value that a text stands for; ``about`` is what :func:`meaning` said.

    ValueError if there is none; its message does not show the text, which may be secret.
    """
    return _READ[item_type](text if item_type in TEXTS else text.strip(), about)


def write_value(item: Item, about: int, separator: str = " ") -> str:
    """The text of a value in the XML form; ``separator`` stands between the names of mask bits."""
    value = item.value
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if item.type is ItemType.BOOLEAN:
        return "true" if value else "false"
    assert isinstance(value, int)
    if item.type is ItemType.ENUMERATION:
        return enumeration_text(value, about)
    if item.type is ItemType.INTEGER:
        return mask_text(value, about, separator) or str(int(value))
    if item.type is ItemType.BIG_INTEGER:
        return big_integer_bytes(value).hex()
    if item.type is ItemType.DATE_TIME:
        return date_text(value)
    return str(int(value))
