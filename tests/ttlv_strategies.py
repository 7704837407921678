"""Random trees of items, for the tests of the three encodings."""

from hypothesis import strategies as st

from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv.tree import Item

tags = st.one_of(st.integers(0x420001, 0x4201FF), st.integers(0x540000, 0x54FFFF))

_signed_32 = st.integers(-(2**31), 2**31 - 1)
_signed_64 = st.integers(-(2**63), 2**63 - 1)
_unsigned_32 = st.integers(0, 2**32 - 1)
_text = st.text(st.characters(codec="utf-8"), max_size=20)

VALUES: dict[ItemType, st.SearchStrategy[int] | st.SearchStrategy[str] | st.SearchStrategy[bytes]]
VALUES = {
    ItemType.INTEGER: _signed_32,
    ItemType.LONG_INTEGER: _signed_64,
    ItemType.BIG_INTEGER: st.one_of(st.integers(), st.integers(-(2**200), 2**200)),
    ItemType.ENUMERATION: _unsigned_32,
    ItemType.BOOLEAN: st.booleans(),
    ItemType.TEXT_STRING: _text,
    ItemType.BYTE_STRING: st.binary(max_size=40),
    ItemType.DATE_TIME: _signed_64,
    ItemType.INTERVAL: _unsigned_32,
    ItemType.DATE_TIME_EXTENDED: _signed_64,
    ItemType.IDENTIFIER: _text,
    ItemType.REFERENCE: _text,
    ItemType.NAME_REFERENCE: _text,
}

leaves = st.one_of(
    *(st.builds(Item, tags, st.just(item_type), values) for item_type, values in VALUES.items())
)


def structure_of(items: st.SearchStrategy[Item]) -> st.SearchStrategy[Item]:
    children = st.lists(items, max_size=4).map(tuple)
    return st.builds(Item, tags, st.just(ItemType.STRUCTURE), children)


items = st.recursive(leaves, structure_of, max_leaves=25)
messages = structure_of(items)


def depth(item: Item) -> int:
    """Structures inside each other, this one included."""
    if not isinstance(item.value, tuple):
        return 0
    return 1 + max(map(depth, item.value), default=0)


def count(item: Item) -> int:
    """Items in the tree, this one included."""
    return 1 + sum(map(count, item.value)) if isinstance(item.value, tuple) else 1
