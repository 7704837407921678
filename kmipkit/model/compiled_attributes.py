"""Attributes in the compiled codec: tables from the bytes of a name, or from a tag, to functions.

Attributes are half of the bytes that a key server receives, and in 1.x each repeats its name. Here a
name is looked up as bytes, and a function that was compiled for the attribute reads the value. As
elsewhere in the compiled codec, anything unusual is left to the reference codec.
"""

import struct
from collections.abc import Callable
from typing import Any, Protocol

from kmipkit.errors import LocalProtocolError, RemoteProtocolError
from kmipkit.model.attribute import (
    CUSTOM_PREFIXES,
    Attribute,
    AttributeKey,
    Attributes,
    VendorName,
    attribute_name,
)
from kmipkit.model.attribute_field_types import AttributeListType, AttributeType, vendor_value
from kmipkit.model.code_generation import (
    COMMON_NAMES,
    GENERIC_LIMITS,
    WRONG_CLASS,
    Fallback,
    head,
    leave_to_reference,
)
from kmipkit.model.field_types import FieldType, Place
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

Reader = Callable[[bytes, int, int, Any], Any]
Writer = Callable[[Any], bytes]
ValueReaders = dict[int, Callable[[bytes, int, int], Any]]


class MakeReaders(Protocol):
    def __call__(self, field_type: FieldType, tag: int) -> ValueReaders: ...


class MakeWriter(Protocol):
    def __call__(self, field_type: FieldType, tag: int, strict: bool) -> Writer: ...


read_head = COMMON_NAMES["read_head"]
put_head = COMMON_NAMES["put_head"]
PADDING = COMMON_NAMES["PADDING"]
put_index = struct.Struct(">IIiI").pack

_STRUCTURE_HEAD = head(Tag.ATTRIBUTE, ItemType.STRUCTURE)
_NAME_HEAD = head(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING)
_VENDOR_HEAD = head(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING)
_TEXT_HEAD = head(Tag.ATTRIBUTE_VALUE, ItemType.TEXT_STRING)
_INDEX_HEAD = head(Tag.ATTRIBUTE_INDEX, ItemType.INTEGER)
_CUSTOM = tuple(f"{prefix}-".encode() for prefix in CUSTOM_PREFIXES)


def _generic_value(buf: bytes, pos: int, end: int) -> Any:
    try:
        return binary.decode(buf[pos:end], GENERIC_LIMITS)
    except RemoteProtocolError as error:
        raise Fallback from error


def _vendor_value(buf: bytes, pos: int, end: int) -> Any:
    return vendor_value(_generic_value(buf, pos, end))


def attribute_reader(field_type: AttributeType, make: MakeReaders) -> Reader:
    """The function that reads one attribute: (message, first byte, end, unused)."""
    return _name_reader(field_type, make) if field_type.by_name else _tag_reader(field_type, make)


def _name_reader(field_type: AttributeType, make: MakeReaders) -> Reader:
    # The key is the whole item of the name with head and padding, so one look-up checks all of it.
    table: dict[bytes, tuple[AttributeKey, ValueReaders]] = {
        _text_item(_NAME_HEAD, row.name): (tag, {})
        for tag, row in BY_TAG.items()
        if field_type.value_type(tag) is not None
    }
    generic = field_type.generic

    def compile_readers(tag: AttributeKey, readers: ValueReaders) -> ValueReaders:
        """Compile the functions when the first value of this attribute arrives."""
        value_type = field_type.value_type(tag) if not isinstance(tag, VendorName) else None
        if value_type is not None:
            readers.update(make(value_type, Tag.ATTRIBUTE_VALUE))
        return readers

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Attribute:  # noqa: ARG001
        # After the head of the attribute (8 bytes): the items of name, index (optional) and value.
        _, length = read_head(buf, pos + 8)
        start = pos + 16 + length + (-length & 7)
        name = buf[pos + 8 : start]
        number, _ = read_head(buf, start)
        index = None
        if number == _INDEX_HEAD:
            index, number, start = _index(buf, start)
        # Notify may send an attribute without a value; that is left to the reference codec.
        if number >> 8 != Tag.ATTRIBUTE_VALUE or start >= stop:
            raise Fallback
        entry = table.get(name)
        if entry is None:
            if number == _TEXT_HEAD and not generic:
                return Attribute(_custom_key(name, length), _text(buf, start, stop), index)
            value = (_generic_value if generic else _vendor_value)(buf, start, stop)
            return Attribute(_custom_key(name, length), value, index)
        key, readers = entry
        if generic:
            return Attribute(key, _generic_value(buf, start, stop), index)
        reader = (readers or compile_readers(key, readers)).get(number)
        if reader is None:
            raise Fallback
        return Attribute(key, reader(buf, start, stop), index)

    return read


