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
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits

SPOKEN = VERSIONS
"""The versions that both sides of this package speak, oldest first."""


def _head(tag: Tag, item_type: ItemType) -> bytes:
    return struct.pack(">I", tag << 8 | item_type)


_HEADERS = {
    _head(message, ItemType.STRUCTURE): _head(header, ItemType.STRUCTURE)
    for message, header in (
        (Tag.REQUEST_MESSAGE, Tag.REQUEST_HEADER),
        (Tag.RESPONSE_MESSAGE, Tag.RESPONSE_HEADER),
    )
}
"""The head of a message and that of its header, which stand at 0 and 8."""

_TO_MAJOR = struct.pack(
    ">4sI4sI",
    _head(Tag.PROTOCOL_VERSION, ItemType.STRUCTURE),
    32,
    _head(Tag.PROTOCOL_VERSION_MAJOR, ItemType.INTEGER),
    4,
)
"""What stands between the header's head and the major version, from 16."""

_TO_MINOR = struct.pack(">4sI", _head(Tag.PROTOCOL_VERSION_MINOR, ItemType.INTEGER), 4)
"""What stands between the two numbers, from 40."""

_NUMBERS = struct.Struct(">32xi12xi").unpack_from
_KNOWN: dict[tuple[int, ...], Version] = {version: version for version in SPOKEN}


def peek_version(data: bytes) -> Version | None:
    """The version of a request or response, known or not; None if the bytes do not open as one."""
    opens = _HEADERS.get(data[:4]) == data[8:12] and len(data) >= 52
    if not opens or data[16:32] != _TO_MAJOR or data[40:48] != _TO_MINOR:
        return None
    numbers = _NUMBERS(data)
    return _KNOWN.get(numbers) or Version(*numbers)


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
