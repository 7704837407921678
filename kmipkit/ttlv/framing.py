"""The length of a message, from its first eight bytes.

The first bytes of a connection also show other protocols. The error names the protocol they look like:
most come from a health check, from a browser, or from a client without TLS.
"""

import struct

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits

HEADER_SIZE = 8
"""Bytes of tag, type and length together (KMIP 1.4 §9.1.1)."""

TAG_PREFIXES = frozenset((0x42, 0x54))
"""First byte of a tag: that of the standard, and that of extensions (KMIP 1.4 §9.1.1.1)."""

WITH_ANY_TAGS = frozenset((Tag.VENDOR_EXTENSION, Tag.SERVER_INFORMATION))
"""Structures whose contents each vendor defines (KMIP 1.4 §6.16, §4.25). Some vendors use other tags
there, as does a published test case (TC-71-11: 014242); a receiver ignores what it does not know."""

_METHODS = ("GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "DELETE ", "CONNECT ", "PATCH ", "TRACE ")

_OTHER_PROTOCOLS = (
    (b"\x16\x03", "a TLS handshake: TLS within TLS, or TLS to a port without TLS"),
    (b"\x15\x03", "a TLS alert: the peer has aborted a TLS handshake"),
    (b"HTTP/", "an HTTP response"),
    (b"PRI * HT", "HTTP/2"),
    *((method.encode(), "an HTTP request") for method in _METHODS),
    (b"PROXY ", "the PROXY protocol, which is not supported"),
    (b"\r\n\r\n\x00\r\nQ", "the PROXY protocol, which is not supported"),
    (b"SSH-", "SSH"),
    (b"<", "XML: without HTTPS, messages are binary (TTLV)"),
    (b"{", "JSON: without HTTPS, messages are binary (TTLV)"),
)


def message_length(header: bytes | bytearray | memoryview, limits: Limits = DEFAULT_LIMITS) -> int:
    """The size in bytes of the message that begins with ``header``, including the header.

    ``header`` has at least the first eight bytes; otherwise it is a ValueError. Raises
    RemoteProtocolError if the bytes are not the beginning of a message, or the message is larger than
    ``limits.max_message``.
    """
    start = bytes(header[:HEADER_SIZE])
    if len(start) < HEADER_SIZE:
        raise ValueError(f"a message header has {HEADER_SIZE} bytes, not {len(start)}")
    if start[0] not in TAG_PREFIXES:
        raise RemoteProtocolError(_description(start), cause=Cause.NOT_KMIP, offset=0)
    if start[3] != ItemType.STRUCTURE:
        message = _description(start, f"a message is a Structure (01), not of type {start[3]:02X}")
        raise RemoteProtocolError(message, cause=Cause.BAD_TYPE, offset=3)
    (length,) = struct.unpack_from(">I", start, 4)
    if length % 8:
        message = f"the length of a Structure is a multiple of 8, not {length}"
        raise RemoteProtocolError(message, cause=Cause.BAD_LENGTH, offset=4)
    size = HEADER_SIZE + int(length)
    if size > limits.max_message:
        message = f"the message has {size} bytes; the limit is {limits.max_message}"
        raise RemoteProtocolError(message, cause=Cause.TOO_LARGE, offset=4)
    return size


def _description(start: bytes, otherwise: str = "") -> str:
    for prefix, name in _OTHER_PROTOCOLS:
        if start.startswith(prefix):
            return f"not KMIP: the bytes look like {name}"
    return otherwise or f"not KMIP: a message begins with 42 or 54, not with {start[0]:02X}"
