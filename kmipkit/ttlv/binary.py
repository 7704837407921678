"""The binary form: bytes to a tree of items and back.

The reader keeps a stack of open structures instead of using recursion, so a deep message needs no
Python stack, and every error knows its place. Each length is compared with the end of the enclosing
structure, and all limits are checked, before a value is copied or an item is created.

An encoding may differ from its canonical form in exactly two ways; :func:`encode` always writes the
canonical form.

* *Padding bytes* after a short value need not be zero. KMIP 1.4 §9.1.1.3 (2.1 §10.1.5) only says
  how many there are. They are written as zeros, as in all its examples.
* *Big Integers* may be longer than needed, by repeated sign bytes, or empty (zero): the length is
  any multiple of eight (KMIP 1.4 Table 287). They are written in the least multiple of eight.

Everything else that is not canonical is an error. A NUL in a Text String is accepted: §9.1.1.4
forbids it as a terminator, but it cannot be distinguished from a character.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.ttlv.framing import HEADER_SIZE, TAG_PREFIXES, WITH_ANY_TAGS, message_length
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit.ttlv.paths import step, type_phrase
from kmipkit.ttlv.tree import Item, ItemValue

__all__ = ["Buffer", "Limits", "decode", "encode", "message_length"]

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Types of data that can be read."""

_head = struct.Struct(">II")
_put_head = _head.pack
_read_head = _head.unpack_from
_int4 = struct.Struct(">i")
_uint4 = struct.Struct(">I")
_int8 = struct.Struct(">q")
_uint8 = struct.Struct(">Q")
_PADS = tuple(bytes(n) for n in range(8))


# --- values by type --------------------------------------------------------------------------


class _Form(NamedTuple):
    """How values of one type are encoded."""

    type: ItemType
    length: int | None
    """The only permitted length; None if it varies."""
    unit: int
    """The number of which a varying length must be a multiple (KMIP 1.4 Table 287)."""
    read: Callable[[Buffer, int, int], ItemValue]
    """From message, first byte and end of the value; ValueError if it is not valid."""
    write: Callable[..., bytes]

    def allows(self, length: int) -> bool:
        return length == self.length if self.length is not None else length % self.unit == 0


def _fixed(item_type: ItemType, form: struct.Struct) -> _Form:
    unpack = form.unpack_from

    def read(data: Buffer, start: int, _end: int) -> int:
        value: int = unpack(data, start)[0]
        return value

    return _Form(item_type, form.size, 1, read, form.pack)


def _read_boolean(data: Buffer, start: int, _end: int) -> bool:
    (number,) = _uint8.unpack_from(data, start)
    if number > 1:
        raise ValueError("a Boolean is 0 or 1")
    return bool(number)


def _write_boolean(value: bool) -> bytes:
    if value is not True and value is not False:
        raise TypeError("not a bool")
    return _uint8.pack(value)


def _read_big_integer(data: Buffer, start: int, end: int) -> int:
    return int.from_bytes(data[start:end], "big", signed=True)


