"""Declarations of the structures of the protocol.

A structure of KMIP is a class with one annotated field per item, in the order of the standard::

    @structure(Tag.DIGEST)
    class Digest:
        hashing_algorithm: Annotated[HashingAlgorithm, Wire(Tag.HASHING_ALGORITHM)]
        digest_value: Annotated[bytes | None, Wire(Tag.DIGEST_VALUE)] = None
        key_format_type: Annotated[KeyFormatType | None, Wire(Tag.KEY_FORMAT_TYPE, since=V1_1)] = None

``X`` is required, ``X | None`` is optional, ``tuple[X, ...]`` may be repeated. The versions that have
a field are data on the field; a field whose form changed has one :class:`Wire` per form. From these
declarations, :mod:`kmipkit.model.plan` derives how each version reads and writes the structure.

The instances are immutable and have keyword arguments only. The decoder creates them without
``__init__``, so a structure class has no ``__post_init__``. All classes share one ``__repr__``,
which redacts secrets.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from kmipkit.model.memo import memoized
from kmipkit.spec.secrets import SECRET_TAGS
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, Version
from kmipkit.ttlv.tree import Item

_Class = TypeVar("_Class", bound="type[Structure]")

Chooser = Callable[[Any, Version], Any]
"""From the value of another field, and the version, to the class of a field.

None if the class is not known: the field is then a generic :class:`kmipkit.ttlv.tree.Item`.
"""


@dataclass(frozen=True, slots=True)
class Wire:
    """The form of a field on the wire in a range of versions, both ends included.

    ``tag`` can be omitted if the classes of the field have their own tags, as managed objects have.
    ``as_`` overrides the Python type in these versions, and ``required`` overrides the annotation.
    ``spread`` and ``generic`` are for attributes: with ``spread`` each attribute is an item of the
    structure itself, with ``generic`` values remain trees. ``any_version`` is for an enumeration that
    repeats what the peer sent, so that it has the values of all versions. ``by`` names the field whose
    value selects the class, through ``choose``; ``passes`` names the field whose value is passed into
    the structure, where ``by="outer"`` refers to it.
    """

    tag: Tag | None = None
    since: Version = V1_0
    until: Version | None = None
    as_: Any = None
    required: bool | None = None
    spread: bool = False
    generic: bool = False
    any_version: bool = False
    by: str = ""
    choose: Chooser | None = None
    passes: str = ""

    def applies_to(self, version: Version) -> bool:
        """Whether the field has this form in a version, and the version has the tag."""
        has_tag = self.tag is None or self.tag.known_in(version)
        return has_tag and self.since <= version and (self.until is None or version <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Structure:
    """The base of all structure classes: compares and shows the declared fields."""

    TAG: ClassVar[Tag | None] = None
    """The tag of the structure, unless it depends on the enclosing structure."""

    REPEATS: ClassVar[Callable[[Any], bool] | None] = None
    """For a structure that peers send again and again with the same content: whether a value may be
    kept, so that the same bytes are not decoded again. It must have no secret."""

    extensions: tuple[Item, ...] = ()
    """Items that are not declared, such as those with vendor tags, in their order."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        values = _values_getter(type(self))
        equal: bool = values(self) == values(other)
        return equal

    def __hash__(self) -> int:
        return hash((type(self), _values_getter(type(self))(self)))

    def __repr__(self) -> str:
        values = ", ".join(
            f"{field.name}={_repr_value(field, getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) not in (None, ())
        )
        return f"{type(self).__name__}({values})"

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return dataclasses.replace(self, **changes)


def _repr_value(field: "dataclasses.Field[Any]", value: object) -> str:
    wires = getattr(field.type, "__metadata__", ())
    if any(wire.tag in SECRET_TAGS for wire in wires if isinstance(wire, Wire)) and isinstance(
        value, bytes | str | int
    ):
        size = f" {len(value)} bytes" if isinstance(value, bytes) else ""
        return f"<redacted{size}>"
    return repr(value)


@memoized
def field_names(cls: type) -> tuple[str, ...]:
    """Names of the declared fields of a structure class, in the order of the standard."""
    return tuple(field.name for field in dataclasses.fields(cls))


@memoized
def setters(cls: type) -> Mapping[str, Callable[[Any, Any], None]]:
    """What sets each field of a new object of a structure class, in place of its ``__init__``.

    A field of a frozen class costs ``__init__`` three times as much.
    """
    return {name: getattr(cls, name).__set__ for name in field_names(cls)}


def copier(structure: Structure, *names: str) -> Callable[[Sequence[Any]], Any]:
    """A function that makes copies of a structure with other values in these fields.

    It does what :meth:`Structure.replace` does, in a fraction of the time.
    """
    cls = type(structure)
    others = [
        (put, getattr(structure, name)) for name, put in setters(cls).items() if name not in names
    ]
    changed = [setters(cls)[name] for name in names]

    def copy(values: Sequence[Any]) -> Any:
        new = object.__new__(cls)
        for put, value in others:
            put(new, value)
        for put, value in zip(changed, values, strict=True):
            put(new, value)
        return new

    return copy


@memoized
def _values_getter(cls: type) -> Callable[[Any], Any]:
    """A function that returns the values of all declared fields of a structure."""
    return attrgetter(*field_names(cls))


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
def structure(
    tag: Tag | None = None, *, repeats: Callable[[Any], bool] | None = None
) -> Callable[[_Class], _Class]:
    """Declare a structure class, with its tag if the structure always has the same one.

    ``repeats`` is its :attr:`Structure.REPEATS`.
    """

    def declare(cls: _Class) -> _Class:
        decorate: Any = dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
        declared: _Class = decorate(cls)
        declared.TAG = tag
        declared.REPEATS = repeats
        return declared

    return declare
