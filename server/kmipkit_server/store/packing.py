"""The stored form of attributes: TTLV of 2.1, of 1.4 for what 2.0 dropped, of 3.0 for what is newer.

The stored form is an encoding of the protocol, so that its codec reads and writes it, and no other
code has to know the attributes. The indexes of instances come first, since only 1.x has them, and
the encoding of 2.1 has no place for them.
"""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import is_
from typing import Annotated, NamedTuple

from kmipkit.errors import LocalProtocolError
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, VendorName
from kmipkit.model.codec import decode, encode, encode_attribute
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_0, V2_1, V3_0, Version


@structure()
class _AttributeList(Structure):
    attributes: Annotated[
        Attributes, Wire(Tag.TEMPLATE_ATTRIBUTE, until=V1_4), Wire(Tag.ATTRIBUTES, since=V2_0)
    ]


_FORMAT = 1
_FORMAT_WITH_V3 = 2
"""The format that also has a part in 3.0, with its size, before the part in 1.4."""
_HEAD = struct.Struct(">BHI")
"""Number of the format, count of indexes that are not zero, size of the part in 2.1."""
_SIZE = struct.Struct(">I")
_INDEX = struct.Struct(">HI")
"""Position among the attributes of the part in 2.1, index."""


def pack(attributes: Attributes) -> bytes:
    """The stored form of attributes. LocalProtocolError for a value that no version can encode."""
    if len(attributes.items) >= MANY:
        packed = _pack_many(attributes.items)
        if packed is not None:
            return packed
    return _pack_v2(attributes.items) or _pack_all(attributes.items)


def _pack_v2(attributes: tuple[Attribute, ...]) -> bytes | None:
    """The stored form, if 2.1 can encode all attributes, as it nearly always can."""
    encoded: list[bytes] = []
    for attribute in attributes:
        key, value = attribute.key, attribute.value
        if key not in _IN_V2:
            return None
        content = (
            _encoded_date(key, value)
            if value.__class__ is datetime
            else encode_attribute(attribute)
        )
        if content is None:
            break
        encoded.append(content)
    else:
        return _pack_parts(attributes, _as_list(b"".join(encoded)))
    try:
        return _pack_parts(attributes, _encode_v2(attributes))
    except LocalProtocolError:
        return None


@lru_cache(maxsize=1024)
def _encoded_date(key: AttributeKey, value: datetime) -> bytes | None:
    """Most dates of a new object are the time of its creation, which others share."""
    return encode_attribute(Attribute(key, value))


def _pack_all(attributes: tuple[Attribute, ...]) -> bytes:
    """The stored form of attributes that need several versions."""
    v1: list[Attribute] = []
    v2: list[Attribute] = []
    v3: list[Attribute] = []
    for attribute in attributes:
        key = attribute.key
        (v3 if key in _NEW_IN_V3 else v2 if _is_in_v2(key) else v1).append(attribute)
    try:
        v2_part = _encode_v2(v2)
    except LocalProtocolError:
        # 2.1 has the attribute, but not its value, such as a key format that 2.0 dropped, or an
        # algorithm that is new in 3.0. Only then each attribute is tried by itself, since trying
        # costs an encoding.
        others = [attribute for attribute in v2 if not _is_encodable(attribute, V2_1)]
        v2 = [attribute for attribute in v2 if _is_encodable(attribute, V2_1)]
        for attribute in others:
            (v1 if _is_encodable(attribute, V1_4) else v3).append(attribute)
        v2_part = _encode_v2(v2)
    v3_part = _encode(tuple(v3), V3_0) if v3 else b""
    # The part in 1.4 needs no indexes in front: 1.4 encodes them with the attributes.
    return _pack_parts(v2, v2_part, v3_part, _encode(tuple(v1), V1_4) if v1 else b"")


def _pack_parts(
    v2: Sequence[Attribute], v2_part: bytes, v3_part: bytes = b"", v1_part: bytes = b""
) -> bytes:
    """The stored form; ``v2`` are the attributes of the part in 2.1."""
    indexes = [
        _INDEX.pack(position, attribute.index)
        for position, attribute in enumerate(v2)
        if attribute.index
    ]
    # The first format stays in use, so that files without 3.0 need no migration.
    head = _HEAD.pack(_FORMAT_WITH_V3 if v3_part else _FORMAT, len(indexes), len(v2_part))
    size = _SIZE.pack(len(v3_part)) if v3_part else b""
    return b"".join((head, *indexes, v2_part, size, v3_part, v1_part))


