"""Paths of items in a message, for errors."""

from collections.abc import Sequence

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name


def step(tag: int, before: Sequence[int]) -> str:
    """One step of a path: the tag, and its number if items with the same tag precede it."""
    same = before.count(tag)
    return f"{tag_name(tag)}[{same}]" if same else tag_name(tag)


def a_type(item_type: ItemType) -> str:
    """The name of an item type in a sentence: ``an Integer``."""
    name = item_type.name.replace("_", " ").title()
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