def _text(buf: bytes, pos: int, stop: int) -> str:
    """The text of an item that ends at ``stop``."""
    _, length = read_head(buf, pos)
    end = pos + 8 + length
    if buf[end:stop] != bytes(-length & 7) or end > stop:
        raise Fallback
    return str(buf[pos + 8 : end], "utf-8")


def _index(buf: bytes, pos: int) -> tuple[int, int, int]:
    """An Attribute Index, and the head and position of the next item."""
    if buf[pos + 4 : pos + 8] != b"\0\0\0\4" or buf[pos + 12 : pos + 16] != b"\0\0\0\0":
        raise Fallback
    number, _ = read_head(buf, pos + 16)
    return int.from_bytes(buf[pos + 8 : pos + 12], "big", signed=True), number, pos + 16


def _custom_key(name: bytes, length: int) -> VendorName:
    """The key of a custom attribute from the item of its name."""
    number, _ = read_head(name, 0)
    if number != _NAME_HEAD or name[8:10] not in _CUSTOM or name[8 + length :].strip(b"\0"):
        raise Fallback
    return VendorName(name[8:9].decode(), name[10 : 8 + length].decode())


def _tagged_item_readers(field_type: AttributeType, make: MakeReaders) -> Callable[[int], Any]:
    """From tag and type to (tag, function) of a 2.x attribute; Fallback if there is none."""
    tables: dict[int, dict[int, tuple[Tag, Callable[[bytes, int, int], Any]]]] = {}

    def lookup(number: int) -> tuple[Tag, Callable[[bytes, int, int], Any]]:
        tag = number >> 8
        table = tables.get(tag)
        if table is None:
            value_type = field_type.value_type(Tag(tag)) if tag in BY_TAG else None
            if value_type is None:
                raise Fallback
            readers = make(value_type, tag)
            table = {number: (Tag(tag), reader) for number, reader in readers.items()}
            tables[tag] = table
        try:
            return table[number]
        except KeyError:  # the tag of an attribute with an item type that it does not permit
            raise Fallback from None

    return lookup


def _vendor_text(buf: bytes, pos: int, stop: int) -> Attribute | None:
    """A vendor attribute whose value is a text; None for other values."""
    texts = []
    pos += 8
    for expected in (_VENDOR_HEAD, _NAME_HEAD, _TEXT_HEAD):
        number, length = read_head(buf, pos) if pos < stop else (0, 0)
        if number != expected:
            return None
        end = pos + 8 + length + (-length & 7)
        texts.append(_text(buf, pos, end))
        pos = end
    if pos != stop:
        return None
    vendor, name, value = texts
    return Attribute(VendorName(vendor, name), value)


