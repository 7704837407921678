"""Messages as text for people: one line for each item, with names and dates, without keys.

Unlike XML and JSON this format cannot be read back. It shows more (the number of a name, the length of
a byte string) and less (only the start of a long byte string).
"""

from collections.abc import Iterator, Sequence

from kmipkit.errors import Cause, LocalProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.ttlv.redaction import REDACTED, in_secret, is_secret
from kmipkit.ttlv.text import (
    TYPE_NAMES,
    big_integer_bytes,
    leading,
    mask_text,
    meaning,
    write_value,
)
from kmipkit.ttlv.tree import Item

MAX_BYTES = 48
"""Maximum number of bytes that are shown of a byte string or big number."""


def format_item(item: Item, *, show_secrets: bool = False) -> str:
    """The item with its children as text, which ends with a line feed.

    Values that may be key material (:mod:`kmipkit.ttlv.redaction`) are shown as ``<redacted>``. With
    ``show_secrets`` they are shown, and byte strings in full. Raises LocalProtocolError for a tree
    that is nested too deep.
    """
    try:
        return "".join(f"{line}\n" for line in _lines(item, (), show_secrets, "", False))
    except RecursionError:
        raise LocalProtocolError("items are nested too deeply", cause=Cause.TOO_DEEP) from None


def _lines(
    item: Item, before: Sequence[Item], show_secrets: bool, indent: str, inside: bool
) -> Iterator[str]:
    inside = in_secret(item.tag, inside)
    name = tag_name(item.tag)
    if isinstance(item.value, tuple):
        yield f"{indent}{name}"
        for index, child in enumerate(item.value):
            earlier = leading(item.value, index)
            yield from _lines(child, earlier, show_secrets, indent + "  ", inside)
        return
    type_name = TYPE_NAMES[item.type]
    if isinstance(item.value, bytes):
        type_name += f", {_bytes(len(item.value))}"
    if is_secret(item.tag, item.type, inside) and not show_secrets:
        value = REDACTED
    else:
        value = _value(item, meaning(item.tag, before), show_secrets)
    yield f"{indent}{name} ({type_name}): {value}"


def _value(item: Item, context: int, full: bool) -> str:
    value = item.value
    if isinstance(value, str):
        # As a Python literal: control characters must not reach the terminal.
        return repr(value)
    if isinstance(value, bytes):
        return _hex(value, full)
    if isinstance(value, bool):
        return "True" if value else "False"
    assert isinstance(value, int)
    if item.type is ItemType.BIG_INTEGER:
        return f"0x{_hex(big_integer_bytes(value), full)}"
    text = write_value(item, context)
    if item.type is ItemType.ENUMERATION and not text.startswith("0x"):
        return f"{text} (0x{value:08x})"
    if item.type is ItemType.INTEGER and mask_text(value, context, " | "):
        return f"{mask_text(value, context, ' | ')} (0x{value & 0xFFFFFFFF:08x})"
    if item.type is ItemType.INTERVAL:
        return f"{text} s"
    if item.type is ItemType.DATE_TIME_EXTENDED:
        return f"{text} µs"
    return text.replace("+00:00", "Z")


def _hex(data: bytes, full: bool) -> str:
    if full or len(data) <= MAX_BYTES:
        return data.hex()
    return f"{data[:MAX_BYTES].hex()}... ({_bytes(len(data) - MAX_BYTES)} more)"


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"
