"""Attributes in the compiled codec: tables from the bytes of a name, or from a tag, to functions.

Attributes are half of all bytes that a key server sees, and in 1.x each repeats its name. Here a
name is looked up as bytes, and the value is read by a function that was compiled for it. As in the
rest of the compiled codec, anything unusual is left to the reference codec.
"""

from collections.abc import Callable
from typing import Any, Protocol

from kmipkit.model.attribute import (
    CUSTOM_PREFIXES,
    Attribute,
    AttributeKey,
    Attributes,
    VendorName,
    attribute_name,
)
from kmipkit.model.attribute_kinds import AttributeKind, AttributeListKind, vendor_value
from kmipkit.model.emit import NAMESPACE, Unusual, head
from kmipkit.model.kinds import Kind, Place
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits

Reader = Callable[[bytes, int, int, Any], Any]
Writer = Callable[[Any], bytes]
ValueReaders = dict[int, Callable[[bytes, int, int], Any]]


class MakeReaders(Protocol):
    def __call__(self, kind: Kind, tag: int) -> ValueReaders: ...


class MakeWriter(Protocol):
    def __call__(self, kind: Kind, tag: int, strict: bool) -> Writer: ...


read_head = NAMESPACE["read_head"]
put_head = NAMESPACE["put_head"]

_STRUCTURE_HEAD = head(Tag.ATTRIBUTE, ItemType.STRUCTURE)
_NAME_HEAD = head(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING)
_INDEX_HEAD = head(Tag.ATTRIBUTE_INDEX, ItemType.INTEGER)
_CUSTOM = tuple(f"{prefix}-".encode() for prefix in CUSTOM_PREFIXES)
_INSIDE = Limits(max_depth=16)


def _generic_value(buf: bytes, pos: int, end: int) -> Any:
    try:
        return binary.decode(buf[pos:end], _INSIDE)
    except Exception as error:
        raise Unusual from error


def _vendor_value(buf: bytes, pos: int, end: int) -> Any:
    return vendor_value(_generic_value(buf, pos, end))


def attribute_reader(kind: AttributeKind, make: MakeReaders) -> Reader:
    """The function that reads one attribute: (message, first byte, end, unused)."""
    return _named_reader(kind, make) if kind.named else _wrapped_reader(kind, make)


def _named_reader(kind: AttributeKind, make: MakeReaders) -> Reader:
    table: dict[bytes, tuple[AttributeKey, ValueReaders]] = {
        row.name.encode(): (tag, {})
        for tag, row in BY_TAG.items()
        if kind.value_kind(tag) is not None
    }
    generic = kind.generic

    def readers_of(tag: AttributeKey, known: ValueReaders) -> ValueReaders:
        """Compiled when the first value of this attribute arrives."""
        if not known and not isinstance(tag, VendorName):
            value_kind = kind.value_kind(tag)
            if value_kind is not None:
                known.update(make(value_kind, Tag.ATTRIBUTE_VALUE))
        return known

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Attribute:  # noqa: ARG001
        name, index, number, pos = _name_and_index(buf, pos, stop)
        found = table.get(name)
        if found is None:
            if name[:2] not in _CUSTOM:
                raise Unusual
            key: AttributeKey = VendorName(name[:1].decode(), name[2:].decode())
            value = (_generic_value if generic else _vendor_value)(buf, pos, stop)
            return Attribute(key, value, index)
        key, readers = found
        if generic:
            return Attribute(key, _generic_value(buf, pos, stop), index)
        reader = (readers or readers_of(key, readers)).get(number)
        if reader is None:
            raise Unusual
        return Attribute(key, reader(buf, pos, stop), index)

    return read


def _name_and_index(buf: bytes, pos: int, stop: int) -> tuple[bytes, int | None, int, int]:
    """Name and index of a 1.x Attribute, then head and position of its value."""
    number, length = read_head(buf, pos + 8)
    if number != _NAME_HEAD:
        raise Unusual
    start = pos + 16
    name = buf[start : start + length]
    pos = start + length + (-length & 7)
    if buf[start + length : pos].strip(b"\0"):
        raise Unusual
    number, length = read_head(buf, pos)
    index = None
    if number == _INDEX_HEAD:
        if length != 4 or buf[pos + 12 : pos + 16] != b"\0\0\0\0":
            raise Unusual
        index = int.from_bytes(buf[pos + 8 : pos + 12], "big", signed=True)
        pos += 16
        number, _ = read_head(buf, pos)
    if number >> 8 != Tag.ATTRIBUTE_VALUE or pos >= stop:
        raise Unusual
    return name, index, number, pos


def _tagged_table(kind: AttributeKind, make: MakeReaders) -> Callable[[int], Any]:
    """From tag and type to (tag, function) of a 2.x attribute; Unusual where there is none."""
    tables: dict[int, dict[int, tuple[Tag, Callable[[bytes, int, int], Any]]]] = {}

    def find(number: int) -> tuple[Tag, Callable[[bytes, int, int], Any]]:
        tag = number >> 8
        table = tables.get(tag)
        if table is None:
            value_kind = kind.value_kind(Tag(tag)) if tag in BY_TAG else None
            if value_kind is None:
                raise Unusual
            readers = make(value_kind, tag)
            table = {number: (Tag(tag), reader) for number, reader in readers.items()}
            tables[tag] = table
        return table[number]

    return find