def _write_big_integer(value: int) -> bytes:
    bits = (~value if value < 0 else value).bit_length()
    return value.to_bytes((bits // 64 + 1) * 8, "big", signed=True)


def _read_text(data: Buffer, start: int, end: int) -> str:
    try:
        return str(data[start:end], "utf-8")
    except UnicodeDecodeError as error:
        # Without the bytes: the text may be a password.
        raise ValueError(f"the text is not UTF-8 from its byte {error.start} on") from None


def _write_text(value: str) -> bytes:
    return value.encode("utf-8")


def _read_bytes(data: Buffer, start: int, end: int) -> bytes:
    return bytes(data[start:end])


def _write_bytes(value: bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("not bytes")
    return value


def _read_structure(_data: Buffer, _start: int, _end: int) -> ItemValue:
    raise AssertionError("structures are opened, not read")


def _write_structure(items: tuple[Item, ...]) -> bytes:
    return b"".join([_write(item) for item in items])


_TEXTS = (
    ItemType.TEXT_STRING,
    ItemType.IDENTIFIER,
    ItemType.REFERENCE,
    ItemType.NAME_REFERENCE,
)

_FORMS: dict[int, _Form] = {
    form.type.value: form
    for form in (
        _Form(ItemType.STRUCTURE, None, 8, _read_structure, _write_structure),
        _fixed(ItemType.INTEGER, _int4),
        _fixed(ItemType.LONG_INTEGER, _int8),
        _Form(ItemType.BIG_INTEGER, None, 8, _read_big_integer, _write_big_integer),
        _fixed(ItemType.ENUMERATION, _uint4),
        _Form(ItemType.BOOLEAN, 8, 1, _read_boolean, _write_boolean),
        *(_Form(text, None, 1, _read_text, _write_text) for text in _TEXTS),
        _Form(ItemType.BYTE_STRING, None, 1, _read_bytes, _write_bytes),
        _fixed(ItemType.DATE_TIME, _int8),
        _fixed(ItemType.INTERVAL, _uint4),
        _fixed(ItemType.DATE_TIME_EXTENDED, _int8),
    )
}


# --- reading ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A structure whose items are being read."""

    tag: int
    start: int
    end: int
    items: list[Item]


class _Reader:
    """Reads the item that fills ``data``, never beyond the end of an open structure."""

    def __init__(self, data: Buffer, limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.stack = [_Open(0, 0, len(data), [])]

    def read(self) -> Item:
        data, stack, remaining_items = self.data, self.stack, self.limits.max_items
        current, end, pos = stack[0], len(data), 0
        forms = _FORMS.get
        while pos < end or len(stack) > 1:
            if pos == end:
                stack.pop()
                item = Item(current.tag, ItemType.STRUCTURE, tuple(current.items), current.start)
                current = stack[-1]
                current.items.append(item)
                end = current.end
                continue
            if end - pos < HEADER_SIZE:
                raise self._bad_header(pos)
            head, length = _read_head(data, pos)
            form, tag = forms(head & 0xFF), head >> 8
            start = pos + HEADER_SIZE
            stop = start + (length + 7 & ~7)
            if form is None or stop > end or not (tag >> 16 in TAG_PREFIXES or self._is_free()):
                raise self._bad_header(pos)
            item_type, fixed, unit, read, _ = form
            if length % unit if fixed is None else length != fixed:
                raise self._bad_header(pos)
            remaining_items -= 1
            if remaining_items < 0:
                raise self._too_many(pos, tag)
            if read is _read_structure:
                current, end, pos = self._open(_Open(tag, pos, stop, [])), stop, start
                continue
            try:
                value = read(data, start, start + length)
            except ValueError as error:
                raise self._error(Cause.BAD_VALUE, str(error), pos, tag) from None
            current.items.append(Item(tag, item_type, value, pos))
            pos = stop
        return current.items[0]

    def _is_free(self) -> bool:
        """Whether the open structures permit any tag inside."""
        return any(structure.tag in WITH_ANY_TAGS for structure in self.stack)

    def _open(self, structure: _Open) -> _Open:
        if len(self.stack) > self.limits.max_depth:
            message = f"structures are nested more than {self.limits.max_depth} deep"
            raise self._error(Cause.TOO_DEEP, message, structure.start, structure.tag)
        self.stack.append(structure)
        return structure

    # Errors are built here, so that the loop above stays short.

    def _bad_header(self, pos: int) -> RemoteProtocolError:
        """What is wrong with the tag, type or length at ``pos``."""
        room = self.stack[-1].end - pos
        if room < HEADER_SIZE:
            message = f"{room} bytes remain, but an item begins with {HEADER_SIZE}"
            return self._error(Cause.TRUNCATED, message, pos)
        head, length = _read_head(self.data, pos)
        tag, number = head >> 8, head & 0xFF
        if tag >> 16 not in TAG_PREFIXES and not self._is_free():
            message = f"a tag begins with 42 or 54, not with {tag >> 16:02X}"
            return self._error(Cause.BAD_TAG, message, pos)
        if number not in _FORMS:
            return self._error(Cause.BAD_TYPE, f"unknown item type 0x{number:02X}", pos, tag)
        form = _FORMS[number]
        if not form.allows(length):
            expected = form.length or f"a multiple of {form.unit}"
            message = f"the length of {type_phrase(form.type)} is {expected}, not {length}"
            return self._error(Cause.BAD_LENGTH, message, pos, tag)
        size = length + (-length & 7)
        message = f"the value has {size} bytes, but only {room - HEADER_SIZE} remain"
        return self._error(Cause.TRUNCATED, message, pos, tag)

    def _too_many(self, pos: int, tag: int) -> RemoteProtocolError:
        message = f"the message has more than {self.limits.max_items} items"
        return self._error(Cause.TOO_MANY_ITEMS, message, pos, tag)

    def _error(
        self, cause: Cause, message: str, pos: int, tag: int | None = None
    ) -> RemoteProtocolError:
        tags = [structure.tag for structure in self.stack[1:]]
        if tag is not None:
            tags.append(tag)
        before = [[item.tag for item in structure.items] for structure in self.stack]
        path = "/".join(map(step, tags, before))
        return RemoteProtocolError(message, cause=cause, path=path, offset=pos)


def decode(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Item:
    """Read the item, of any type, in ``data``.

    Raises RemoteProtocolError, with path and offset, for anything that is not permitted, including
    bytes after the item, and for anything beyond ``limits``.
    """
    size = len(data)
    if size > limits.max_message:
        message = f"the message has {size} bytes; the limit is {limits.max_message}"
        raise RemoteProtocolError(message, cause=Cause.TOO_LARGE)
    if size < HEADER_SIZE:
        message = f"an item has at least {HEADER_SIZE} bytes, not {size}"
        raise RemoteProtocolError(message, cause=Cause.TRUNCATED, offset=0)
    (length,) = _uint4.unpack_from(data, 4)
    end = HEADER_SIZE + length + (-length & 7)
    if end < size:
        message = f"{size - end} bytes follow the item"
        raise RemoteProtocolError(message, cause=Cause.TRAILING_BYTES, offset=end)
    return _Reader(data, limits).read()


# --- writing ---------------------------------------------------------------------------------


def encode(item: Item) -> bytes:
    """The bytes of an item, in canonical form.

    Raises LocalProtocolError for a value outside its type, or a tree that is nested too deep.
    """
    try:
        return _write(item)
    except RecursionError:
        raise LocalProtocolError("items are nested too deeply", cause=Cause.TOO_DEEP) from None


def _write(item: Item) -> bytes:
    head = item.tag << 8 | item.type
    try:
        value = _FORMS[item.type].write(item.value)
        length = len(value)
        return _put_head(head, length) + value + _PADS[-length & 7]
    except (struct.error, ValueError, TypeError, AttributeError, OverflowError):
        # All of these come from a value of a wrong type or range. The value may be secret, so the
        # message does not contain it.
        message = f"{type_phrase(item.type)} cannot have this value ({type(item.value).__name__})"
        raise LocalProtocolError(message, cause=Cause.BAD_VALUE, path=tag_name(item.tag)) from None