def packed(encoded: bytes) -> bytes:
    """The stored form of attributes with the index zero, from their encodings in 2.1."""
    part = _as_list(encoded)
    return _HEAD.pack(_FORMAT, 0, len(part)) + part


def unpack_all(own: bytes, shared: bytes) -> Attributes:
    """All attributes of an object, from its own and its shared ones."""
    latest = _ENCODINGS.latest
    items = latest.attributes if own == latest.packed else unpack(own).items
    return Attributes(items + unpack(shared).items)


@lru_cache(maxsize=2048)
def unpack(data: bytes) -> Attributes:
    """The attributes of a stored form; each has an index.

    The most recent ones are cached: storage arrays request the same few keys again and again, and
    decoding their attributes is most of the cost of a Get. They never include key material.
    """
    format_number, count, size = _HEAD.unpack_from(data)
    start = _HEAD.size + count * _INDEX.size
    indexes = dict(_INDEX.iter_unpack(data[_HEAD.size : start]))
    items = _decode_v2(data[start : start + size], indexes)
    start += size
    if format_number == _FORMAT_WITH_V3:
        end = start + _SIZE.size + _SIZE.unpack_from(data, start)[0]
        v3 = decode(_AttributeList, data[start + _SIZE.size : end], V3_0, tag=Tag.REQUEST_PAYLOAD)
        items += _with_indexes(v3.attributes)
        start = end
    if len(data) > start:
        v1 = decode(_AttributeList, data[start:], V1_4, tag=Tag.REQUEST_PAYLOAD)
        items += [
            Attribute(attribute.key, attribute.value, attribute.index or 0)
            for attribute in v1.attributes
        ]
    return Attributes(tuple(items))


MANY = 64
"""Attributes from which on each is encoded and decoded by itself, and remembered.

An attribute is added to an object that has many, and then the next one: to encode and decode all of
them each time would make the cost of many attributes the square of their number.
"""


_MANY_BYTES = 3072
"""The same for decoding, where the number is not known in advance."""


class _Latest(NamedTuple):
    """The many attributes that were packed last, all of which 2.1 can encode."""

    attributes: tuple[Attribute, ...] = ()
    encoded: tuple[bytes, ...] = ()
    """The encoding of each in 2.1."""
    indexes: tuple[bytes, ...] = ()
    """The index of each in its stored form; empty for zero."""
    packed: bytes | None = None


class _Encodings:
    """The most recent attributes of objects that have many, and their encodings in 2.1."""

    def __init__(self, maximum: int = 32_768) -> None:
        self._maximum = maximum
        self._encoded: dict[int, tuple[Attribute, bytes]] = {}
        """By the identity of the attribute, which is kept here so that nothing else gets it."""
        self._attributes: dict[tuple[bytes, int], Attribute] = {}
        self.latest = _Latest()
        """What was packed last: the next change is often one of the same object."""

    def encode(self, attribute: Attribute) -> bytes:
        """The encoding of an attribute, without its index."""
        known = self._encoded.get(id(attribute))
        if known is not None and known[0] is attribute:
            return known[1]
        encoded = _encode((attribute,), V2_1)[2 * _HEAD_SIZE :]
        self._add(attribute, encoded)
        return encoded

    def decode(self, encoded: bytes, index: int) -> Attribute:
        """The attribute with this encoding and this index."""
        known = self._attributes.get((encoded, index))
        if known is not None:
            return known
        listed = decode(_AttributeList, _as_list(encoded), V2_1, tag=Tag.REQUEST_PAYLOAD)
        [attribute] = listed.attributes
        indexed = Attribute(attribute.key, attribute.value, index)
        self._add(indexed, encoded)
        return indexed

    def _add(self, attribute: Attribute, encoded: bytes) -> None:
        if len(self._encoded) >= self._maximum:
            self._encoded.clear()
            self._attributes.clear()
        self._encoded[id(attribute)] = attribute, encoded
        self._attributes[encoded, attribute.index or 0] = attribute


_ENCODINGS = _Encodings()
_HEAD_OF_ITEM = struct.Struct(">II")
_HEAD_SIZE = _HEAD_OF_ITEM.size
_ROOT = Tag.REQUEST_PAYLOAD << 8 | ItemType.STRUCTURE
_ATTRIBUTES = Tag.ATTRIBUTES << 8 | ItemType.STRUCTURE


def _as_list(content: bytes) -> bytes:
    """The encoding of a list of attributes, from those of its attributes."""
    size = len(content)
    return (
        _HEAD_OF_ITEM.pack(_ROOT, size + _HEAD_SIZE)
        + _HEAD_OF_ITEM.pack(_ATTRIBUTES, size)
        + content
    )


