"""Paths and types of items, for errors."""

from collections.abc import Iterable, Sequence

from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name


def step(tag: int, before: Sequence[int]) -> str:
    """One step of a path: the tag, and its number if items with the same tag precede it."""
    number = before.count(tag)
    return f"{tag_name(tag)}[{number}]" if number else tag_name(tag)


def type_phrase(item_type: ItemType) -> str:
    """The name of an item type with its article: ``an Integer``."""
    name = item_type.name.replace("_", " ").title()
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def types_phrase(item_types: Iterable[ItemType]) -> str:
    """Alternatives: ``an Enumeration or a Structure``."""
    return " or ".join(type_phrase(item_type) for item_type in sorted(item_types))
