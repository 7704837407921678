"""Damage to messages and unusual attributes, beyond what :mod:`model_strategies` draws.

``model_strategies`` makes ordinary values from the declarations. Here are the attributes that only
peers of another make send, bytes that differ from the canonical ones and mean the same, and two
sorts of damage: to the bytes, and to the tree, which stays well-formed.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st
from model_strategies import BYTES, SECONDS, TEXTS

from kmipkit.model.attribute import Attribute, Attributes, VendorName, attribute_name
from kmipkit.model.attributes import Name
from kmipkit.model.field_types import EPOCH, SECOND
from kmipkit.spec.enums import NameType
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

# --- unusual values ------------------------------------------------------------------------------

_INTEGERS = st.integers(-(1 << 31), (1 << 31) - 1)
_LONG_INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
_VALUES: dict[ItemType, st.SearchStrategy[Any]] = {
    ItemType.STRUCTURE: st.just(()),
    ItemType.INTEGER: _INTEGERS,
    ItemType.LONG_INTEGER: _LONG_INTEGERS,
    ItemType.BIG_INTEGER: st.integers(-(1 << 130), 1 << 130),
    ItemType.ENUMERATION: st.integers(0, 9) | st.integers(0, (1 << 32) - 1),
    ItemType.BOOLEAN: st.booleans(),
    ItemType.TEXT_STRING: TEXTS,
    ItemType.BYTE_STRING: BYTES,
    ItemType.DATE_TIME: _LONG_INTEGERS,
    ItemType.INTERVAL: st.integers(0, (1 << 32) - 1),
    ItemType.DATE_TIME_EXTENDED: _LONG_INTEGERS,
}
_tags = st.sampled_from(list(Tag)) | st.integers(0x540000, 0x54FFFF)
items = st.one_of(
    [st.builds(Item, _tags, st.just(kind), values) for kind, values in _VALUES.items()]
)
"""Single items of any tag and of every type that KMIP has up to 2.1."""

extensions = st.lists(
    st.builds(
        lambda tag, item: Item(tag, item.type, item.value), st.integers(0x540000, 0x54FFFF), items
    ),
    max_size=2,
).map(tuple)
"""Vendor items, as any structure may hold them at its end."""

_PLAIN_ON_THE_WIRE = (
    ItemType.TEXT_STRING,
    ItemType.BYTE_STRING,
    ItemType.BOOLEAN,
    ItemType.INTEGER,
    ItemType.DATE_TIME,
)

_vendor_values = st.one_of(
    TEXTS,
    BYTES,
    st.booleans(),
    _INTEGERS,
    SECONDS.map(lambda seconds: EPOCH + seconds * SECOND),
    items.filter(lambda item: item.type not in _PLAIN_ON_THE_WIRE).map(
        lambda item: Item(Tag.ATTRIBUTE_VALUE, item.type, item.value)
    ),
    st.none(),
)


def vendor_attributes(version: Version) -> st.SearchStrategy[Attributes]:
    """Attributes that the standard does not define, with every form of key and value."""
    if version < V2_0:
        unknown = TEXTS.map(lambda text: VendorName("", f"?{text}"))
        custom = st.builds(VendorName, st.sampled_from("xy"), TEXTS)
        key = custom | unknown
        index = st.none() | _INTEGERS
        attribute = st.builds(Attribute, key, _vendor_values, index)
    else:
        attribute = st.builds(Attribute, st.builds(VendorName, TEXTS, TEXTS), _vendor_values)
    return st.lists(attribute, min_size=1, max_size=3).map(lambda all_: Attributes(tuple(all_)))


templates = st.lists(
    st.builds(lambda text: Name(name_value=text, name_type=NameType(1)), TEXTS), max_size=2
).map(tuple)
"""Names of templates, which open a Template-Attribute of 1.x."""


# --- bytes that are not canonical ----------------------------------------------------------------


def sloppy(item: Item, pad: int, stretch: int) -> bytes:
    """An item with padding of any bytes and longer Big Integers: the two differences allowed."""
    if isinstance(item.value, tuple):
        value = b"".join(sloppy(child, pad, stretch) for child in item.value)
    else:
        (length,) = struct.unpack_from(">I", canonical := binary.encode(item), 4)
        value = canonical[8 : 8 + length]
    if item.type is ItemType.BIG_INTEGER:
        value = (b"\xff" if value[0] & 0x80 else b"\0") * (8 * stretch) + value
    padding = bytes([pad]) * (-len(value) & 7)
    return struct.pack(">II", item.tag << 8 | item.type, len(value)) + value + padding


# --- damage --------------------------------------------------------------------------------------


def _heads(item: Item) -> Iterator[int]:
    """Where the items of a decoded tree begin in its bytes."""
    yield item.offset
    for child in item.value if isinstance(item.value, tuple) else ():
        yield from _heads(child)


@st.composite
def damaged_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """A message with a few bytes changed; half of the time in the head of an item."""
    heads = list(_heads(binary.decode(data)))
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        if not out:
            break
        anywhere = st.integers(0, len(out) - 1)
        in_head = st.builds(lambda at, by: min(at + by, len(out) - 1), st.sampled_from(heads), _by)
        at = draw(in_head | anywhere)
        match draw(st.sampled_from(("byte", "bit", "near", "cut", "tail", "double"))):
            case "byte":
                out[at] = draw(st.integers(0, 255))
            case "bit":
                out[at] ^= 1 << draw(st.integers(0, 7))
            case "near":
                out[at] = (out[at] + draw(st.sampled_from((-8, -1, 1, 8)))) & 0xFF
            case "cut":
                del out[at : at + draw(st.sampled_from((1, 4, 8, 16)))]
            case "tail":
                del out[at:]
            case _:
                out[at:at] = out[at : at + draw(st.sampled_from((1, 8, 16)))]
    return bytes(out)


_by = st.integers(0, 7)
Change = Callable[[list[Item], int, Item], None]


def _swap(children: list[Item], at: int, other: Item) -> None:
    children[at], children[-1] = children[-1], children[at]


def _drop(children: list[Item], at: int, other: Item) -> None:
    del children[at]


def _retype(children: list[Item], at: int, other: Item) -> None:
    children[at] = Item(children[at].tag, other.type, other.value)


def _retag(children: list[Item], at: int, other: Item) -> None:
    children[at] = Item(other.tag, children[at].type, children[at].value)


def _revalue(children: list[Item], at: int, other: Item) -> None:
    if children[at].type is ItemType.TEXT_STRING:
        other = Item(other.tag, ItemType.TEXT_STRING, attribute_name(Tag(other.tag)))
    if children[at].type is other.type:
        children[at] = Item(children[at].tag, other.type, other.value)
    elif children[at].type is ItemType.ENUMERATION:
        children[at] = Item(children[at].tag, ItemType.ENUMERATION, other.tag & 0x3F)


_CHANGES: tuple[Change, ...] = (
    _revalue,
    _swap,
    _retype,
    _retag,
    _drop,
    lambda children, at, other: children.insert(at, children[at]),
    lambda children, at, other: children.insert(at, other),
)


@st.composite
def damaged_tree(draw: st.DrawFn, item: Item) -> Item:
    """A tree in which one structure lost, gained, moved or changed a child."""
    assert isinstance(item.value, tuple)
    inner = [n for n, child in enumerate(item.value) if child.type is ItemType.STRUCTURE]
    children: list[Item] = list(item.value)
    if inner and draw(st.sampled_from((True, True, True, False))):
        at = draw(st.sampled_from(inner))
        children[at] = draw(damaged_tree(children[at]))
    elif children:
        at = draw(st.integers(0, len(children) - 1))
        draw(st.sampled_from(_CHANGES))(children, at, draw(items))
    else:
        children.append(draw(items))
    return Item(item.tag, item.type, tuple(children))
