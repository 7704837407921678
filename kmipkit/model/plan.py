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
from kmipkit.spec.enums import NameType, Operation, RotateNameType, UniqueIdentifier
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V3_0, VERSIONS, Version
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


@memoized
def later_plans(cls: type[Structure], version: Version) -> dict[str, tuple[FieldPlan, ...]]:
    """The plans that the fields of a class have in later versions, oldest version first."""
    plans = [plan(cls, later) for later in VERSIONS if later > version]
    # All plans of a class have the same fields, in the same order.
    return {
        field[0].name: tuple(form for form in field if form.forms)
        for field in zip(*plans, strict=True)
    }


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
    if wire.any_version:
        return (Form(wire.tag, EnumerationType(python, version, any_version=True)),)
    item_type = _item_type(metadata)
    return (
        Form(wire.tag, _BY_ITEM_TYPE[item_type] if item_type else field_type_of(python, version)),
    )


def _item_type(metadata: list[Any]) -> ItemType | None:
    return next((entry for entry in metadata if isinstance(entry, ItemType)), None)


def _attributes_type(wire: Wire, version: Version) -> FieldType:
    each = attribute_type(version, wire.generic)
    return each if wire.spread else AttributeListType(each, field_type_of(Name, version))


def attribute_type(version: Version, generic: bool = False) -> AttributeType:
    """The field type of an attribute."""
    values, later = (partial(f, version=version) for f in (value_type, later_value_type))
    return AttributeType(version, values, later, generic)


def later_value_type(tag: Tag, version: Version) -> FieldType | None:
    """The field type of an attribute's value in the first later version that has the attribute."""
    later = (value_type(tag, each) for each in VERSIONS if each > version)
    return next((field_type for field_type in later if field_type is not None), None)


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

    def resolve_later(selector: Any) -> FieldType:
        # An operation that the version does not have is not supported, whatever its payload is.
        is_later = isinstance(selector, OpenEnum) and not isinstance(selector, Operation)
        first = max(version, selector.since) if is_later else version
        cls = choose(selector, first)
        return GenericType() if cls is None else field_type_of(cls, first)

    plain = tuple(
        field_type_of(option, version)
        for option in _options(python)
        if option is not Item and not (isinstance(option, type) and issubclass(option, Structure))
    )
    type_of_class = partial(field_type_of, version=version)
    dependent = DependentType(resolve, resolve_later, type_of_class)
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
        return attribute_type(version)
    if issubclass(python, OpenEnum):
        return EnumerationType(python, version)
    if issubclass(python, OpenMask):
        return MaskType(python, version)
    assert issubclass(python, Structure), f"{python!r} has no form on the wire"
    return StructureType(
        python, version, partial(plan, python, version), partial(later_plans, python, version)
    )
