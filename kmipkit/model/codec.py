"""Encoding and decoding of declared structures.

``decode`` and ``encode`` first use the compiled functions of :mod:`kmipkit.model.compiled`. If those
fall back, the reference codec of :mod:`kmipkit.model.reference` reads or writes the same data through
the generic tree. It succeeds, or raises an error that says what is wrong and where.
"""

import struct
from typing import Any, TypeVar

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.model.attribute import Attribute
from kmipkit.model.code_generation import UNREADABLE, UNWRITABLE, WRONG_CLASS, head
from kmipkit.model.compiled import structure_reader, structure_writer, value_writer
from kmipkit.model.compiled_attributes import tagged_item_writer
from kmipkit.model.field_types import Place, VersionJudge
from kmipkit.model.memo import memoized
from kmipkit.model.plan import attribute_type, field_type_of
from kmipkit.model.structure import Structure
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit.ttlv.paths import type_phrase
from kmipkit.ttlv.tree import Item

_AnyStructure = TypeVar("_AnyStructure", bound=Structure)

_read_head = struct.Struct(">II").unpack_from
_put_head = struct.Struct(">II").pack


def _tag_of(cls: type[Structure], tag: Tag | None) -> Tag:
    root = tag if tag is not None else cls.TAG
    if root is None:
        raise TypeError(f"{cls.__name__} has no tag of its own; pass a tag")
    return root


@memoized
def _reader(cls: type[Structure], version: Version, tag: Tag | None) -> tuple[Any, Tag, int]:
    """The compiled function, the tag, and the head of the structure."""
    root = _tag_of(cls, tag)
    return structure_reader(cls, version), root, head(root, ItemType.STRUCTURE)


@memoized
def _writer(
    cls: type[Structure], version: Version, strict: bool, tag: Tag | None
) -> tuple[Any, int]:
    """The compiled function, and the head of the structure."""
    root = _tag_of(cls, tag)
    return structure_writer(cls, version, strict), head(root, ItemType.STRUCTURE)


def decode(
    cls: type[_AnyStructure],
    data: bytes,
    version: Version,
    *,
    tag: Tag | None = None,
    limits: Limits = DEFAULT_LIMITS,
    tolerant: bool = False,
    judge: VersionJudge | None = None,
) -> _AnyStructure:
    """The structure that these bytes encode.

    With ``tolerant``, items may have any order, and standard items that this version does not permit
    become extensions; clients use it, because servers may be newer or inexact. ``judge`` decides about
    fields, attributes and values that only a later version has; servers use it. Raises
    RemoteProtocolError, with path and offset.
    """
    # Outside the "try": an error while compiling is ours, not the peer's.
    read, root, expected = _reader(cls, version, tag)
    try:
        number, length = _read_head(data, 0)
        # Compiled functions do not count items. An item has at least eight bytes, so a short message
        # cannot exceed the limit.
        is_short = len(data) <= limits.max_message and len(data) >> 3 <= limits.max_items
        if is_short and number == expected and length + 8 == len(data):
            structure: _AnyStructure = read(data, 8, len(data), None)
            return structure
    except UNREADABLE:
        pass
    item = binary.decode(data, limits)
    return from_tree(cls, item, version, tag=root, tolerant=tolerant, judge=judge)


def from_tree(
    cls: type[_AnyStructure],
    item: Item,
    version: Version,
    *,
    tag: Tag | None = None,
    tolerant: bool = False,
    judge: VersionJudge | None = None,
) -> _AnyStructure:
    """The structure of a tree: the reference decoder."""
    root = _tag_of(cls, tag)
    if item.tag != root or item.type is not ItemType.STRUCTURE:
        raise RemoteProtocolError(
            f"expected a {tag_name(root)} structure, not {tag_name(item.tag)}, {type_phrase(item.type)}",
            cause=Cause.UNEXPECTED_MESSAGE,
            offset=item.offset if item.offset >= 0 else None,
        )
    place = Place(tag_name(root), tolerant=tolerant, judge=judge)
    structure: _AnyStructure = field_type_of(cls, version).read(item, place)
    return structure


def encode(
    value: Structure, version: Version, *, tag: Tag | None = None, strict: bool = True
) -> bytes:
    """The bytes of a structure in a version.

    With ``strict``, a field, attribute or value that the version does not have is an error; otherwise
    it is left out, as servers do in responses to older clients. Raises LocalProtocolError.
    """
    write, number = _writer(type(value), version, strict, tag)
    try:
        content = write(value)
    except UNWRITABLE:
        return binary.encode(to_tree(value, version, tag=tag, strict=strict))
    except WRONG_CLASS:
        # The reference codec checks classes and raises an error that names the field. If it finds
        # nothing wrong, the compiled function is defective, and its own error must be seen.
        binary.encode(to_tree(value, version, tag=tag, strict=strict))
        raise
    message: bytes = _put_head(number, len(content)) + content
    return message


def encode_attribute(attribute: Attribute) -> bytes | None:
    """The bytes of an attribute in a list of 2.1; None if only :func:`encode` can say what is wrong.

    A server stores lists of attributes, of which it knows some in their encoding.
    """
    try:
        content: bytes = _attribute_writer()(attribute)
    except (*UNWRITABLE, *WRONG_CLASS):
        return None
    return content


@memoized
def _attribute_writer() -> Any:
    return tagged_item_writer(attribute_type(V2_1), strict=True, make=value_writer)


def to_tree(
    value: Structure, version: Version, *, tag: Tag | None = None, strict: bool = True
) -> Item:
    """The tree of a structure in a version: the reference encoder."""
    root = _tag_of(type(value), tag)
    field_type: Any = field_type_of(type(value), version)
    item: Item | None = field_type.write(root, value, Place(tag_name(root), strict))
    if item is None:
        raise LocalProtocolError(f"{tag_name(root)} cannot be left out", cause=Cause.MISSING_FIELD)
    return item
