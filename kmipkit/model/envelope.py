"""Whole messages to and from bytes, whatever their version.

The version stands in the header, at a fixed place in every message that is encoded as the standard
orders it (KMIP 1.4 §7.2: Protocol Version comes first). It decides how the rest is read.
"""

import struct

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.codec import decode
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, VERSIONS, Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits

SPOKEN = tuple(version for version in VERSIONS if version <= V2_1)
"""The versions that both sides of this package speak, oldest first."""

_OPENING = struct.Struct(">II II II IIiI IIiI").unpack_from


def _expected(message: Tag, header: Tag) -> tuple[tuple[int, int | None], ...]:
    """Tag and type of the five items that open a message, and the length where it is fixed."""
    structure, integer = ItemType.STRUCTURE, ItemType.INTEGER
    return (
        (message << 8 | structure, None),
        (header << 8 | structure, None),
        (Tag.PROTOCOL_VERSION << 8 | structure, 32),
        (Tag.PROTOCOL_VERSION_MAJOR << 8 | integer, 4),
        (Tag.PROTOCOL_VERSION_MINOR << 8 | integer, 4),
    )


_REQUEST = _expected(Tag.REQUEST_MESSAGE, Tag.REQUEST_HEADER)
_RESPONSE = _expected(Tag.RESPONSE_MESSAGE, Tag.RESPONSE_HEADER)


def peek_version(data: bytes) -> Version | None:
    """The version of a request or response, known or not; None if the bytes do not open as one."""
    try:
        numbers = _OPENING(data)
    except struct.error:
        return None
    heads = (*numbers[0:6:2], numbers[6], numbers[10])
    lengths = (*numbers[1:6:2], numbers[7], numbers[11])
    for expected in (_REQUEST, _RESPONSE):
        if all(
            head == wanted and size in (None, length)
            for head, length, (wanted, size) in zip(heads, lengths, expected, strict=True)
        ):
            return Version(numbers[8], numbers[12])
    return None


def _version_of(data: bytes, root: Tag) -> Version:
    version = peek_version(data)
    if version is None or int.from_bytes(data[:3], "big") != root:
        raise RemoteProtocolError(
            f"expected a {tag_name(root)} that opens with a header and a Protocol Version",
            cause=Cause.UNEXPECTED_MESSAGE,
            offset=0,
        )
    if version not in SPOKEN:
        spoken = ", ".join(map(str, SPOKEN))
        raise RemoteProtocolError(
            f"KMIP {version} is not spoken here, only {spoken}",
            cause=Cause.UNSUPPORTED_VERSION,
            path=f"{tag_name(root)}/{tag_name(Tag.PROTOCOL_VERSION)}",
            offset=16,
        )
    return version


def decode_request(
    data: bytes, *, limits: Limits = DEFAULT_LIMITS
) -> tuple[RequestMessage, Version]:
    """A request message and its version; RemoteProtocolError if it is not one."""
    version = _version_of(data, Tag.REQUEST_MESSAGE)
    return decode(RequestMessage, data, version, limits=limits), version


def decode_response(
    data: bytes, *, limits: Limits = DEFAULT_LIMITS, tolerant: bool = False
) -> tuple[ResponseMessage, Version]:
    """A response message and its version; RemoteProtocolError if it is not one."""
    version = _version_of(data, Tag.RESPONSE_MESSAGE)
    return decode(ResponseMessage, data, version, limits=limits, tolerant=tolerant), version
