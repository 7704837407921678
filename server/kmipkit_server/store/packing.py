"""Attributes as bytes: the TTLV of 2.1, of 1.4 for what 2.0 dropped, of 3.0 for what is newer.

The stored form is the wire's own, so that nothing but the protocol's codec can read or write it.
Indexes of instances, which only 1.x knows, stand in front: 2.1 has no place for them.
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
class _Kept(Structure):
    attributes: Annotated[
        Attributes, Wire(Tag.TEMPLATE_ATTRIBUTE, until=V1_4), Wire(Tag.ATTRIBUTES, since=V2_0)
    ]


_FORM = 1
_HEAD = struct.Struct(">BHI")
"""Number of the form, count of indexes that are not zero, size of the part in 2.1."""
_WITH_NEW = 2
"""The form that has a part in 3.0: its size and itself stand before the part in 1.4."""
_SIZE = struct.Struct(">I")
_INDEX = struct.Struct(">HI")
"""Position among the attributes in 2.1, index."""


def pack(attributes: Attributes) -> bytes:
    """The stored form of attributes. Values that no version can write raise LocalProtocolError."""
    modern: list[Attribute] = []
    old: list[Attribute] = []
    new: list[Attribute] = []
    for one in attributes:
        (new if one.key in _NEW else modern if _is_modern(one.key) else old).append(one)
    try:
        packed = _encode(tuple(modern), V2_1)
    except LocalProtocolError:  # values that 2.0 dropped, such as some key formats
        old += [one for one in modern if not _fits(one)]
        modern = [one for one in modern if _fits(one)]
        packed = _encode(tuple(modern), V2_1)
    indexes = [(at, one.index) for at, one in enumerate(modern) if one.index]
    newest = _encode(tuple(new), V3_0) if new else b""
    return b"".join(
        (
            _HEAD.pack(_WITH_NEW if new else _FORM, len(indexes), len(packed)),
            *(_INDEX.pack(*pair) for pair in indexes),
            packed,
            _SIZE.pack(len(newest)) + newest if new else b"",
            _encode(tuple(old), V1_4) if old else b"",
        )
    )


def joined(own: bytes, shared: bytes) -> Attributes:
    """All attributes of an object, from its own and those that it shares."""
    return Attributes(unpack(own).items + unpack(shared).items)


@lru_cache(maxsize=2048)
def unpack(data: bytes) -> Attributes:
    """The attributes of a stored form; each has an index.

    The last ones are remembered: arrays ask for the same few keys again and again, and reading
    their attributes is most of what a Get costs. Key material is never among them.
    """
    form, count, size = _HEAD.unpack_from(data)
    start = _HEAD.size + count * _INDEX.size
    indexes = dict(_INDEX.iter_unpack(data[_HEAD.size : start]))
    modern = decode(_Kept, data[start : start + size], V2_1, tag=Tag.REQUEST_PAYLOAD)
    items = [
        Attribute(one.key, one.value, indexes.get(at, 0))
        for at, one in enumerate(modern.attributes)
    ]
    start += size
    if form == _WITH_NEW:
        end = start + _SIZE.size + _SIZE.unpack_from(data, start)[0]
        new = decode(_Kept, data[start + _SIZE.size : end], V3_0, tag=Tag.REQUEST_PAYLOAD)
        items += _numbered(new.attributes)
        start = end
    if len(data) > start:
        old = decode(_Kept, data[start:], V1_4, tag=Tag.REQUEST_PAYLOAD)
        items += [Attribute(one.key, one.value, one.index or 0) for one in old.attributes]
    return Attributes(tuple(items))


def _encode(attributes: tuple[Attribute, ...], version: Version) -> bytes:
    return encode(_Kept(attributes=Attributes(attributes)), version, tag=Tag.REQUEST_PAYLOAD)


def _fits(attribute: Attribute) -> bool:
    """Whether 2.1 can write the attribute."""
    try:
        _encode((attribute,), V2_1)
    except LocalProtocolError:
        return False
    return True


def _numbered(attributes: Attributes) -> list[Attribute]:
    """With indexes by position among the instances of each attribute."""
    seen: Counter[AttributeKey] = Counter()
    numbered = []
    for one in attributes:
        numbered.append(Attribute(one.key, one.value, seen[one.key]))
        seen[one.key] += 1
    return numbered


_OLD = frozenset(row.tag for row in BY_TAG.values() if not row.known_in(V2_1) and row.since < V3_0)
_NEW = frozenset(row.tag for row in BY_TAG.values() if row.since >= V3_0)


def _is_modern(key: AttributeKey) -> bool:
    """Whether 2.1 has the attribute; a name of 1.x that is neither custom nor standard it has not."""
    return bool(key.vendor) if isinstance(key, VendorName) else key not in _OLD