def _tagged_item_reader(
    field_type: AttributeType, make: MakeReaders
) -> Callable[[bytes, int, int], Any]:
    lookup = _tagged_item_readers(field_type, make)
    place = Place(judge=leave_to_reference)

    def read(buf: bytes, pos: int, stop: int) -> Attribute:
        number, length = read_head(buf, pos)
        # Most vendor attributes have texts as values; those need no tree.
        if number == _STRUCTURE_HEAD and not length & 7 and not field_type.generic:
            attribute = _vendor_text(buf, pos, stop)
            if attribute is not None:
                return attribute
        if number == _STRUCTURE_HEAD or field_type.generic:
            try:
                return field_type.read_by_tag(binary.decode(buf[pos:stop], GENERIC_LIMITS), place)
            except RemoteProtocolError as error:
                raise Fallback from error
        tag, reader = lookup(number)
        return Attribute(tag, reader(buf, pos, stop))

    return read


def _tag_reader(field_type: AttributeType, make: MakeReaders) -> Reader:
    read_item = _tagged_item_reader(field_type, make)

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Attribute:  # noqa: ARG001
        _, length = read_head(buf, pos + 8)
        if pos + 16 + length + (-length & 7) != stop:
            raise Fallback
        attribute: Attribute = read_item(buf, pos + 8, stop)
        return attribute

    return read


_MAX_REMEMBERED = 1024
"""Attributes that are kept, so that they are not decoded again."""
_MAX_REMEMBERED_SIZE = 128
"""Bytes of their encoding."""


def attribute_list_reader(field_type: AttributeListType, make: MakeReaders) -> Reader:
    """The function that reads a Template-Attribute or an Attributes structure."""
    by_name = field_type.attribute_type.by_name
    read_by_name = attribute_reader(field_type.attribute_type, make) if by_name else None
    read_by_tag = None if by_name else _tagged_item_reader(field_type.attribute_type, make)
    known: dict[bytes, Attribute] = {}

    def read_item(buf: bytes, pos: int, end: int, head: int, length: int) -> Attribute:
        """An attribute; numbers, such as an algorithm or a mask, are the same in most requests."""
        content = buf[pos:end]
        same = known.get(content)
        if same is not None:
            return same
        attribute: Attribute
        if read_by_name is None:
            assert read_by_tag is not None
            attribute = read_by_tag(buf, pos, end)
        elif head != _STRUCTURE_HEAD or length & 7:
            raise Fallback
        else:
            attribute = read_by_name(buf, pos, end, None)
        if isinstance(attribute.value, int) and end - pos <= _MAX_REMEMBERED_SIZE:
            if len(known) >= _MAX_REMEMBERED:
                known.clear()
            known[content] = attribute
        return attribute

    def read(buf: bytes, pos: int, stop: int, outer: Any) -> Attributes:  # noqa: ARG001
        pos += 8
        items: list[Attribute] = []
        while pos < stop:
            number, length = read_head(buf, pos)
            # ``end`` may be beyond ``stop``; the check after the loop finds that.
            end = pos + 8 + length + (-length & 7)
            items.append(read_item(buf, pos, end, number, length))
            pos = end
        if pos != stop:
            raise Fallback
        return Attributes(tuple(items))

    return read


def attribute_writer(field_type: AttributeType, tag: int, strict: bool, make: MakeWriter) -> Writer:
    """The function that encodes an attribute; no bytes if it is left out."""
    if field_type.by_name:
        return _name_writer(field_type, tag, strict, make)
    inner = tagged_item_writer(field_type, strict, make)
    number = head(tag, ItemType.STRUCTURE)

    def write(attribute: Any) -> bytes:
        content = inner(attribute)
        return bytes(put_head(number, len(content)) + content) if content else b""

    return write


def _text_item(number: int, text: str) -> bytes:
    """A Text String; ``number`` is tag and type."""
    data = text.encode()
    item: bytes = put_head(number, len(data)) + data
    return item + PADDING[-len(data) & 7] if len(data) & 7 else item


def _value_writer(
    field_type: AttributeType, key: Tag, tag: int, strict: bool, make: MakeWriter
) -> Writer:
    """The function that writes the values of an attribute. Fallback if the version does not have it."""
    value_type = field_type.value_type(key)
    if value_type is None:
        raise Fallback
    return make(value_type, tag, strict)


