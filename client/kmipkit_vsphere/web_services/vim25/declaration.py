"""How the types of the vSphere Web Services API are declared, and what the codec reads from it.

A type is a class with annotated fields, in the order of the schema, fields of the base class first:

.. code-block:: python

    class KmipClusterInfo(DataObject):
        cluster_id: KeyProviderId
        servers: Sequence[KmipServerInfo] = ()
        use_as_default: bool
        management_type: Annotated[str | None, Since("7.0.0.0")] = None

``Sequence`` is an array, ``| None`` an optional element. ``clusterId`` is the name on the wire; where
the rule does not give it, ``Name("numCPU")`` does. ``Since`` is the version of the API with which an
element or (``class X(DataObject, since="9.0.0.0")``) a type appeared: older clients do not get it.
Objects are immutable and compare by value.
"""

import dataclasses
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    NamedTuple,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)

from kmipkit_vsphere.web_services.versions import ANY_VERSION, Version

VIM25: Final = "urn:vim25"
"""The namespace of the Web Services API."""


class Ref(NamedTuple):
    """A reference to a managed object (``ManagedObjectReference``)."""

    type: str
    value: str

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


class VimEnum(StrEnum):
    """An enumeration of the API; the class has its name."""


@dataclass(frozen=True, slots=True)
class Since:
    """The version with which an element appeared."""

    version: str


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an element on the wire."""

    name: str


@dataclass(frozen=True, slots=True)
class Primitive:
    """A simple type of XML Schema, as in ``xsd:string``."""

    name: str


Byte = Annotated[int, Primitive("byte")]
Short = Annotated[int, Primitive("short")]
Long = Annotated[int, Primitive("long")]
Float = Annotated[float, Primitive("float")]

STRING: Final = Primitive("string")
_PRIMITIVES: Final[dict[Any, Primitive]] = {
    str: STRING,
    bool: Primitive("boolean"),
    int: Primitive("int"),
    float: Primitive("double"),
    datetime: Primitive("dateTime"),
    bytes: Primitive("base64Binary"),
}


class AnyType:
    """The type ``anyType``: the value says on the wire what it is."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class DataObject:
    """A data object of the API; the class has its name."""

    since: ClassVar[Version] = ANY_VERSION
    namespace: ClassVar[str] = VIM25
    is_abstract: ClassVar[bool] = False
    """Whether the wire must name a subclass (``xsi:type``)."""
    is_open: ClassVar[bool] = False
    """Whether a subclass that is not declared is read as this one: the laboratory ignores the rest."""

    def __init_subclass__(
        cls,
        since: str | None = None,
        namespace: str | None = None,
        *,
        abstract: bool = False,
        open: bool = False,  # noqa: A002 -- reads well in a declaration
    ) -> None:
        if since is not None:
            cls.since = Version.parse(since)
        if namespace is not None:
            cls.namespace = namespace
        cls.is_abstract, cls.is_open = abstract, open
        dataclass(frozen=True, kw_only=True)(cls)
        if TYPES.setdefault((cls.namespace, cls.__name__), cls) is not cls:
            raise TypeError(f"the type {cls.__name__} is declared twice")


TYPES: Final[dict[tuple[str, str], type[DataObject]]] = {}
"""Namespace and name to class, of all declared data objects."""

Kind = Primitive | type[DataObject] | type[VimEnum] | type[Ref] | type[AnyType]


@dataclass(frozen=True, slots=True)
class Shape:
    """What an annotation says: the kind of value, and whether it is an array or optional."""

    kind: Kind
    is_array: bool = False
    is_optional: bool = False
    since: Version = ANY_VERSION
    name: str | None = None

    @property
    def kind_name(self) -> str:
        """The name of the kind without namespace, as it appears in ``ArrayOfX``."""
        return kind_name(self.kind)


@dataclass(frozen=True, slots=True)
class Element:
    """A field of a data object, or a parameter of a method."""

    attribute: str
    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Value:
    """A value for an ``anyType`` together with its declared type, which a bare value may not show."""

    shape: Shape
    value: Any


def kind_name(kind: Kind) -> str:
    """The name of a kind, without namespace."""
    if isinstance(kind, Primitive):
        return kind.name
    if kind is Ref:
        return "ManagedObjectReference"
    return "anyType" if kind is AnyType else kind.__name__


def camel_case(name: str) -> str:
    """``cluster_id`` as ``clusterId``."""
    first, *others = name.rstrip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


_ELEMENTS: Final[dict[type[DataObject], tuple[Element, ...]]] = {}


def elements(kind: type[DataObject]) -> tuple[Element, ...]:
    """The fields of a data object in the order of the schema."""
    known = _ELEMENTS.get(kind)
    if known is None:
        hints = typing.get_type_hints(kind, include_extras=True)
        known = _ELEMENTS[kind] = tuple(
            element_of(field.name, hints[field.name])
            for field in dataclasses.fields(kind)  # type: ignore[arg-type]  # made one on declaration
        )
    return known


def element_of(attribute: str, annotation: Any) -> Element:
    """A field or parameter from its name and annotation."""
    shape = shape_of(annotation)
    return Element(attribute, shape.name or camel_case(attribute), shape)


def shape_of(annotation: Any) -> Shape:
    """The shape that an annotation describes."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        shape = shape_of(inner)
        for note in notes:
            if isinstance(note, Since):
                shape = dataclasses.replace(shape, since=Version.parse(note.version))
            elif isinstance(note, Name):
                shape = dataclasses.replace(shape, name=note.name)
            elif isinstance(note, Primitive):
                shape = dataclasses.replace(shape, kind=note)
        return shape
    if get_origin(annotation) in (Union, types.UnionType):
        [inner] = (part for part in get_args(annotation) if part is not types.NoneType)
        return dataclasses.replace(shape_of(inner), is_optional=True)
    if get_origin(annotation) is Sequence:
        [inner] = get_args(annotation)
        return dataclasses.replace(shape_of(inner), is_array=True, is_optional=True)
    return Shape(_kind_of(annotation))


def _kind_of(annotation: Any) -> Kind:
    if annotation is Any:
        return AnyType
    if annotation in _PRIMITIVES:
        return _PRIMITIVES[annotation]
    if isinstance(annotation, type) and issubclass(annotation, DataObject | VimEnum | Ref):
        return annotation
    raise TypeError(f"{annotation!r} is not a type of the API")


def shape_of_value(value: Any) -> Shape:
    """The shape of a bare value; of an array, that of its first item."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | Ref):
        first = shape_of_value(value[0]) if value else Shape(AnyType)
        return dataclasses.replace(first, is_array=True)
    return Shape(_kind_of(type(value)))
