"""Field types of attributes, which are encoded by name and index in 1.x, by tag in 2.x.

| value | 1.x | 2.x |
| --- | --- | --- |
| one attribute | Attribute {name, index?, value} | the attribute's own tag inside a structure |
| a list | Template-Attribute {Name*, Attribute*} | Attributes {item*} |
| a reference | Attribute Name, text | Attribute Reference: tag, or {vendor, name} |

(KMIP 1.4 §2.1.1, §2.1.8; KMIP 2.1 §5.) An attribute that the version does not define is read with an
empty vendor and a tree as value; writing it is an error, or omits it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kmipkit.errors import Cause, LocalProtocolError
from kmipkit.model.attribute import (
    CUSTOM_PREFIXES,
    Attribute,
    AttributeKey,
    Attributes,
    VendorName,
    attribute_name,
    custom,
)
from kmipkit.model.attributes import Link
from kmipkit.model.field_types import (
    EPOCH,
    SECOND,
    FieldType,
    Place,
    local_error,
    remote_error,
    wrong_type,
)
from kmipkit.model.v3_forms import LINK_TAGS, LINK_TYPES, NAME_VALUES, ObjectReferenceType
from kmipkit.spec.attributes import BY_NAME, BY_TAG
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V3_0, Version
from kmipkit.ttlv.tree import Item

ValueTypeLookup = Callable[[Tag], FieldType | None]

_STRUCTURE = frozenset((ItemType.STRUCTURE,))

_VENDOR_TYPES: dict[type, ItemType] = {
    str: ItemType.TEXT_STRING,
    bytes: ItemType.BYTE_STRING,
    bool: ItemType.BOOLEAN,
    int: ItemType.INTEGER,
}


def key_of_name(name: str, version: Version) -> AttributeKey:
    """The key of a 1.x attribute name; the vendor is empty if the version does not have the name."""
    row = BY_NAME.get(name)
    return row.tag if row is not None and row.known_in(version) else custom(name)


def _key_of_item(item: Item, place: Place, version: Version) -> AttributeKey:
    """The key of an Attribute Name, which may be one of a later version if the judge accepts that."""
    name = _text(item, place)
    row = BY_NAME.get(name)
    if row is not None and row.since > version:
        message = f"KMIP {version} has no attribute {name!r}"
        if place.accepts_later(message, item, Cause.UNKNOWN_ATTRIBUTE):
            return row.tag
    return key_of_name(name, version)


def _check_tag(item: Item, place: Place, version: Version) -> None:
    """Let the judge decide about the tag of an attribute that only a later version has."""
    row = BY_TAG.get(Tag(item.tag))
    is_later = row.since > version if row else item.tag in LINK_TYPES and version < V3_0
    if place.judge is None or not is_later:
        return
    message = f"KMIP {version} has no attribute {tag_name(item.tag)}"
    if not place.accepts_later(message, item, Cause.UNKNOWN_ATTRIBUTE):
        raise remote_error(Cause.UNKNOWN_ATTRIBUTE, message, place, item)


def vendor_value(item: Item) -> Any:
    """The value of a vendor attribute in plain Python, if its type permits that, or else its tree."""
    if item.type in _VENDOR_TYPES.values():
        return item.value
    if item.type is ItemType.DATE_TIME:
        assert isinstance(item.value, int)
        try:
            return EPOCH + item.value * SECOND
        except OverflowError:
            return item
    return item


def vendor_item(tag: int, value: Any, place: Place) -> Item:
    """The item of a vendor attribute's value: the inverse of :func:`vendor_value`."""
    if isinstance(value, Item):
        return Item(tag, value.type, value.value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise local_error("expected a datetime with a time zone", place)
        return Item(tag, ItemType.DATE_TIME, (value - EPOCH) // SECOND)
    item_type = _VENDOR_TYPES.get(type(value))
    if item_type is None:
        raise local_error(
            f"a vendor attribute cannot have a value of class {type(value).__name__}", place
        )
    if item_type is ItemType.INTEGER and not -(1 << 31) <= value < 1 << 31:
        raise local_error(
            f"{value} does not fit into 32 bits; use an Item for a Long Integer", place
        )
    return Item(tag, item_type, value)


def _text(item: Item, place: Place) -> str:
    if item.type is not ItemType.TEXT_STRING:
        raise wrong_type(tag_name(item.tag), (ItemType.TEXT_STRING,), place, item)
    assert isinstance(item.value, str)
    return item.value


def _vendor_parts(item: Item, place: Place, allowed: tuple[Tag, ...]) -> dict[int, Item]:
    """The children of an Attribute structure by tag, in order and without repetition.

    At a tolerant place, the order does not matter, and other items are ignored.
    """
    assert isinstance(item.value, tuple)
    tags = [child.tag for child in item.value]
    if not place.tolerant and tags != [tag for tag in allowed if tag in tags]:
        expected = ", ".join(tag_name(tag) for tag in allowed)
        raise remote_error(
            Cause.UNEXPECTED_FIELD, f"expected {expected}, in this order", place, item
        )
    if Tag.ATTRIBUTE_NAME not in tags:
        raise remote_error(Cause.MISSING_FIELD, "AttributeName is missing", place, item)
    return {child.tag: child for child in reversed(item.value)}


def _check_class(value: object, place: Place) -> None:
    if not isinstance(value, Attribute):
        raise local_error(f"expected an Attribute, not {type(value).__name__}", place)


@dataclass(frozen=True, slots=True)
class AttributeType:
    """One attribute: the Attribute structure of 1.x, or a structure around one item in 2.x.

    ``generic`` leaves values as trees. Locate needs that: its structures may lack required fields
    (KMIP 1.4 §4.9).
    """

    version: Version
    value_type: ValueTypeLookup
    later_value_type: ValueTypeLookup
    """The same for the first later version that has the attribute."""
    generic: bool = False
    item_types: frozenset[ItemType] = _STRUCTURE

    @property
    def by_name(self) -> bool:
        """Whether the version writes attributes by name, as 1.x does."""
        return self.version < V2_0

    def accepts(self, value: object) -> bool:
        return isinstance(value, Attribute)

    def read(self, item: Item, place: Place, outer: object = None) -> Attribute:  # noqa: ARG002
        if self.by_name:
            return self._read_by_name(item, place)
        assert isinstance(item.value, tuple)
        if len(item.value) != 1:
            message = f"{tag_name(item.tag)} has one attribute, not {len(item.value)}"
            raise remote_error(Cause.UNEXPECTED_FIELD, message, place, item)
        return self.read_by_tag(item.value[0], place)

    def write(self, tag: int, value: Any, place: Place) -> Item | None:
        _check_class(value, place)
        if self.by_name:
            return self._write_by_name(tag, value, place)
        inner = self.write_by_tag(value, place)
        return None if inner is None else Item(tag, ItemType.STRUCTURE, (inner,))

    def _read_by_name(self, item: Item, place: Place) -> Attribute:
        allowed = (Tag.ATTRIBUTE_NAME, Tag.ATTRIBUTE_INDEX, Tag.ATTRIBUTE_VALUE)
        parts = _vendor_parts(item, place, allowed)
        key = _key_of_item(parts[Tag.ATTRIBUTE_NAME], place, self.version)
        index = parts.get(Tag.ATTRIBUTE_INDEX)
        if index is not None and index.type is not ItemType.INTEGER:
            raise wrong_type("AttributeIndex", (ItemType.INTEGER,), place, index)
        value = parts.get(Tag.ATTRIBUTE_VALUE)
        number = index.value if index is not None else None
        assert number is None or isinstance(number, int)
        inside = place.enter(Tag.ATTRIBUTE_VALUE)
        return Attribute(key, None if value is None else self._value(key, value, inside), number)

    def read_by_tag(self, item: Item, place: Place) -> Attribute:
        """The attribute of one item of a 2.x Attributes structure."""
        inside = place.enter(item.tag)
        if item.tag != Tag.ATTRIBUTE:
            _check_tag(item, inside, self.version)
            if item.tag in LINK_TYPES:
                return self._read_link(item, inside)
            key = Tag(item.tag)
            return Attribute(key, self._value(key, item, inside))
        if item.type is not ItemType.STRUCTURE:
            raise wrong_type("Attribute", _STRUCTURE, inside, item)
        allowed = (Tag.VENDOR_IDENTIFICATION, Tag.ATTRIBUTE_NAME, Tag.ATTRIBUTE_VALUE)
        parts = _vendor_parts(item, inside, allowed)
        vendor = parts.get(Tag.VENDOR_IDENTIFICATION)
        if vendor is None:
            raise remote_error(Cause.MISSING_FIELD, "VendorIdentification is missing", inside, item)
        name = VendorName(_text(vendor, inside), _text(parts[Tag.ATTRIBUTE_NAME], inside))
        value = parts.get(Tag.ATTRIBUTE_VALUE)
        return Attribute(name, None if value is None else self._value(name, value, inside))

    def _as_structure(self, item: Item) -> Item:
        """A name as a structure, as up to 2.1: a criterion then means the same in all versions."""
        inner = NAME_VALUES.get(item.tag) if self.version >= V3_0 else None
        if inner is None or isinstance(item.value, tuple):
            return item
        return Item(item.tag, ItemType.STRUCTURE, (Item(inner, item.type, item.value),))

    def _as_text(self, tag: int, item: Item) -> Item:
        """The item as the version writes it: the inverse of :meth:`_as_structure`."""
        inner = NAME_VALUES.get(tag) if self.version >= V3_0 else None
        if inner is None or not isinstance(item.value, tuple):
            return Item(tag, item.type, item.value)
        text = next((child for child in item.value if child.tag == inner), item)
        return Item(tag, text.type, text.value)

    def _read_link(self, item: Item, place: Place) -> Attribute:
        """A link as in 3.0, which has a tag for each type of link."""
        field_type = ObjectReferenceType(ItemType.REFERENCE)
        if item.type not in field_type.item_types:
            raise wrong_type(tag_name(item.tag), field_type.item_types, place, item)
        link_type = LINK_TYPES[item.tag]
        identifier = field_type.read(item, place)
        if not self.generic:
            link = Link(link_type=link_type, linked_object_identifier=identifier)
            return Attribute(Tag.LINK, link)
        parts = (
            Item(Tag.LINK_TYPE, ItemType.ENUMERATION, int(link_type)),
            Item(Tag.LINKED_OBJECT_IDENTIFIER, ItemType.TEXT_STRING, identifier),
        )
        return Attribute(Tag.LINK, Item(Tag.LINK, ItemType.STRUCTURE, parts))

    def _write_link(self, link: Any, place: Place) -> Item | None:
        if not isinstance(link, Link):
            raise local_error(f"expected a Link, not {type(link).__name__}", place)
        tag = LINK_TAGS.get(link.link_type)
        if tag is None:
            if place.strict:
                message = f"KMIP {self.version} has no {link.link_type}"
                raise local_error(message, place, Cause.WRONG_VERSION)
            return None
        field_type = ObjectReferenceType(ItemType.REFERENCE)
        return field_type.write(tag, link.linked_object_identifier, place.enter(tag))

    def _value(self, key: AttributeKey, item: Item, place: Place) -> Any:
        if self.generic:
            return self._as_structure(item)
        if isinstance(key, VendorName):
            return vendor_value(item)
        field_type = self.value_type(key)
        if field_type is None and place.judge is not None:
            field_type = self.later_value_type(key)
        if field_type is None:
            return item
        if item.type not in field_type.item_types:
            raise wrong_type(attribute_name(key), field_type.item_types, place, item)
        return field_type.read(item, place)

    def _write_by_name(self, tag: int, attribute: Attribute, place: Place) -> Item | None:
        key = attribute.key
        if isinstance(key, VendorName):
            has_name = key.vendor in (*CUSTOM_PREFIXES, "")
        else:
            has_name = self.value_type(key) is not None
        if not has_name:
            self._omit(attribute, place)
            return None
        name = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, attribute_name(key))
        parts = [name]
        if attribute.index is not None:
            parts.append(Item(Tag.ATTRIBUTE_INDEX, ItemType.INTEGER, attribute.index))
        if attribute.value is not None:
            value = self._write_if_known(Tag.ATTRIBUTE_VALUE, attribute, place)
            if value is None:
                return None
            parts.append(value)
        return Item(tag, ItemType.STRUCTURE, tuple(parts))

    def write_by_tag(self, attribute: Attribute, place: Place) -> Item | None:
        """The item of an attribute inside a 2.x Attributes structure."""
        _check_class(attribute, place)
        key = attribute.key
        if not isinstance(key, VendorName):
            row = BY_TAG.get(key)
            if row is not None and not row.known_in(self.version):
                self._omit(attribute, place)
                return None
            if key is Tag.LINK and self.version >= V3_0:
                return self._write_link(attribute.value, place)
            return self._write_if_known(key, attribute, place)
        parts = [
            Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, key.vendor),
            Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, key.name),
        ]
        if attribute.value is not None:
            parts.append(vendor_item(Tag.ATTRIBUTE_VALUE, attribute.value, place))
        return Item(Tag.ATTRIBUTE, ItemType.STRUCTURE, tuple(parts))

    def _write_if_known(self, tag: int, attribute: Attribute, place: Place) -> Item | None:
        """The item of a value; None to leave it out, because the version does not have the value."""
        try:
            return self._write_value(tag, attribute, place)
        except LocalProtocolError as error:
            if place.strict or error.cause is not Cause.WRONG_VERSION:
                raise
            return None

    def _write_value(self, tag: int, attribute: Attribute, place: Place) -> Item | None:
        value, key = attribute.value, attribute.key
        if isinstance(key, VendorName):
            return vendor_item(tag, value, place)
        if isinstance(value, Item):
            return self._as_text(tag, value)
        field_type = self.value_type(key)
        if field_type is None:
            raise local_error(
                f"the type of {attribute_name(key)} is not known; use an Item as its value", place
            )
        return field_type.write(tag, value, place.enter(key))

    def _omit(self, attribute: Attribute, place: Place) -> None:
        if place.strict:
            message = f"KMIP {self.version} has no attribute {attribute_name(attribute.key)}"
            raise local_error(message, place, Cause.WRONG_VERSION)


