"""Forms of 3.0 for values that are structures or plain texts in earlier versions.

| value | up to 2.1 | 3.0 |
| --- | --- | --- |
| identifier of an object | Text String | Identifier, Reference, or Name Reference |
| Name, Rotate Name | structure of value and type | Text String |
| Link | structure of type and identifier | Reference under a tag per type of link |

The specification 3.0 is a draft; this follows its tables of tags and the test cases of its profiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kmipkit.model.field_types import Place, local_error
from kmipkit.model.structure import Structure
from kmipkit.model.types import NameReference
from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.enums import LinkType
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

_OBJECT_REFERENCES = frozenset((ItemType.IDENTIFIER, ItemType.REFERENCE, ItemType.NAME_REFERENCE))


@dataclass(frozen=True, slots=True)
class ObjectReferenceType:
    """A reference to an object: its identifier, or its Name (a :class:`NameReference`)."""

    item_type: ItemType
    """The type of an identifier: Identifier for the object of a request, else Reference."""
    item_types: frozenset[ItemType] = _OBJECT_REFERENCES

    def accepts(self, value: object) -> bool:
        return isinstance(value, str)

    def read(self, item: Item, place: Place, outer: object = None) -> str:  # noqa: ARG002
        assert isinstance(item.value, str)
        return NameReference(item.value) if item.type is ItemType.NAME_REFERENCE else item.value

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if not isinstance(value, str):
            raise local_error(f"expected str, not {type(value).__name__}", place)
        by_name = isinstance(value, NameReference)
        return Item(tag, ItemType.NAME_REFERENCE if by_name else self.item_type, str(value))


@dataclass(frozen=True, slots=True)
class NameTextType:
    """A structure of a text and its type; in 3.0 only the text."""

    cls: type[Structure]
    text_field: str
    type_field: str
    """The names of the two fields."""
    default_type: OpenEnum
    """The type of a text without one."""
    item_types: frozenset[ItemType] = frozenset((ItemType.TEXT_STRING,))

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.cls)

    def read(self, item: Item, place: Place, outer: object = None) -> Structure:  # noqa: ARG002
        values: dict[str, Any] = {self.text_field: item.value, self.type_field: self.default_type}
        return self.cls(**values)

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if not isinstance(value, self.cls):
            raise local_error(f"expected {self.cls.__name__}, not {type(value).__name__}", place)
        return Item(tag, ItemType.TEXT_STRING, getattr(value, self.text_field))


LINK_TAGS: Mapping[LinkType, Tag] = MappingProxyType(
    {
        LinkType.CERTIFICATE_LINK: Tag.CERTIFICATE_LINK,
        LinkType.PUBLIC_KEY_LINK: Tag.PUBLIC_KEY_LINK,
        LinkType.PRIVATE_KEY_LINK: Tag.PRIVATE_KEY_LINK,
        LinkType.DERIVATION_BASE_OBJECT_LINK: Tag.DERIVATION_OBJECT_LINK,
        LinkType.DERIVED_KEY_LINK: Tag.DERIVED_OBJECT_LINK,
        LinkType.REPLACEMENT_OBJECT_LINK: Tag.REPLACEMENT_OBJECT_LINK,
        LinkType.REPLACED_OBJECT_LINK: Tag.REPLACED_OBJECT_LINK,
        LinkType.PARENT_LINK: Tag.PARENT_LINK,
        LinkType.CHILD_LINK: Tag.CHILD_LINK,
        LinkType.PREVIOUS_LINK: Tag.PREVIOUS_LINK,
        LinkType.NEXT_LINK: Tag.NEXT_LINK,
        LinkType.PKCS_12_CERTIFICATE_LINK: Tag.PKCS_12_CERTIFICATE_LINK,
        LinkType.PKCS_12_PASSWORD_LINK: Tag.PKCS_12_PASSWORD_LINK,
        LinkType.WRAPPING_KEY_LINK: Tag.WRAPPING_KEY_LINK,
    }
)
"""The tag of each type of link in 3.0."""

LINK_TYPES: Mapping[int, LinkType] = MappingProxyType(
    {tag: link_type for link_type, tag in LINK_TAGS.items()}
)
"""The type of link of each tag."""

NAME_VALUES: Mapping[int, Tag] = MappingProxyType(
    {Tag.NAME: Tag.NAME_VALUE, Tag.ROTATE_NAME: Tag.ROTATE_NAME_VALUE}
)
"""Attributes that are texts in 3.0, and the field of the text in earlier versions."""
