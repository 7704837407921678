"""A managed object as operations see it: its record at the time of the call.

The record has the state as it was last written. The effective state follows from it, the dates and
the clock (KMIP 1.4 §3.22). Unique Identifier, Object Type, State and Object Class follow from other
parts of the record; all other attributes are in one list, each instance with its index of 1.x.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kmipkit.errors import LocalProtocolError, OperationError
from kmipkit.lifecycle import (
    Event,
    describe_state,
    next_state,
)
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes
from kmipkit.model.codec import decode, encode
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import CLASS_OF_TYPE, ManagedObject
from kmipkit.model.v3_forms import LINK_TAGS, LINK_TYPES
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import ObjectClass, ObjectType, ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit.spec.versions import V1_4, V2_1, V3_0, Version
from kmipkit_server.store.base import Record
from kmipkit_server.store.owners import is_system

STORED_VERSIONS = (V2_1, V1_4, V3_0)
"""The versions in whose encoding objects are stored, in the order in which they are tried."""


def pack_object(value: ManagedObject) -> bytes:
    """The stored form: two bytes for the version, then the object in the encoding of that version.

    The version is 2.1, or another one for what 2.1 does not have: 1.4 has templates, and 3.0 the
    post-quantum algorithms. Invalid Field if no version has everything in the object.
    """
    for version in STORED_VERSIONS:
        try:
            return bytes(version) + encode(value, version)
        except LocalProtocolError:
            continue
    raise OperationError(
        ResultReason.INVALID_FIELD, "the object has values of different versions of KMIP"
    )


def unpack_object(material: bytes, object_type: ObjectType) -> ManagedObject:
    """The object of :func:`pack_object`."""
    version = Version(material[0], material[1])
    return decode(CLASS_OF_TYPE[object_type], material[2:], version)


class Managed:
    """An object during one call. It is immutable; changes return a copy to save."""

    __slots__ = ("_attributes", "now", "record")

    def __init__(self, record: Record, now: datetime) -> None:
        self.record = record
        self.now = now
        self._attributes: Attributes | None = None

    @property
    def id(self) -> str:
        """The Unique Identifier."""
        return self.record.id

    @property
    def object_type(self) -> ObjectType:
        return self.record.object_type

    @property
    def state(self) -> State:
        """The effective state at the time of the call."""
        return self.record.state_at(self.now)

    @property
    def attributes(self) -> Attributes:
        """The attributes in the record, with their indexes; without those that follow from it."""
        if self._attributes is None:
            self._attributes = self.record.attributes
        return self._attributes

    @property
    def object(self) -> ManagedObject:
        """The object itself; Object Destroyed if its material is destroyed."""
        if self.record.material is None:
            raise OperationError(
                ResultReason.OBJECT_DESTROYED, f"the object is {describe_state(self.state).lower()}"
            )
        if self.object_type not in CLASS_OF_TYPE:
            raise OperationError(
                ResultReason.INVALID_OBJECT_TYPE,
                "users, groups and credentials cannot be retrieved, only their attributes",
            )
        return unpack_object(self.record.material, self.object_type)

    @property
    def key_block(self) -> KeyBlock:
        """The key block of a key; Invalid Object Type for other objects."""
        block = getattr(self.object, "key_block", None)
        if not isinstance(block, KeyBlock):
            raise OperationError(
                ResultReason.INVALID_OBJECT_TYPE,
                f"{title_with_article(self.object_type)} is not a key",
            )
        return block

    @property
    def object_class(self) -> ObjectClass:
        """Whether the object belongs to an account, or to its tenant or the server (3.0)."""
        return ObjectClass.SYSTEM if is_system(self.record.owner) else ObjectClass.USER

    def get(self, key: AttributeKey) -> Any:
        """The value of an attribute's first instance, or None."""
        if key in _COLUMNS:
            return getattr(self, _COLUMNS[key])
        return (self._attributes or self.attributes).get(key)

    def instances(self, key: AttributeKey) -> list[Attribute]:
        """All instances of an attribute, with their indexes."""
        column = _COLUMNS.get(key)
        if column:
            return [Attribute(key, getattr(self, column))]
        return [attribute for attribute in self.attributes if refers_to(key, attribute)]

    def all_attributes(self) -> Iterable[Attribute]:
        """All attributes of the object, first those that follow from other parts of the record."""
        for key, column in _COLUMNS.items():
            yield Attribute(key, getattr(self, column))
        yield from self.attributes

    def after(self, event: Event) -> "Managed":
        """A copy after an event of the life cycle; Wrong Key Lifecycle State if not permitted."""
        return self.with_state(next_state(self.state, event))

    def with_state(self, state: State) -> "Managed":
        """A copy in another state."""
        return Managed(self.record.replace(stored_state=state), self.now)

    def with_attribute(self, key: AttributeKey, value: Any) -> "Managed":
        """A copy with a single value of an attribute; None removes the attribute."""
        return self.with_attributes(set_attribute(self.attributes, key, value))

    def with_attributes(self, attributes: Attributes) -> "Managed":
        """A copy with other attributes in its record."""
        return Managed(self.record.replace(attributes=attributes), self.now)

    def without_material(self) -> "Managed":
        """A copy that has only attributes."""
        return Managed(self.record.replace(material=None), self.now)

    def require_alive(self) -> None:
        """Refuse with Object Destroyed if the material is destroyed."""
        if self.record.is_destroyed:
            raise OperationError(
                ResultReason.OBJECT_DESTROYED, f"the object is {describe_state(self.state).lower()}"
            )


