"""The three encodings by the media type that HTTP calls them (Profiles 2.1 §5.3 to §5.5).

Inside, everything is TTLV: sizes such as Maximum Response Size mean that form whatever is spoken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmipkit.ttlv import binary, json, xml
from kmipkit.ttlv.limits import Limits


@dataclass(frozen=True, slots=True)
class Media:
    """How messages travel under a media type."""

    to_ttlv: Callable[[bytes, Limits], bytes]
    """From the body to TTLV. RemoteProtocolError where it is no message, or beyond the limits."""
    of_ttlv: Callable[[bytes, Limits], bytes]
    """The inverse, of a message that is well-formed."""


def _text(module: object) -> Media:
    parse, dump = module.parse, module.dump  # type: ignore[attr-defined]  # xml and json have both
    return Media(
        to_ttlv=lambda body, limits: binary.encode(parse(body, limits)),
        of_ttlv=lambda data, limits: dump(binary.decode(data, limits)).encode(),
    )


TTLV, XML, JSON = "application/octet-stream", "text/xml", "application/json"

MEDIA: Mapping[str, Media] = MappingProxyType(
    {
        TTLV: Media(to_ttlv=lambda body, limits: body, of_ttlv=lambda data, limits: data),
        XML: _text(xml),
        JSON: _text(json),
    }
)
"""The media types of KMIP over HTTPS."""
