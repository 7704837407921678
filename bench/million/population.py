"""Objects like those of production, as many as are wanted.

A few objects are made by the server itself. Each further object is a copy of one of them with an
identifier, names, dates, links and a group of its own, and with some of the other attributes of the
standard, so that each attribute is one that some objects have. The values do not depend on chance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from kmipkit_server.store.base import Record
from kmipkit_server.store.index import SHARED

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, VendorName
from kmipkit.model.attributes import ATTRIBUTE_TYPES, Digest, Link, Name
from kmipkit.model.structure import Structure
from kmipkit.spec.attributes import ATTRIBUTES
from kmipkit.spec.enumeration import OpenMask
from kmipkit.spec.enums import HashingAlgorithm, KeyFormatType, LinkType, NameType, State
from kmipkit.spec.tags import Tag

MAIN = "admin"
"""The account that has most of the objects, and whose searches are measured."""
OTHERS = ("Büro Nord", "storage-02", "鍵管理", "vcenter-07")

BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
DEPARTMENT = VendorName("x", "Abteilung")
SERIAL = VendorName("x", "Serial")
EXPIRY = VendorName("x", "Valid Until")
DEPARTMENTS, GROUPS = 20, 10

STATES = (
    *[State.ACTIVE] * 60,
    *[State.PRE_ACTIVE] * 20,
    *[State.DEACTIVATED] * 10,
    *[State.DESTROYED] * 7,
    *[State.COMPROMISED] * 2,
    State.DESTROYED_COMPROMISED,
)
"""The states of a hundred objects."""
_DATES_OF_STATES: dict[State, tuple[Tag, ...]] = {
    State.ACTIVE: (Tag.ACTIVATION_DATE,),
    State.DEACTIVATED: (Tag.ACTIVATION_DATE, Tag.DEACTIVATION_DATE),
    State.COMPROMISED: (Tag.ACTIVATION_DATE, Tag.COMPROMISE_DATE),
    State.DESTROYED: (Tag.DESTROY_DATE,),
    State.DESTROYED_COMPROMISED: (Tag.COMPROMISE_DATE, Tag.DESTROY_DATE),
}

_OWN = frozenset(
    {
        Tag.UNIQUE_IDENTIFIER, Tag.OBJECT_TYPE, Tag.STATE, Tag.ARCHIVE_DATE, Tag.CUSTOM_ATTRIBUTE,
        Tag.NAME, Tag.OBJECT_GROUP, Tag.LINK, Tag.DIGEST, Tag.SHORT_UNIQUE_IDENTIFIER,
        Tag.ROTATE_AUTOMATIC,  # the server would rotate them
        *(each for dates in _DATES_OF_STATES.values() for each in dates),
    }
)  # fmt: skip
"""Attributes whose values :func:`_own_attributes` or the store makes."""

EVERY = 40
"""One object of so many has a given one of the other attributes."""


def is_main(number: int) -> bool:
    """Whether the object with this number belongs to :data:`MAIN`."""
    return number // 13 % 10 < 8


def identifier(number: int) -> str:
    """The Unique Identifier of the object with this number: no order, like those of the server."""
    return str(UUID(bytes=sha256(number.to_bytes(8, "big")).digest()[:16], version=4))


def name(number: int) -> str:
    """A name; one of three is not ASCII."""
    return (f"vm-{number:07}/disk-0", f"Schlüssel {number}", f"鍵-{number:07}")[number % 3]


@dataclass(frozen=True, slots=True)
class Population:
    """What copies are made of."""

    prototypes: Sequence[Record]

    def records(self, first: int, last: int) -> Iterator[Record]:
        """The objects with the numbers from ``first`` to before ``last``."""
        return map(self.record, range(first, last))

    def record(self, number: int) -> Record:
        """The object with a number."""
        prototype = self.prototypes[number % len(self.prototypes)]
        # Each property changes at its own pace, so that all of them combine.
        state = STATES[number // 11 * 7 % len(STATES)]
        own = Attributes(tuple(_instances(_own_attributes(number, state))))
        rest = [each for each in prototype.attributes if each.key not in own]
        added = [each for each in _others(number) if each.key not in own]
        replaced = {each.key for each in added}
        rest = [each for each in rest if each.key not in replaced]
        return Record(
            identifier(number),
            MAIN if is_main(number) else OTHERS[number // 17 % len(OTHERS)],
            prototype.object_type,
            state,
            Attributes((*own, *rest, *added)),
            None if state in DESTROYED_STATES else prototype.material,
        )


def _instances(pairs: Iterator[tuple[AttributeKey, Any]]) -> Iterator[Attribute]:
    """Attributes with the indexes of their instances."""
    numbers: dict[AttributeKey, int] = {}
    for key, value in pairs:
        numbers[key] = index = numbers.get(key, -1) + 1
        yield Attribute(key, value, index)


def _own_attributes(number: int, state: State) -> Iterator[tuple[AttributeKey, Any]]:
    moment = date(number)
    digest = sha256(f"material {number}".encode()).digest()
    yield Tag.NAME, Name(name_value=name(number), name_type=NameType.UNINTERPRETED_TEXT_STRING)
    if number % 4 == 0:
        yield Tag.NAME, Name(name_value=f"urn:key:{number}", name_type=NameType.URI)
    yield Tag.OBJECT_GROUP, f"group-{number // 3 % GROUPS}"
    yield Tag.SHORT_UNIQUE_IDENTIFIER, sha256(digest).digest()
    yield (
        Tag.DIGEST,
        Digest(
            hashing_algorithm=HashingAlgorithm.SHA_256,
            digest_value=digest,
            key_format_type=KeyFormatType.RAW,
        ),
    )
    for tag in (Tag.INITIAL_DATE, Tag.ORIGINAL_CREATION_DATE, Tag.LAST_CHANGE_DATE):
        yield tag, moment
    for tag in _DATES_OF_STATES.get(state, ()):
        yield tag, moment
    if number % 50 == 9:
        yield Tag.ARCHIVE_DATE, moment
    if number:
        link_type = (LinkType.PREVIOUS_LINK, LinkType.PARENT_LINK)[number % 2]
        yield (
            Tag.LINK,
            Link(link_type=link_type, linked_object_identifier=identifier(number // 2)),
        )
    yield DEPARTMENT, f"Abteilung {number // 7 % DEPARTMENTS}"
    yield SERIAL, number % (1 << 31)
    if number % 5 == 0:
        yield EXPIRY, moment + timedelta(days=730)


def date(number: int) -> datetime:
    """When an object was created: one in each second."""
    return BEGIN + timedelta(seconds=number)


OTHER_ATTRIBUTES = tuple(
    sorted(spec.tag for spec in ATTRIBUTES if spec.tag not in _OWN and spec.tag in ATTRIBUTE_TYPES)
)
"""Attributes of the standard that some objects have, whatever their type."""


def _others(number: int) -> Iterator[Attribute]:
    for place, tag in enumerate(OTHER_ATTRIBUTES):
        if (number * 3 + place) % EVERY == 0:
            text = f"{tag.name.lower()} {number // EVERY % 2 if tag in SHARED else number}"
            yield Attribute(tag, value(ATTRIBUTE_TYPES[tag], text, number), 0)


def value(annotation: Any, text: str, number: int) -> Any:
    """A value of a type, one of few or of many as is usual for the type."""
    kind = get_origin(annotation)
    if kind in (Annotated, UnionType, Union):
        return value(get_args(annotation)[0], text, number)
    if kind is tuple:
        return (value(get_args(annotation)[0], text, number),)
    few = number // EVERY % 2
    plain = {
        str: text,
        bytes: text.encode(),
        bool: bool(few),
        datetime: date(number),
        int: 128 << few,
    }
    if annotation in plain:
        return plain[annotation]
    if issubclass(annotation, Structure):
        return _structure(annotation, text, number)
    if issubclass(annotation, OpenMask):
        return annotation(1 << few)
    members = list(annotation)
    return members[few % len(members)] if members else annotation(1 << 31 | few)


def _structure(cls: type[Structure], text: str, number: int) -> Structure:
    fields = _fields(cls)  # type: ignore[arg-type]  # mypy does not see that a class is hashable
    return cls(**{name: value(each, text, number) for name, each in fields})


@cache
def _fields(cls: type[Structure]) -> tuple[tuple[str, Any], ...]:
    """The first two fields of a structure and those that it needs, with their types."""
    hints = get_type_hints(cls, include_extras=True)
    names = [each for each in cls.__slots__ if each in hints]
    needed = [each for each in names[2:] if not _is_optional(hints[each])]
    return tuple((each, hints[each]) for each in (*names[:2], *needed))


def _is_optional(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return type(None) in get_args(annotation) or get_origin(annotation) is tuple
