"""The stored form of attributes: TTLV of 2.1, of 1.4 for what 2.0 dropped, of 3.0 for what is newer.

The stored form is an encoding of the protocol, so that its codec reads and writes it, and no other
code has to know the attributes. The indexes of instances come first, since only 1.x has them, and
the encoding of 2.1 has no place for them.
"""

import struct
from collections import Counter
from functools import lru_cache
from typing import Annotated

from kmipkit.errors import LocalProtocolError
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, VendorName
from kmipkit.model.codec import decode, encode
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.attributes import BY_TAG
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
    v1: list[Attribute] = []
    v2: list[Attribute] = []
    v3: list[Attribute] = []
    for attribute in attributes:
        key = attribute.key
        (v3 if key in _NEW_IN_V3 else v2 if _is_in_v2(key) else v1).append(attribute)
    try:
        v2_part = _encode(tuple(v2), V2_1)
    except LocalProtocolError:
        # 2.1 has the attribute, but not its value, such as a key format that 2.0 dropped, or an
        # algorithm that is new in 3.0. Only then each attribute is tried by itself, since trying
        # costs an encoding.
        others = [attribute for attribute in v2 if not _is_encodable(attribute, V2_1)]
        v2 = [attribute for attribute in v2 if _is_encodable(attribute, V2_1)]
        for attribute in others:
            (v1 if _is_encodable(attribute, V1_4) else v3).append(attribute)
        v2_part = _encode(tuple(v2), V2_1)
    indexes = [
        (position, attribute.index) for position, attribute in enumerate(v2) if attribute.index
    ]
    v3_part = _encode(tuple(v3), V3_0) if v3 else b""
    return b"".join(
        (
            # The first format stays in use, so that files without 3.0 need no migration.
            _HEAD.pack(_FORMAT_WITH_V3 if v3 else _FORMAT, len(indexes), len(v2_part)),
            *(_INDEX.pack(*pair) for pair in indexes),
            v2_part,
            _SIZE.pack(len(v3_part)) + v3_part if v3 else b"",
            # The part in 1.4 needs no indexes in front: 1.4 encodes them with the attributes.
            _encode(tuple(v1), V1_4) if v1 else b"",
        )
    )


def unpack_all(own: bytes, shared: bytes) -> Attributes:
    """All attributes of an object, from its own and its shared ones."""
    return Attributes(unpack(own).items + unpack(shared).items)


@lru_cache(maxsize=2048)
def unpack(data: bytes) -> Attributes:
    """The attributes of a stored form; each has an index.

    The most recent ones are cached: storage arrays request the same few keys again and again, and
    decoding their attributes is most of the cost of a Get. They never include key material.
    """
    format_number, count, size = _HEAD.unpack_from(data)
    start = _HEAD.size + count * _INDEX.size
    indexes = dict(_INDEX.iter_unpack(data[_HEAD.size : start]))
    v2 = decode(_AttributeList, data[start : start + size], V2_1, tag=Tag.REQUEST_PAYLOAD)
    items = [
        Attribute(attribute.key, attribute.value, indexes.get(position, 0))
        for position, attribute in enumerate(v2.attributes)
    ]
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


def _is_in_v2(key: AttributeKey) -> bool:
    """Whether 2.1 can name the attribute: a standard one, or one of a vendor.

    1.x also allows names that are neither, and that 2.1 cannot encode.
    """
    return bool(key.vendor) if isinstance(key, VendorName) else key not in _DROPPED_BEFORE_V2_1