@dataclass(frozen=True, slots=True)
class AttributeListType:
    """A list of attributes: Template-Attribute in 1.x, Attributes and similar structures in 2.x."""

    attribute_type: AttributeType
    template_type: FieldType
    item_types: frozenset[ItemType] = _STRUCTURE

    def accepts(self, value: object) -> bool:
        return isinstance(value, Attributes)

    def read(self, item: Item, place: Place, outer: object = None) -> Attributes:  # noqa: ARG002
        assert isinstance(item.value, tuple)
        if not self.attribute_type.by_name:
            return Attributes(
                tuple(self.attribute_type.read_by_tag(child, place) for child in item.value)
            )
        children = item.value
        if place.tolerant:
            ordered = sorted(children, key=lambda child: child.tag != Tag.NAME)
            children = tuple(each for each in ordered if each.tag in (Tag.NAME, Tag.ATTRIBUTE))
        tags = [child.tag for child in children]
        names = tags.count(Tag.NAME)
        if tags != [Tag.NAME] * names + [Tag.ATTRIBUTE] * (len(tags) - names):
            message = f"{tag_name(item.tag)} has only Names, followed by Attributes"
            raise remote_error(Cause.UNEXPECTED_FIELD, message, place, item)
        for child in children:
            if child.type is not ItemType.STRUCTURE:
                raise wrong_type(tag_name(child.tag), _STRUCTURE, place.enter(child.tag), child)
        read = self.attribute_type.read
        return Attributes(
            tuple(
                read(child, place.enter(Tag.ATTRIBUTE, index))
                for index, child in enumerate(children[names:])
            ),
            tuple(
                self.template_type.read(child, place.enter(Tag.NAME, index))
                for index, child in enumerate(children[:names])
            ),
        )

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if not isinstance(value, Attributes):
            raise local_error(f"expected Attributes, not {type(value).__name__}", place)
        items: list[Item | None] = []
        if self.attribute_type.by_name:
            items += [
                self.template_type.write(Tag.NAME, name, place.enter(Tag.NAME))
                for name in value.templates
            ]
            for attribute in value:
                inside = place.enter(Tag.ATTRIBUTE)
                items.append(self.attribute_type.write(Tag.ATTRIBUTE, attribute, inside))
        elif value.templates and place.strict:
            message = f"KMIP {self.attribute_type.version} has no templates"
            raise local_error(message, place, Cause.WRONG_VERSION)
        else:
            items.extend(self.attribute_type.write_by_tag(attribute, place) for attribute in value)
        return Item(tag, ItemType.STRUCTURE, tuple(item for item in items if item is not None))


