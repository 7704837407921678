"""From declaration to plan: how the fields of a class travel in one version.

``plan(cls, version)`` is computed once per class and version. It is data; the reference codec
(:mod:`kmipkit.model.reference`) walks it, and the compiled codec (:mod:`kmipkit.model.codec`)
turns it into source text.
"""

import types
from dataclasses import MISSING, fields
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from kmipkit.model.attribute import Attribute, AttributeReference, Attributes
from kmipkit.model.attribute_field_types import (
    AttributeKind,
    AttributeListKind,
    AttributeReferenceKind,
)
from kmipkit.model.attributes import ATTRIBUTE_TYPES, Name, RotateName
from kmipkit.model.field_types import (
    MICROSECOND,
    SECOND,
    Enumerated,
    Generic,
    Kind,
    Masked,
    Moment,
    OneOf,
    Plain,
    Selected,
)
from kmipkit.model.memo import memoized
from kmipkit.model.reference import FieldPlan, Form, Nested
from kmipkit.model.structure import Structure, Wire
from kmipkit.model.types import Identifier
from kmipkit.model.v3_forms import FlatName, Naming
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.enums import NameType, RotateNameType, UniqueIdentifier
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, V3_0, Version
from kmipkit.ttlv.tree import Item

_PLAIN: dict[Any, Kind] = {
    int: Plain(ItemType.INTEGER, int),
    bool: Plain(ItemType.BOOLEAN, bool),
    str: Plain(ItemType.TEXT_STRING, str),
    bytes: Plain(ItemType.BYTE_STRING, bytes),
    datetime: Moment(ItemType.DATE_TIME, SECOND),
    Item: Generic(),
}

_MARKED: dict[ItemType, Kind] = {
    ItemType.LONG_INTEGER: Plain(ItemType.LONG_INTEGER, int),
    ItemType.BIG_INTEGER: Plain(ItemType.BIG_INTEGER, int),
    ItemType.INTERVAL: Plain(ItemType.INTERVAL, int),
    ItemType.DATE_TIME_EXTENDED: Moment(ItemType.DATE_TIME_EXTENDED, MICROSECOND),
    ItemType.REFERENCE: Naming(ItemType.REFERENCE),
}

_FLAT: dict[Any, Kind] = {
    Name: FlatName(Name, "name_value", "name_type", NameType.UNINTERPRETED_TEXT_STRING),
    RotateName: FlatName(
        RotateName,
        "rotate_name_value",
        "rotate_name_type",
        RotateNameType.UNINTERPRETED_TEXT_STRING,
    ),
}
"""Structures of which 3.0 writes a text."""


@memoized
def plan(cls: type[Structure], version: Version) -> tuple[FieldPlan, ...]:
    """The fields of a structure class in a version, in the order of the wire."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _field_plan(cls, field.name, hints[field.name], field.default, version)
        for field in fields(cls)
        if field.name != "extensions"
    )


def _field_plan(
    cls: type[Structure], name: str, hint: Any, default: object, version: Version
) -> FieldPlan:
    python, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    wires = [mark for mark in marks if isinstance(mark, Wire)]
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
        _forms(inner, wire, marks, version),
        required=implied if wire.required is None else wire.required,
        repeated=repeated,
        default=initial,
        spread=wire.spread,
        by=wire.by,
        passes=wire.passes,
    )


def _unwrap(python: Any) -> tuple[Any, bool, bool]:
    """The type inside ``X | None`` or ``tuple[X, ...]``, whether optional, whether repeated."""
    if get_origin(python) is tuple:
        return get_args(python)[0], False, True
    if get_origin(python) in (Union, types.UnionType) and type(None) in get_args(python):
        rest = tuple(option for option in get_args(python) if option is not type(None))
        return Union[rest], True, False  # noqa: UP007 - built at run time
    return python, False, False


def _forms(python: Any, wire: Wire, marks: list[Any], version: Version) -> tuple[Form, ...]:
    if wire.tag is None:
        owned = ((_own_tag(option), option) for option in _options(python))
        return tuple(
            Form(tag, kind_of(option, version))
            for tag, option in owned
            if tag.known_in(version) and _is_complete(option, version)
        )
    if wire.choose is not None:
        return (Form(wire.tag, _selected(python, wire, version)),)
    if python is Attributes:
        return (Form(wire.tag, _attributes_kind(wire, version)),)
    marked = next((mark for mark in marks if isinstance(mark, ItemType)), None)
    return (Form(wire.tag, _MARKED[marked] if marked else kind_of(python, version)),)


def _attributes_kind(wire: Wire, version: Version) -> Kind:
    codec = AttributeKind(version, partial(value_kind, version=version), wire.generic)
    return codec if wire.spread else AttributeListKind(codec, kind_of(Name, version))


def value_kind(tag: Tag, version: Version) -> Kind | None:
    """The kind of a standard attribute's value; None where the version has no such attribute."""
    row = BY_TAG.get(tag)
    dissolved = tag is Tag.LINK and version >= V3_0
    if row is None or tag not in ATTRIBUTE_TYPES or not row.known_in(version) or dissolved:
        # 3.0 has a tag per type of link; Custom Attribute has a row, for its rules, and any type.
        return None
    return kind_of(ATTRIBUTE_TYPES[tag], version)


