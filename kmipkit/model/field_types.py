"""Field types: how the value of a field becomes an item of the generic tree, and back.

A field type knows the item types that it accepts, reads a value from an :class:`Item`, and writes
one. Field types are part of the reference codec, against which the compiled codec is tested: they
are simple, and have all errors. :mod:`kmipkit.model.plan` derives them from Python annotations.

``Place`` has the path for error messages, and says how strict to be. ``outer`` is a value of an
enclosing structure that selects the class of a field inside.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, Protocol

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.spec.enumeration import OpenEnum, OpenMask
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.spec.versions import Version
from kmipkit.ttlv.paths import type_phrase, types_phrase
from kmipkit.ttlv.tree import Item

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


VersionJudge = Callable[[RemoteProtocolError], bool]
"""Decides about a field, attribute or value of a request that only a later version has.

It gets the error that refuses it. True accepts what the client evidently means; with False it is read
as in the version of the message, which refuses fields and values. The judge may also raise the error.
Without a judge, values of enumerations are accepted, fields and attributes are not.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a value in a message."""

    path: str = ""
    strict: bool = True
    """For encoding: a field or value that the version does not have is an error; otherwise it is left
    out."""
    tolerant: bool = False
    """For decoding: items may have any order, and standard items that the structure does not have become
    extensions."""
    judge: VersionJudge | None = None
    """For decoding: decides about fields, attributes and values that only a later version has."""

    def enter(self, tag: int, index: int | None = None) -> "Place":
        """The place of a child item."""
        name = tag_name(tag) if index is None else f"{tag_name(tag)}[{index}]"
        path = f"{self.path}/{name}" if self.path else name
        return Place(path, self.strict, self.tolerant, self.judge)

    def accepts_later(self, message: str, item: Item, cause: Cause = Cause.WRONG_VERSION) -> bool:
        """Whether to accept what only a later version has; ``message`` says what the version lacks."""
        return self.judge is not None and self.judge(remote_error(cause, message, self, item))


def remote_error(cause: Cause, message: str, place: Place, item: Item) -> RemoteProtocolError:
    """The error for an item of the peer that is not permitted at its place."""
    return RemoteProtocolError(
        message, cause=cause, path=place.path, offset=item.offset if item.offset >= 0 else None
    )


def local_error(message: str, place: Place, cause: Cause = Cause.BAD_VALUE) -> LocalProtocolError:
    """The error for a value of ours that cannot be encoded."""
    return LocalProtocolError(message, cause=cause, path=place.path)


def wrong_type(
    name: str, expected: Iterable[ItemType], place: Place, item: Item
) -> RemoteProtocolError:
    """The error for an item with an item type that its place does not permit."""
    message = f"{name} must be {types_phrase(expected)}, not {type_phrase(item.type)}"
    return remote_error(Cause.BAD_TYPE, message, place, item)


class FieldType(Protocol):
    """How values of one Python type are read and written."""

    @property
    def item_types(self) -> frozenset[ItemType]:
        """The item types that a value of this type may have on the wire."""

    def accepts(self, value: object) -> bool:
        """Whether a Python value is of this type."""

    def read(self, item: Item, place: Place, outer: object = None) -> Any:
        """The value of an item whose type is in :attr:`item_types`. RemoteProtocolError if it is not
        valid."""

    def write(self, tag: int, value: Any, place: Place) -> Item | None:
        """The item of a value; None to leave it out. LocalProtocolError if there is no such item."""


_SIGNED = {ItemType.INTEGER: 32, ItemType.LONG_INTEGER: 64}


@dataclass(frozen=True, slots=True)
class PrimitiveType:
    """A primitive whose Python value is that of the tree: int, bool, str or bytes."""

    item_type: ItemType
    python: type

    @property
    def item_types(self) -> frozenset[ItemType]:
        return frozenset((self.item_type,))

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.python) and (
            self.python is not int or not isinstance(value, bool | OpenEnum | OpenMask)
        )

    def read(self, item: Item, place: Place, outer: object = None) -> Any:  # noqa: ARG002
        return item.value

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if not self.accepts(value):
            raise local_error(f"expected {self.python.__name__}, not {type(value).__name__}", place)
        bits = _SIGNED.get(self.item_type)
        if bits and not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise local_error(f"{value} does not fit into {bits} bits", place)
        if self.item_type is ItemType.INTERVAL and not 0 <= value <= 0xFFFFFFFF:
            raise local_error(f"an Interval has 0 to {0xFFFFFFFF} seconds, not {value}", place)
        return Item(tag, self.item_type, value)


@dataclass(frozen=True, slots=True)
class EnumerationType:
    """An enumeration. Numbers without a name are preserved."""

    enumeration: type[OpenEnum]
    version: Version
    any_version: bool = False
    """Whether the field may have the values of all versions."""
    item_types: frozenset[ItemType] = frozenset((ItemType.ENUMERATION,))

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.enumeration)

    def has(self, value: OpenEnum) -> bool:
        """Whether the version has this value; true for numbers without a name."""
        return self.any_version or value.known_in(self.version)

    def is_later(self, value: OpenEnum) -> bool:
        """Whether only a later version has this value."""
        return not self.any_version and value.since > self.version

    def read(self, item: Item, place: Place, outer: object = None) -> OpenEnum:  # noqa: ARG002
        assert isinstance(item.value, int)
        value = self.enumeration(item.value)
        if place.judge is not None and self.is_later(value):
            message = f"KMIP {self.version} does not have {value}"
            if not place.accepts_later(message, item):
                raise remote_error(Cause.WRONG_VERSION, message, place, item)
        return value

    def write(self, tag: int, value: Any, place: Place) -> Item | None:
        if not isinstance(value, self.enumeration):
            raise local_error(
                f"expected {self.enumeration.__name__}, not {type(value).__name__}", place
            )
        if not self.has(value):
            if place.strict:
                raise local_error(f"KMIP {self.version} has no {value}", place, Cause.WRONG_VERSION)
            return None
        return Item(tag, ItemType.ENUMERATION, int(value))


@dataclass(frozen=True, slots=True)
class MaskType:
    """A bit mask in an Integer, whose 32 bits are unsigned (KMIP 1.4 §9.1.3.3)."""

    mask: type[OpenMask]
    version: Version
    item_types: frozenset[ItemType] = frozenset((ItemType.INTEGER,))

    @property
    def later_bits(self) -> int:
        """The bits that only a later version has."""
        later = (bit.value for bit in self.mask.bits() if bit.since > self.version)
        return reduce(operator.or_, later, 0)

    def accepts(self, value: object) -> bool:
        return isinstance(value, self.mask)

    def read(self, item: Item, place: Place, outer: object = None) -> OpenMask:  # noqa: ARG002
        assert isinstance(item.value, int)
        value = self.mask(item.value & 0xFFFFFFFF)
        if place.judge is not None and (later := value & self.later_bits):
            message = f"KMIP {self.version} does not have {later!r}"
            if not place.accepts_later(message, item):
                raise remote_error(Cause.WRONG_VERSION, message, place, item)
        return value

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if not isinstance(value, self.mask):
            raise local_error(f"expected {self.mask.__name__}, not {type(value).__name__}", place)
        number = int(value) if place.strict else int(value) & ~self.later_bits
        return Item(tag, ItemType.INTEGER, number - (1 << 32) if number >> 31 else number)


@dataclass(frozen=True, slots=True)
class DateTimeType:
    """A point in time: whole seconds, or microseconds in a Date-Time Extended (KMIP 2.1 §10.1.2)."""

    item_type: ItemType
    unit: timedelta

    @property
    def item_types(self) -> frozenset[ItemType]:
        return frozenset((self.item_type,))

    def accepts(self, value: object) -> bool:
        return isinstance(value, datetime)

    def read(self, item: Item, place: Place, outer: object = None) -> datetime:  # noqa: ARG002
        assert isinstance(item.value, int)
        try:
            return EPOCH + item.value * self.unit
        except OverflowError:
            raise remote_error(
                Cause.BAD_VALUE, "the date is outside the years 1 to 9999", place, item
            ) from None

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise local_error("expected a datetime with a time zone", place)
        return Item(tag, self.item_type, (value - EPOCH) // self.unit)


@dataclass(frozen=True, slots=True)
class GenericType:
    """Any item as a tree: vendor values, payloads of unknown operations."""

    item_types: frozenset[ItemType] = frozenset(ItemType)

    def accepts(self, value: object) -> bool:
        return isinstance(value, Item)

    def read(self, item: Item, place: Place, outer: object = None) -> Item:  # noqa: ARG002
        return item

    def write(self, tag: int, value: Any, place: Place) -> Item:
        if not isinstance(value, Item):
            raise local_error(f"expected an Item, not {type(value).__name__}", place)
        return value if value.tag == tag else Item(tag, value.type, value.value)


@dataclass(frozen=True, slots=True)
class ChoiceType:
    """A choice of types by the item type, such as ``str | UniqueIdentifier | int``."""

    options: tuple[FieldType, ...]
    by_type: Mapping[ItemType, FieldType] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # The first option takes precedence: a specific type comes before GenericType.
        table: dict[ItemType, FieldType] = {}
        for option in self.options:
            for item_type in option.item_types:
                table.setdefault(item_type, option)
        object.__setattr__(self, "by_type", table)

    @property
    def item_types(self) -> frozenset[ItemType]:
        return frozenset(self.by_type)

    def accepts(self, value: object) -> bool:
        return any(option.accepts(value) for option in self.options)

    def read(self, item: Item, place: Place, outer: object = None) -> Any:
        return self.by_type[item.type].read(item, place, outer)

    def write(self, tag: int, value: Any, place: Place) -> Item | None:
        for option in self.options:
            if option.accepts(value):
                return option.write(tag, value, place)
        raise local_error(f"a value of class {type(value).__name__} is not permitted here", place)


@dataclass(frozen=True, slots=True)
class DependentType:
    """A structure whose class depends on the value of another field; a generic item if that value is
    unknown."""

    resolve: Callable[[Any], FieldType]
    resolve_later: Callable[[Any], FieldType]
    """As ``resolve``, but as in the first later version that has the value."""
    type_of_class: Callable[[type], FieldType]
    item_types: frozenset[ItemType] = frozenset((ItemType.STRUCTURE,))

    def accepts(self, value: object) -> bool:  # noqa: ARG002 - the class depends on another field
        return True

    def read(self, item: Item, place: Place, outer: object = None) -> Any:
        # The judge has decided about the value of the other field already.
        resolve = self.resolve if place.judge is None else self.resolve_later
        return resolve(outer).read(item, place, outer)

    def write(self, tag: int, value: Any, place: Place) -> Item | None:
        if isinstance(value, Item):
            return GenericType().write(tag, value, place)
        return self.type_of_class(type(value)).write(tag, value, place)