@dataclass(frozen=True, slots=True)
class AttributeReferenceType:
    """The name of an attribute: text in 1.x, a tag or vendor and name in 2.x (2.1 §5.5)."""

    version: Version

    @property
    def item_types(self) -> frozenset[ItemType]:
        if self.version < V2_0:
            return frozenset((ItemType.TEXT_STRING,))
        return frozenset((ItemType.ENUMERATION, ItemType.STRUCTURE))

    def accepts(self, value: object) -> bool:
        return isinstance(value, Tag | VendorName)

    def read(self, item: Item, place: Place, outer: object = None) -> AttributeKey:  # noqa: ARG002
        if item.type is ItemType.TEXT_STRING:
            return _key_of_item(item, place, self.version)
        if item.type is ItemType.ENUMERATION:
            assert isinstance(item.value, int)
            return Tag(item.value)
        allowed = (Tag.VENDOR_IDENTIFICATION, Tag.ATTRIBUTE_NAME)
        parts = _vendor_parts(item, place, allowed)
        vendor = parts.get(Tag.VENDOR_IDENTIFICATION)
        if vendor is None:
            raise remote_error(Cause.MISSING_FIELD, "VendorIdentification is missing", place, item)
        return VendorName(_text(vendor, place), _text(parts[Tag.ATTRIBUTE_NAME], place))

    def write(self, tag: int, value: Any, place: Place) -> Item | None:
        if not self.accepts(value):
            raise local_error(f"expected a Tag or VendorName, not {type(value).__name__}", place)
        if not self._is_defined(value):
            if place.strict:
                message = f"KMIP {self.version} has no attribute {attribute_name(value)}"
                raise local_error(message, place, Cause.WRONG_VERSION)
            return None
        if self.version < V2_0:
            return Item(tag, ItemType.TEXT_STRING, attribute_name(value))
        if isinstance(value, Tag):
            return Item(tag, ItemType.ENUMERATION, int(value))
        parts = (
            Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, value.vendor),
            Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, value.name),
        )
        return Item(tag, ItemType.STRUCTURE, parts)

    def _is_defined(self, key: AttributeKey) -> bool:
        if isinstance(key, VendorName):
            return self.version >= V2_0 or key.vendor in (*CUSTOM_PREFIXES, "")
        row = BY_TAG.get(key)
        return row.known_in(self.version) if row is not None else self.version >= V2_0
