"""A message as a tree of generic items, regardless of their meaning.

An :class:`Item` is one TTLV item with a plain Python value. Binary, XML and JSON messages are read into
this tree and written from it; unknown and vendor items stay in it.

Items appear in error reports and debuggers, so their ``repr`` follows the rule of the printer: nothing
that may be key material is shown (:mod:`kmipkit.ttlv.redaction`).
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv.redaction import REDACTED, in_secret, is_secret

ItemValue: TypeAlias = "int | bool | str | bytes | tuple[Item, ...]"


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Item:
    """One TTLV item (KMIP 1.4 §9.1.1, KMIP 2.1 §10.1)."""

    tag: int
    """Three bytes, the first of them 0x42 (the standard's) or 0x54 (an extension)."""
    type: ItemType
    value: ItemValue
    """By type. Structure: tuple of items. Text String (and Identifier, Reference, Name Reference of
    KMIP 3.0): str. Byte String: bytes. Boolean: bool. All others: int; Enumeration and Interval are
    unsigned, Date Time counts seconds and Date Time Extended microseconds since 1970."""
    offset: int = field(default=-1, compare=False)
    """Position of the first byte in the message from which the item was read, else -1."""

    def __init__(self, tag: int, type: ItemType, value: ItemValue, offset: int = -1) -> None:  # noqa: A002 - the field's name
        # Reading a message mostly creates items; this is 40 % faster than the generated method.
        _set_tag(self, tag)
        _set_type(self, type)
        _set_value(self, value)
        _set_offset(self, offset)

    def __repr__(self) -> str:
        return _repr(self, inside=False)


_set_tag = Item.__dict__["tag"].__set__
_set_type = Item.__dict__["type"].__set__
_set_value = Item.__dict__["value"].__set__
_set_offset = Item.__dict__["offset"].__set__


def _repr(item: Item, inside: bool) -> str:
    inside = in_secret(item.tag, inside)
    if isinstance(item.value, tuple):
        value = "(" + ", ".join(_repr(child, inside) for child in item.value) + ")"
    elif isinstance(item.value, bytes):
        # Never in full, whatever the tag: an extension may contain a key.
        value = f"<{len(item.value)} bytes>"
    elif is_secret(item.tag, item.type, inside):
        value = REDACTED
    else:
        value = repr(item.value)
    return f"Item(0x{item.tag:06X}, {item.type.name}, {value})"
