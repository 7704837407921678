"""The three encodings by their media types (Profiles 2.1 §5.3 to §5.5).

Internally all messages are TTLV; sizes such as Maximum Response Size count bytes of TTLV in all
encodings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmipkit.ttlv import binary, json, xml
from kmipkit.ttlv.limits import Limits


@dataclass(frozen=True, slots=True)
class Media:
    """The encoding of messages with a media type."""

    to_ttlv: Callable[[bytes, Limits], bytes]
    """From the body to TTLV. RemoteProtocolError for a malformed message, or one beyond the limits."""
    from_ttlv: Callable[[bytes, Limits], bytes]
    """From TTLV to the body, for a well-formed message."""


def _text(module: object) -> Media:
    parse, dump = module.parse, module.dump  # type: ignore[attr-defined]  # xml and json have both
    return Media(
        to_ttlv=lambda body, limits: binary.encode(parse(body, limits)),
        from_ttlv=lambda data, limits: dump(binary.decode(data, limits)).encode(),
    )


TTLV, XML, JSON = "application/octet-stream", "text/xml", "application/json"
APPLICATION_XML = "application/xml"
"""The other registered media type of XML (RFC 7303 §9.2), which some clients use."""

MEDIA: Mapping[str, Media] = MappingProxyType(
    {
        TTLV: Media(to_ttlv=lambda body, limits: body, from_ttlv=lambda data, limits: data),
        XML: _text(xml),
        APPLICATION_XML: _text(xml),
        JSON: _text(json),
    }
)
"""The media types of KMIP over HTTPS."""


def media_type_of(body: bytes) -> str:
    """The media type of a message, from its first character."""
    start = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"<": XML, b"{": JSON, b"[": JSON}.get(start, TTLV)
