"""Values of every structure class, drawn from the declarations themselves.

A class that is added is tested without a line here: fields, versions and choices are read from the
same plan that the codecs work from.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

import kmipkit.model
from kmipkit.model.attribute import Attribute, Attributes, VendorName
from kmipkit.model.attribute_field_types import (
    AttributeListType,
    AttributeReferenceType,
    AttributeType,
)
from kmipkit.model.attributes import Link
from kmipkit.model.field_types import (
    EPOCH,
    SECOND,
    ChoiceType,
    DateTimeType,
    DependentType,
    EnumerationType,
    FieldType,
    GenericType,
    MaskType,
    PrimitiveType,
)
from kmipkit.model.plan import plan
from kmipkit.model.reference import FieldPlan, StructureType
from kmipkit.model.structure import Structure
from kmipkit.model.types import NameReference
from kmipkit.model.v3_forms import LINK_TAGS, NameTextType, ObjectReferenceType
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V3_0, VERSIONS, Version
from kmipkit.ttlv.tree import Item


def every_class() -> Iterator[type[Structure]]:
    """Every declared structure class, module by module."""
    for info in pkgutil.walk_packages(kmipkit.model.__path__, "kmipkit.model."):
        module = importlib.import_module(info.name)
        # Not from __subclasses__: that holds each class once more, as it was before its slots.
        for value in vars(module).values():
            own = isinstance(value, type) and value.__module__ == module.__name__
            if own and issubclass(value, Structure) and value is not Structure:
                yield value


CLASSES = tuple(every_class())


def tag_of(cls: type[Structure]) -> Tag:
    """The tag to write a value of this class under: its own, or any."""
    return cls.TAG or Tag.REQUEST_PAYLOAD


def versions_of(cls: type[Structure]) -> list[Version]:
    """The versions that have every field which the class cannot be made without."""
    needed = {field.name for field in fields(cls) if field.default is MISSING}
    return [
        version
        for version in VERSIONS
        if all(field.forms for field in plan(cls, version) if field.name in needed)
    ]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
BYTES = st.binary(max_size=33)
SECONDS = st.integers(-(1 << 35), 1 << 37)  # from the year 881 to 6325

_PRIMITIVES: dict[ItemType, st.SearchStrategy[Any]] = {
    ItemType.INTEGER: st.integers(-(1 << 31), (1 << 31) - 1),
    ItemType.LONG_INTEGER: st.integers(-(1 << 63), (1 << 63) - 1),
    ItemType.BIG_INTEGER: st.integers(-(1 << 130), 1 << 130),
    ItemType.INTERVAL: st.integers(0, (1 << 32) - 1),
    ItemType.BOOLEAN: st.booleans(),
    ItemType.TEXT_STRING: TEXTS,
    ItemType.BYTE_STRING: BYTES,
}


def _moment(field_type: DateTimeType) -> st.SearchStrategy[Any]:
    if field_type.unit == SECOND:
        return SECONDS.map(lambda seconds: EPOCH + seconds * SECOND)
    return st.builds(
        lambda seconds, micro: EPOCH + timedelta(seconds=seconds, microseconds=micro),
        SECONDS,
        st.integers(0, 999_999),
    )


def _enumerated(field_type: EnumerationType) -> st.SearchStrategy[Any]:
    known = [member for member in field_type.enumeration if member.known_in(field_type.version)]
    vendors = st.integers(0x80000000, 0xFFFFFFFF).map(field_type.enumeration)
    return st.one_of(st.sampled_from(known), vendors) if known else vendors


def _mask(field_type: MaskType) -> st.SearchStrategy[Any]:
    bits = 0xFFFFFFFF & ~field_type.later_bits
    return st.integers(0, 0xFFFFFFFF).map(lambda number: field_type.mask(number & bits))


def _item(tag: int) -> st.SearchStrategy[Item]:
    """A tree, as an unknown operation's payload or a vendor's extension has it."""
    leaf = st.one_of(
        TEXTS.map(lambda text: Item(0x540001, ItemType.TEXT_STRING, text)),
        BYTES.map(lambda data: Item(0x540002, ItemType.BYTE_STRING, data)),
        _PRIMITIVES[ItemType.INTEGER].map(lambda number: Item(0x540003, ItemType.INTEGER, number)),
    )
    return st.lists(leaf, max_size=3).map(lambda all_: Item(tag, ItemType.STRUCTURE, tuple(all_)))


@st.composite
def _attribute(draw: st.DrawFn, field_type: AttributeType, tag: Tag | None = None) -> Attribute:
    vendor_name = st.builds(VendorName, st.just("x"), TEXTS)
    if field_type.version >= V2_0:
        vendor_name = st.builds(VendorName, TEXTS, TEXTS)
    index = st.none() | st.integers(0, 9) if field_type.by_name else st.none()
    if field_type.generic or (tag is None and draw(st.integers(0, 4)) == 0):
        key = draw(vendor_name)
        value = draw(st.one_of(TEXTS, BYTES, st.booleans(), _PRIMITIVES[ItemType.INTEGER]))
        if field_type.generic:  # Locate keeps its criteria as trees
            value = Item(Tag.ATTRIBUTE_VALUE, ItemType.TEXT_STRING, draw(TEXTS))
        return Attribute(key, value, draw(index))
    if tag is None and field_type.version >= V3_0 and draw(st.integers(0, 4)) == 0:
        return draw(_link())
    known = [tag for tag in BY_TAG if field_type.value_type(tag) is not None]
    chosen = tag or draw(st.sampled_from(known))
    inner = field_type.value_type(chosen)
    assert inner is not None
    return Attribute(chosen, draw(value_of(inner, chosen)), draw(index))


def _link() -> st.SearchStrategy[Attribute]:
    """A link as 3.0 has it: under a tag of its own."""
    return st.builds(
        lambda link_type, identifier: Attribute(
            Tag.LINK, Link(link_type=link_type, linked_object_identifier=identifier)
        ),
        st.sampled_from(list(LINK_TAGS)),
        TEXTS,
    )


def _attributes(field_type: AttributeType, least: int = 0) -> st.SearchStrategy[Attributes]:
    many = st.lists(_attribute(field_type), min_size=least, max_size=4)
    return many.map(lambda items: Attributes(tuple(items)))


def _reference(field_type: AttributeReferenceType) -> st.SearchStrategy[Any]:
    known = [tag for tag, row in BY_TAG.items() if row.known_in(field_type.version)]
    vendor = TEXTS if field_type.version >= V2_0 else st.just("x")
    return st.one_of(st.sampled_from(known), st.builds(VendorName, vendor, TEXTS))


def value_of(field_type: FieldType, tag: int, outer: Any = None) -> st.SearchStrategy[Any]:
    """Values of a field type; ``tag`` is that of the item, ``outer`` what the structure receives."""
    if isinstance(field_type, ChoiceType):
        return st.one_of([value_of(option, tag, outer) for option in field_type.options])
    if isinstance(field_type, DependentType):
        return value_of(field_type.resolve(outer), tag)
    if isinstance(field_type, StructureType):
        return structures(field_type.cls, field_type.version, outer)
    if isinstance(field_type, GenericType):
        return _item(tag)
    return _SIMPLE[type(field_type)](field_type)


_SIMPLE: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    PrimitiveType: lambda field_type: _PRIMITIVES[field_type.item_type],
    ObjectReferenceType: lambda field_type: st.one_of(TEXTS, TEXTS.map(NameReference)),
    NameTextType: lambda field_type: TEXTS.map(
        lambda text: field_type.cls(
            **{field_type.text_field: text, field_type.type_field: field_type.default_type}
        )
    ),
    EnumerationType: _enumerated,
    MaskType: _mask,
    DateTimeType: _moment,
    AttributeListType: lambda field_type: _attributes(field_type.attribute_type),
    AttributeType: _attribute,
    AttributeReferenceType: _reference,
}


def _field(field: FieldPlan, selectors: dict[str, Any]) -> st.SearchStrategy[Any]:
    outer = selectors.get(field.by or field.passes)
    if field.spread:
        [form] = field.forms
        assert isinstance(form.field_type, AttributeType)
        some = _attributes(form.field_type, 1)  # none at all is what the default stands for
        return some if field.required else st.one_of(st.just(field.default), some)
    value = st.one_of([value_of(form.field_type, form.tag, outer) for form in field.forms])
    if field.repeated:
        return st.lists(value, min_size=int(field.required), max_size=3).map(tuple)
    return value if field.required else st.one_of(st.just(field.default), value)


@st.composite
def structures(
    draw: st.DrawFn, cls: type[Structure], version: Version, outer: Any = None
) -> Structure:
    """Values of a class with the fields that a version has."""
    selectors: dict[str, Any] = {"outer": outer}
    for field in plan(cls, version):
        if field.forms:
            selectors[field.name] = draw(_field(field, selectors))
    return cls(**{name: value for name, value in selectors.items() if name != "outer"})
