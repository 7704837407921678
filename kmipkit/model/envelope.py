"""Whole messages to and from bytes, in any version.

Protocol Version is the first field of a header (KMIP 1.4 §7.2), so the version has the same offset in
every message. It determines how the message is read. Tolerant readers look for it in the whole header.
"""

import struct

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.codec import decode, from_tree
from kmipkit.model.field_types import VersionJudge
from kmipkit.model.headers import ProtocolVersion
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.names import tag_name
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits


def _head(tag: Tag, item_type: ItemType) -> bytes:
    return struct.pack(">I", tag << 8 | item_type)


_HEADERS = {
    _head(message, ItemType.STRUCTURE): _head(header, ItemType.STRUCTURE)
    for message, header in (
        (Tag.REQUEST_MESSAGE, Tag.REQUEST_HEADER),
        (Tag.RESPONSE_MESSAGE, Tag.RESPONSE_HEADER),
    )
}
"""The head of a message, at offset 0, and that of its header, at offset 8."""

_BEFORE_MAJOR = struct.pack(
    ">4sI4sI",
    _head(Tag.PROTOCOL_VERSION, ItemType.STRUCTURE),
    32,
    _head(Tag.PROTOCOL_VERSION_MAJOR, ItemType.INTEGER),
    4,
)
"""The bytes between the header's head and the major version, from offset 16."""

_BEFORE_MINOR = struct.pack(">4sI", _head(Tag.PROTOCOL_VERSION_MINOR, ItemType.INTEGER), 4)
"""The bytes between the two numbers, from offset 40."""

_NUMBERS = struct.Struct(">32xi12xi").unpack_from
_VERSIONS: dict[tuple[int, ...], Version] = {version: version for version in VERSIONS}


def peek_version(data: bytes) -> Version | None:
    """The version of a request or response, supported or not; None if the bytes are not the beginning of
    a message."""
    is_message = _HEADERS.get(data[:4]) == data[8:12] and len(data) >= 52
    if not is_message or data[16:32] != _BEFORE_MAJOR or data[40:48] != _BEFORE_MINOR:
        return None
    numbers = _NUMBERS(data)
    return _VERSIONS.get(numbers) or Version(*numbers)


def _find_version(data: bytes, limits: Limits) -> Version | None:
    """The version of a message whose header may have any order; None if there is none."""
    item = binary.decode(data, limits)
    for tags in ((Tag.REQUEST_HEADER, Tag.RESPONSE_HEADER), (Tag.PROTOCOL_VERSION,)):
        inner = item.value if isinstance(item.value, tuple) else ()
        child = next((child for child in inner if child.tag in tags), None)
        if child is None:
            return None
        item = child
    try:
        return from_tree(ProtocolVersion, item, V1_0, tolerant=True).version
    except RemoteProtocolError:
        return None


def _version_of(data: bytes, root: Tag, tolerant_limits: Limits | None = None) -> Version:
    """The version of a message; with limits for it, also if the header has another order."""
    version = peek_version(data)
    if version is None and tolerant_limits is not None:
        version = _find_version(data, tolerant_limits)
    if version is None or int.from_bytes(data[:3], "big") != root:
        raise RemoteProtocolError(
            f"expected a {tag_name(root)} that begins with a header and its Protocol Version",
            cause=Cause.UNEXPECTED_MESSAGE,
            offset=0,
        )
    if version not in VERSIONS:
        supported = ", ".join(map(str, VERSIONS))
        raise RemoteProtocolError(
            f"KMIP {version} is not supported; supported versions are {supported}",
            cause=Cause.UNSUPPORTED_VERSION,
            path=f"{tag_name(root)}/{tag_name(Tag.PROTOCOL_VERSION)}",
            offset=16,
        )
    return version


def decode_request(
    data: bytes, *, limits: Limits = DEFAULT_LIMITS, judge: VersionJudge | None = None
) -> tuple[RequestMessage, Version]:
    """A request message and its version; RemoteProtocolError if it is not one."""
    version = _version_of(data, Tag.REQUEST_MESSAGE)
    return decode(RequestMessage, data, version, limits=limits, judge=judge), version


def decode_response(
    data: bytes, *, limits: Limits = DEFAULT_LIMITS, tolerant: bool = False
) -> tuple[ResponseMessage, Version]:
    """A response message and its version; RemoteProtocolError if it is not one."""
    version = _version_of(data, Tag.RESPONSE_MESSAGE, limits if tolerant else None)
    return decode(ResponseMessage, data, version, limits=limits, tolerant=tolerant), version
