"""From declaration to plan: how the fields of a class are encoded in one version.

``plan(cls, version)`` is computed once per class and version. It is data; the reference codec
(:mod:`kmipkit.model.reference`) follows it, and the compiled codec (:mod:`kmipkit.model.compiled`)
makes source text of it.
"""

import types
from dataclasses import MISSING, fields
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from kmipkit.model.attribute import Attribute, AttributeReference, Attributes
from kmipkit.model.attribute_field_types import (
    AttributeListType,
    AttributeReferenceType,
    AttributeType,
)
from kmipkit.model.attributes import ATTRIBUTE_TYPES, Name, RotateName
from kmipkit.model.field_types import (
    MICROSECOND,
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
from kmipkit.model.memo import memoized
from kmipkit.model.reference import FieldPlan, Form, StructureType
from kmipkit.model.structure import Structure, Wire
from kmipkit.model.types import Identifier
from kmipkit.model.v3_forms import NameTextType, ObjectReferenceType
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.enums import NameType, RotateNameType, UniqueIdentifier
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V3_0, Version
from kmipkit.ttlv.tree import Item

_PRIMITIVES: dict[Any, FieldType] = {
    int: PrimitiveType(ItemType.INTEGER, int),
    bool: PrimitiveType(ItemType.BOOLEAN, bool),
    str: PrimitiveType(ItemType.TEXT_STRING, str),
    bytes: PrimitiveType(ItemType.BYTE_STRING, bytes),
    datetime: DateTimeType(ItemType.DATE_TIME, SECOND),
    Item: GenericType(),
}

_BY_ITEM_TYPE: dict[ItemType, FieldType] = {
    ItemType.LONG_INTEGER: PrimitiveType(ItemType.LONG_INTEGER, int),
    ItemType.BIG_INTEGER: PrimitiveType(ItemType.BIG_INTEGER, int),
    ItemType.INTERVAL: PrimitiveType(ItemType.INTERVAL, int),
    ItemType.DATE_TIME_EXTENDED: DateTimeType(ItemType.DATE_TIME_EXTENDED, MICROSECOND),
    ItemType.REFERENCE: ObjectReferenceType(ItemType.REFERENCE),
}

_NAMES_AS_TEXT: dict[Any, FieldType] = {
    Name: NameTextType(Name, "name_value", "name_type", NameType.UNINTERPRETED_TEXT_STRING),
    RotateName: NameTextType(
        RotateName,
        "rotate_name_value",
        "rotate_name_type",
        RotateNameType.UNINTERPRETED_TEXT_STRING,
    ),
}
"""Structures that are texts in 3.0."""


@memoized
def plan(cls: type[Structure], version: Version) -> tuple[FieldPlan, ...]:
    """The fields of a structure class in a version, in the order of the standard."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _field_plan(cls, field.name, hints[field.name], field.default, version)
        for field in fields(cls)
        if field.name != "extensions"
    )


def _field_plan(
    cls: type[Structure], name: str, hint: Any, default: object, version: Version
) -> FieldPlan:
    python, *metadata = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    wires = [entry for entry in metadata if isinstance(entry, Wire)]
    applicable = [wire for wire in wires if wire.applies_to(version)]
    inner, optional, repeated = _unwrap(python)
    initial = None if default is MISSING else default
    if not applicable:
        return FieldPlan(name, (), required=False, repeated=repeated, default=initial)
    assert len(applicable) == 1, f"{cls.__name__}.{name}: two forms in KMIP {version}"
    wire = applicable[0]
    implied = not (optional or repeated) and default is MISSING
    inner = inner if wire.as_ is None else wire.as_
    return FieldPlan(
        name,
        _forms(inner, wire, metadata, version),
        required=implied if wire.required is None else wire.required,
        repeated=repeated,
        default=initial,
        spread=wire.spread,
        by=wire.by,
        passes=wire.passes,
    )


def _unwrap(python: Any) -> tuple[Any, bool, bool]:
    """The type inside ``X | None`` or ``tuple[X, ...]``; whether it is optional; whether it repeats."""
    if get_origin(python) is tuple:
        return get_args(python)[0], False, True
    if get_origin(python) in (Union, types.UnionType) and type(None) in get_args(python):
        options = tuple(option for option in get_args(python) if option is not type(None))
        return Union[options], True, False  # noqa: UP007 - built at run time
    return python, False, False


def _forms(python: Any, wire: Wire, metadata: list[Any], version: Version) -> tuple[Form, ...]:
    if wire.tag is None:
        pairs = ((_own_tag(option), option) for option in _options(python))
        return tuple(
            Form(tag, field_type_of(option, version))
            for tag, option in pairs
            if tag.known_in(version) and _is_complete(option, version)
        )
    if wire.choose is not None:
        return (Form(wire.tag, _dependent_type(python, wire, version)),)
    if python is Attributes:
        return (Form(wire.tag, _attributes_type(wire, version)),)
    item_type = _item_type(metadata)
    return (
        Form(wire.tag, _BY_ITEM_TYPE[item_type] if item_type else field_type_of(python, version)),
    )


def _item_type(metadata: list[Any]) -> ItemType | None:
    return next((entry for entry in metadata if isinstance(entry, ItemType)), None)


def _attributes_type(wire: Wire, version: Version) -> FieldType:
    attribute_type = AttributeType(version, partial(value_type, version=version), wire.generic)
    return (
        attribute_type
        if wire.spread
        else AttributeListType(attribute_type, field_type_of(Name, version))
    )


def value_type(tag: Tag, version: Version) -> FieldType | None:
    """The field type of a standard attribute's value; None if the version lacks the attribute."""
    row = BY_TAG.get(tag)
    # 3.0 has a tag for each type of link instead. Custom Attribute has a row, for its rules, but no
    # type of its own.
    has_link_tags = tag is Tag.LINK and version >= V3_0
    if row is None or tag not in ATTRIBUTE_TYPES or not row.known_in(version) or has_link_tags:
        return None
    return field_type_of(ATTRIBUTE_TYPES[tag], version)


def _is_complete(cls: type[Structure], version: Version) -> bool:
    """Whether a version has all required fields of a structure."""
    required = {field.name for field in fields(cls) if field.default is MISSING}
    return all(field.forms for field in plan(cls, version) if field.name in required)


def _own_tag(option: Any) -> Tag:
    assert issubclass(option, Structure)
    assert option.TAG is not None, f"{option.__name__} has no tag of its own"
    tag: Tag = option.TAG
    return tag


def _options(python: Any) -> tuple[Any, ...]:
    if get_origin(python) in (Union, types.UnionType):
        return get_args(python)
    return (python,)


def _dependent_type(python: Any, wire: Wire, version: Version) -> FieldType:
    choose = wire.choose
    assert choose is not None

    def resolve(selector: Any) -> FieldType:
        cls = choose(selector, version)
        return GenericType() if cls is None else field_type_of(cls, version)

    plain = tuple(
        field_type_of(option, version)
        for option in _options(python)
        if option is not Item and not (isinstance(option, type) and issubclass(option, Structure))
    )
    dependent = DependentType(resolve, partial(field_type_of, version=version))
    return ChoiceType((*plain, dependent)) if plain else dependent


def _identifier(version: Version) -> FieldType:
    """Identifiers: also symbols and numbers since 2.0 (KMIP 2.1 §4.58), own item types since 3.0."""
    if version < V2_0:
        return _PRIMITIVES[str]
    text = ObjectReferenceType(ItemType.IDENTIFIER) if version >= V3_0 else _PRIMITIVES[str]
    return ChoiceType((text, field_type_of(UniqueIdentifier, version), _PRIMITIVES[int]))


@memoized
def field_type_of(python: Any, version: Version) -> FieldType:
    """The field type of a Python annotation in a version."""
    if get_origin(python) is Annotated:
        inner, *metadata = get_args(python)
        item_type = _item_type(metadata)
        return _BY_ITEM_TYPE[item_type] if item_type else field_type_of(inner, version)
    if python in _PRIMITIVES:
        return _PRIMITIVES[python]
    if python == Identifier:
        return _identifier(version)
    if version >= V3_0 and python in _NAMES_AS_TEXT:
        return _NAMES_AS_TEXT[python]
    if python == AttributeReference:
        return AttributeReferenceType(version)
    if get_origin(python) in (Union, types.UnionType):
        return ChoiceType(tuple(field_type_of(option, version) for option in get_args(python)))
    if python is Attribute:
        return AttributeType(version, partial(value_type, version=version))
    if issubclass(python, OpenEnum):
        return EnumerationType(python, version)
    if issubclass(python, OpenMask):
        return MaskType(python)
    assert issubclass(python, Structure), f"{python!r} has no form on the wire"
    return StructureType(python, version, partial(plan, python, version))