def _is_complete(cls: type[Structure], version: Version) -> bool:
    """Whether a version has every field without which there is no such structure."""
    needed = {field.name for field in fields(cls) if field.default is MISSING}
    return all(field.forms for field in plan(cls, version) if field.name in needed)


def _own_tag(option: Any) -> Tag:
    assert issubclass(option, Structure)
    assert option.TAG is not None, f"{option.__name__} has no tag of its own"
    tag: Tag = option.TAG
    return tag


def _options(python: Any) -> tuple[Any, ...]:
    if get_origin(python) in (Union, types.UnionType):
        return get_args(python)
    return (python,)


def _selected(python: Any, wire: Wire, version: Version) -> Kind:
    choose = wire.choose
    assert choose is not None

    def resolve(selector: Any) -> Kind:
        chosen = choose(selector, version)
        return Generic() if chosen is None else kind_of(chosen, version)

    plain = tuple(
        kind_of(option, version)
        for option in _options(python)
        if option is not Item and not (isinstance(option, type) and issubclass(option, Structure))
    )
    selected = Selected(resolve, partial(kind_of, version=version))
    return OneOf((*plain, selected)) if plain else selected


def _identifier(version: Version) -> Kind:
    """What names an object: symbols and numbers came with 2.0 (KMIP 2.1 §4.58), item types with 3.0."""
    if version < V2_0:
        return _PLAIN[str]
    text = Naming(ItemType.IDENTIFIER) if version >= V3_0 else _PLAIN[str]
    return OneOf((text, kind_of(UniqueIdentifier, version), _PLAIN[int]))


@memoized
def kind_of(python: Any, version: Version) -> Kind:
    """The kind of a Python annotation in a version."""
    if get_origin(python) is Annotated:
        inner, *marks = get_args(python)
        marked = next((mark for mark in marks if isinstance(mark, ItemType)), None)
        return _MARKED[marked] if marked else kind_of(inner, version)
    if python in _PLAIN:
        return _PLAIN[python]
    if python == Identifier:
        return _identifier(version)
    if version >= V3_0 and python in _FLAT:
        return _FLAT[python]
    if python == AttributeReference:
        return AttributeReferenceKind(version)
    if get_origin(python) in (Union, types.UnionType):
        return OneOf(tuple(kind_of(option, version) for option in get_args(python)))
    if python is Attribute:
        return AttributeKind(version, partial(value_kind, version=version))
    if issubclass(python, OpenEnum):
        return Enumerated(python, version)
    if issubclass(python, OpenMask):
        return Masked(python)
    assert issubclass(python, Structure), f"no wire form for {python!r}"
    return Nested(python, version, partial(plan, python, version))