_MAX_NEW = 3
"""Attributes at the end that one change replaces, at most: the value, and dates that change with it."""


def _pack_many(attributes: tuple[Attribute, ...]) -> bytes | None:
    """The stored form, of which only what is new is encoded; None if it is not wholly in 2.1."""
    latest = _ENCODINGS.latest
    same = _same_attributes(latest.attributes, attributes)
    new = attributes[same:]
    if not all(_is_only_in_v2(attribute) for attribute in new):
        return None
    try:
        encoded = latest.encoded[:same] + tuple([_ENCODINGS.encode(each) for each in new])
    except LocalProtocolError:
        return None
    indexes = latest.indexes[:same] + tuple(
        [
            _INDEX.pack(position, attribute.index) if attribute.index else b""
            for position, attribute in enumerate(new, start=same)
        ]
    )
    part = _as_list(b"".join(encoded))
    count = len(indexes) - indexes.count(b"")
    packed = b"".join((_HEAD.pack(_FORMAT, count, len(part)), *indexes, part))
    if all(attribute.index is not None for attribute in new):  # as they are when they are unpacked
        _ENCODINGS.latest = _Latest(attributes, encoded, indexes, packed)
    return packed


def _same_attributes(old: tuple[Attribute, ...], new: tuple[Attribute, ...]) -> int:
    """How many attributes at the beginning are the same in both."""
    for changed in range(_MAX_NEW):
        same = len(old) - changed
        # The same objects: equal ones may have other types, such as 1 and True.
        if 0 < same <= len(new) and all(map(is_, old[:same], new)):
            return same
    return 0


def _is_only_in_v2(attribute: Attribute) -> bool:
    return attribute.key not in _NEW_IN_V3 and _is_in_v2(attribute.key)


def _encode_v2(attributes: Sequence[Attribute]) -> bytes:
    if len(attributes) < MANY:
        return _encode(tuple(attributes), V2_1)
    return _as_list(b"".join([_ENCODINGS.encode(attribute) for attribute in attributes]))


def _decode_v2(data: bytes, indexes: Mapping[int, int]) -> list[Attribute]:
    """The attributes of the part in 2.1, with their indexes by position."""
    if len(data) >= _MANY_BYTES:
        items: list[Attribute] = []
        at = 2 * _HEAD_SIZE
        while at < len(data):
            _, size = _HEAD_OF_ITEM.unpack_from(data, at)
            end = at + _HEAD_SIZE + size + -size % 8
            items.append(_ENCODINGS.decode(data[at:end], indexes.get(len(items), 0)))
            at = end
        return items
    v2 = decode(_AttributeList, data, V2_1, tag=Tag.REQUEST_PAYLOAD)
    return [
        Attribute(attribute.key, attribute.value, indexes.get(position, 0))
        for position, attribute in enumerate(v2.attributes)
    ]


def _encode(attributes: tuple[Attribute, ...], version: Version) -> bytes:
    content = _AttributeList(attributes=Attributes(attributes))
    return encode(content, version, tag=Tag.REQUEST_PAYLOAD)


def _is_encodable(attribute: Attribute, version: Version) -> bool:
    """Whether a version can encode the value of the attribute."""
    try:
        _encode((attribute,), version)
    except LocalProtocolError:
        return False
    return True


def _with_indexes(attributes: Attributes) -> list[Attribute]:
    """With indexes by position among the instances of each attribute: 3.0 has none to store."""
    counts: Counter[AttributeKey] = Counter()
    indexed = []
    for attribute in attributes:
        indexed.append(Attribute(attribute.key, attribute.value, counts[attribute.key]))
        counts[attribute.key] += 1
    return indexed


_DROPPED_BEFORE_V2_1 = frozenset(
    row.tag for row in BY_TAG.values() if not row.known_in(V2_1) and row.since < V3_0
)
_NEW_IN_V3 = frozenset(row.tag for row in BY_TAG.values() if row.since >= V3_0)


_IN_V2 = frozenset(BY_TAG) - _DROPPED_BEFORE_V2_1 - _NEW_IN_V3
"""The attributes of the standard that 2.1 can name."""


def _is_in_v2(key: AttributeKey) -> bool:
    """Whether 2.1 can name the attribute: a standard one, or one of a vendor.

    1.x also allows names that are neither, and that 2.1 cannot encode.
    """
    return bool(key.vendor) if isinstance(key, VendorName) else key not in _DROPPED_BEFORE_V2_1