_COLUMNS: dict[AttributeKey, str] = {
    Tag.UNIQUE_IDENTIFIER: "id",
    Tag.OBJECT_TYPE: "object_type",
    Tag.STATE: "state",
    Tag.OBJECT_CLASS: "object_class",
}
"""Attributes that follow from other parts of the record, and the property that has each."""


def refers_to(key: AttributeKey, attribute: Attribute) -> bool:
    """Whether the key refers to this attribute: 3.0 refers to links by the tag of their type."""
    if isinstance(key, Tag) and key in LINK_TYPES:
        return attribute.key == Tag.LINK and attribute.value.link_type == LINK_TYPES[key]
    return attribute.key == key


def reference_to(attribute: Attribute, version: Version) -> AttributeKey:
    """The key by which a client of this version refers to it: the inverse of :func:`refers_to`."""
    if attribute.key == Tag.LINK and version >= V3_0:
        return LINK_TAGS.get(attribute.value.link_type, Tag.LINK)
    return attribute.key


def for_version(version: Version, attribute: Attribute) -> Attribute:
    """An attribute as responses of this version have it.

    In 1.x, an instance has its index only if that is not zero (KMIP 1.4 §2.1.1: no index means
    zero); 2.x has no index.
    """
    if attribute.index and version < (2, 0):
        return attribute
    return attribute if attribute.index is None else Attribute(attribute.key, attribute.value)


def set_attribute(attributes: Attributes, key: AttributeKey, value: Any) -> Attributes:
    """The attributes with a single value for the key; None removes the attribute."""
    others = attributes.without(key)
    return others if value is None else others.plus(Attribute(key, value, 0))


def add_instance(attributes: Attributes, key: AttributeKey, value: Any) -> tuple[Attributes, int]:
    """The attributes with one more instance, and the index of that instance (KMIP 1.4 §4.14)."""
    used = [attribute.index or 0 for attribute in attributes if attribute.key == key]
    index = max(used) + 1 if used else 0
    return attributes.plus(Attribute(key, value, index)), index


def is_multi_instance(key: AttributeKey) -> bool:
    """Whether an attribute may have several instances; vendor attributes may (KMIP 1.4 §3.39)."""
    row = BY_TAG.get(key) if isinstance(key, Tag) else None
    return row.multi_instance if row is not None else True