def _tagged_reader(kind: AttributeKind, make: MakeReaders) -> Callable[[bytes, int, int], Any]:
    find = _tagged_table(kind, make)
    place = Place()

    def read(buf: bytes, pos: int, stop: int) -> Attribute:
        number, _ = read_head(buf, pos)
        if number == _STRUCTURE_HEAD or kind.generic:
            try:
                return kind.read_tagged(binary.decode(buf[pos:stop], _INSIDE), place)
            except Exception as error:
                raise Unusual from error
        tag, reader = find(number)
        return Attribute(tag, reader(buf, pos, stop))

    return read


def _wrapped_reader(kind: AttributeKind, make: MakeReaders) -> Reader:
    one = _tagged_reader(kind, make)

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Attribute:  # noqa: ARG001
        _, length = read_head(buf, pos + 8)
        if pos + 16 + length + (-length & 7) != stop:
            raise Unusual
        attribute: Attribute = one(buf, pos + 8, stop)
        return attribute

    return read


def attribute_list_reader(kind: AttributeListKind, make: MakeReaders) -> Reader:
    """The function that reads a Template-Attribute or an Attributes structure."""
    named = kind.one.named
    read_named = attribute_reader(kind.one, make) if named else None
    read_tagged = None if named else _tagged_reader(kind.one, make)

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Attributes:  # noqa: ARG001
        pos += 8
        items: list[Attribute] = []
        while pos < stop:
            number, length = read_head(buf, pos)
            end = pos + 8 + length + (-length & 7)
            if read_named is not None:
                if number != _STRUCTURE_HEAD:
                    raise Unusual
                items.append(read_named(buf, pos, end, None))
            elif read_tagged is not None:
                items.append(read_tagged(buf, pos, end))
            pos = end
        if pos != stop:
            raise Unusual
        return Attributes(tuple(items))

    return read


def attribute_writer(kind: AttributeKind, tag: int, strict: bool, make: MakeWriter) -> Writer:
    """The function that gives one attribute as bytes, empty where it is left out."""
    if kind.named:
        return _named_writer(kind, tag, strict, make)
    inner = _tagged_writer(kind, strict, make)
    number = head(tag, ItemType.STRUCTURE)

    def write(attribute: Any) -> bytes:
        content = inner(attribute)
        return bytes(put_head(number, len(content)) + content) if content else b""

    return write


def _text_item(tag: int, text: str) -> bytes:
    data = text.encode()
    start: bytes = put_head(head(tag, ItemType.TEXT_STRING), len(data))
    return start + data + bytes(-len(data) & 7)


def _named_writer(kind: AttributeKind, tag: int, strict: bool, make: MakeWriter) -> Writer:
    number = head(tag, ItemType.STRUCTURE)
    place = Place(strict=strict)
    known: dict[Tag, tuple[bytes, Writer]] = {}

    def entry(key: Tag) -> tuple[bytes, Writer]:
        value_kind = kind.value_kind(key)
        if value_kind is None:
            raise Unusual
        name = _text_item(Tag.ATTRIBUTE_NAME, attribute_name(key))
        known[key] = (name, make(value_kind, Tag.ATTRIBUTE_VALUE, strict))
        return known[key]

    def write(attribute: Any) -> bytes:
        key = attribute.key
        if key.__class__ is not Tag or attribute.index is not None or attribute.value is None:
            return _by_reference(kind, tag, attribute, place)
        try:
            name, writer = known.get(key) or entry(key)
            content = writer(attribute.value)
        except Unusual:
            return _by_reference(kind, tag, attribute, place)
        if not content:
            return b""
        return bytes(put_head(number, len(name) + len(content)) + name + content)

    return write


def _by_reference(kind: AttributeKind, tag: int, attribute: Any, place: Place) -> bytes:
    try:
        item = kind.write(tag, attribute, place)
    except Exception as error:
        raise Unusual from error
    return b"" if item is None else binary.encode(item)


def _tagged_writer(kind: AttributeKind, strict: bool, make: MakeWriter) -> Writer:
    place = Place(strict=strict)
    known: dict[Tag, Writer] = {}

    def entry(key: Tag) -> Writer:
        value_kind = kind.value_kind(key)
        if value_kind is None:
            raise Unusual
        known[key] = make(value_kind, key, strict)
        return known[key]

    def by_reference(attribute: Any) -> bytes:
        try:
            item = kind.write_tagged(attribute, place)
        except Exception as error:
            raise Unusual from error
        return b"" if item is None else binary.encode(item)

    def write(attribute: Any) -> bytes:
        key = attribute.key
        if key.__class__ is not Tag:
            return by_reference(attribute)
        try:
            return (known.get(key) or entry(key))(attribute.value)
        except Unusual:
            return by_reference(attribute)

    return write


def attribute_list_writer(
    kind: AttributeListKind, tag: int, strict: bool, make: MakeWriter
) -> Writer:
    """The function that gives a Template-Attribute or an Attributes structure as bytes."""
    number = head(tag, ItemType.STRUCTURE)
    if kind.one.named:
        one = _named_writer(kind.one, Tag.ATTRIBUTE, strict, make)
    else:
        one = _tagged_writer(kind.one, strict, make)

    def write(attributes: Any) -> bytes:
        if attributes.__class__ is not Attributes or attributes.templates:
            raise Unusual
        content = b"".join([one(attribute) for attribute in attributes.items])
        return bytes(put_head(number, len(content)) + content)

    return write