def _name_writer(field_type: AttributeType, tag: int, strict: bool, make: MakeWriter) -> Writer:
    number = head(tag, ItemType.STRUCTURE)
    place = Place(strict=strict)
    writers: dict[Tag, tuple[bytes, Writer]] = {}

    def entry(key: Tag) -> tuple[bytes, Writer]:
        writer = _value_writer(field_type, key, Tag.ATTRIBUTE_VALUE, strict, make)
        writers[key] = (_text_item(_NAME_HEAD, attribute_name(key)), writer)
        return writers[key]

    def write(attribute: Any) -> bytes:
        key, value = attribute.key, attribute.value
        if key.__class__ is Tag and value is not None:
            try:
                name, writer = writers.get(key) or entry(key)
                content = writer(value)
            except Fallback:
                # Only this attribute; the rest of the message stays on the fast path.
                return _by_reference(field_type, tag, attribute, place)
            except WRONG_CLASS:
                if value.__class__ is not Item:
                    raise
                # Any value may be a tree, as in the criteria of Locate.
                return _by_reference(field_type, tag, attribute, place)
            if not content:
                return b""
        elif value.__class__ is str and key.vendor in CUSTOM_PREFIXES:
            name = _text_item(_NAME_HEAD, f"{key.vendor}-{key.name}")
            content = _text_item(_TEXT_HEAD, value)
        else:
            return _by_reference(field_type, tag, attribute, place)
        if attribute.index is not None:
            name += put_index(_INDEX_HEAD, 4, attribute.index, 0)
        item: bytes = put_head(number, len(name) + len(content)) + name + content
        return item

    return write


def _by_reference(field_type: AttributeType, tag: int, attribute: Any, place: Place) -> bytes:
    try:
        item = field_type.write(tag, attribute, place)
    except LocalProtocolError as error:
        raise Fallback from error
    return b"" if item is None else binary.encode(item)


def tagged_item_writer(field_type: AttributeType, strict: bool, make: MakeWriter) -> Writer:
    """The function that encodes an attribute of 2.x as an item of a list."""
    place = Place(strict=strict)
    writers: dict[Tag, Writer] = {}

    def entry(key: Tag) -> Writer:
        writers[key] = _value_writer(field_type, key, key, strict, make)
        return writers[key]

    def by_reference(attribute: Any) -> bytes:
        try:
            item = field_type.write_by_tag(attribute, place)
        except LocalProtocolError as error:
            raise Fallback from error
        return b"" if item is None else binary.encode(item)

    def write(attribute: Any) -> bytes:
        key = attribute.key
        if key.__class__ is not Tag:
            if attribute.value.__class__ is not str:
                return by_reference(attribute)
            content = (
                _text_item(_VENDOR_HEAD, key.vendor)
                + _text_item(_NAME_HEAD, key.name)
                + _text_item(_TEXT_HEAD, attribute.value)
            )
            return bytes(put_head(_STRUCTURE_HEAD, len(content)) + content)
        try:
            return (writers.get(key) or entry(key))(attribute.value)
        except Fallback:
            return by_reference(attribute)
        except WRONG_CLASS:
            if attribute.value.__class__ is not Item:
                raise
            return by_reference(attribute)

    return write


def attribute_list_writer(
    field_type: AttributeListType, tag: int, strict: bool, make: MakeWriter
) -> Writer:
    """The function that encodes a Template-Attribute or an Attributes structure."""
    number = head(tag, ItemType.STRUCTURE)
    if field_type.attribute_type.by_name:
        write_attribute = _name_writer(field_type.attribute_type, Tag.ATTRIBUTE, strict, make)
    else:
        write_attribute = tagged_item_writer(field_type.attribute_type, strict, make)

    def write(attributes: Any) -> bytes:
        if attributes.__class__ is not Attributes or attributes.templates:
            raise Fallback
        content = b"".join([write_attribute(attribute) for attribute in attributes.items])
        return bytes(put_head(number, len(content)) + content)

    return write
