"""Where one response ends: TTLV directly over TLS, or the bodies of HTTP."""

from typing import Protocol

import h11
from kmipkit_client.settings import LIMITS

from kmipkit.connection import Framer, Signal
from kmipkit.errors import ProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.framing import HEADER_SIZE
from kmipkit.ttlv.media import TTLV
from kmipkit_load.errors import LinkFailed

_RESPONSE = (Tag.RESPONSE_MESSAGE << 8 | ItemType.STRUCTURE).to_bytes(4, "big")

CLOSED = "the server closed the connection"
UNASKED = "the server sent more than the response"
TEXT_SIZE_FACTOR = 4
"""How many times larger than TTLV an XML or JSON body may be."""


class Framing(Protocol):
    """One connection's requests and responses; one at a time."""

    def request(self, body: bytes) -> bytes:
        """The bytes to send for a message."""

    def feed(self, data: bytes) -> bytes | None:
        """Receive bytes, none at the end of the stream. The response, once it is complete; LinkFailed if
        there is none."""

    @property
    def is_reusable(self) -> bool:
        """Whether the connection can carry another request."""

    @property
    def has_more(self) -> bool:
        """Whether bytes have come after the response."""


class TTLVFraming:
    """Messages follow each other."""

    is_reusable = True

    def __init__(self) -> None:
        self._framer = Framer(LIMITS)

    @property
    def has_more(self) -> bool:
        """See :class:`Framing`."""
        return self._framer.is_inside

    def request(self, body: bytes) -> bytes:
        """The message itself."""
        return body

    def feed(self, data: bytes) -> bytes | None:
        """See :class:`Framing`."""
        is_whole = len(data) == HEADER_SIZE + int.from_bytes(data[4:HEADER_SIZE], "big")
        if is_whole and data.startswith(_RESPONSE) and not self._framer.is_inside:
            return data  # as nearly all of them arrive
        try:
            self._framer.feed(data)
            message = self._framer.next_message()
        except ProtocolError:
            raise LinkFailed("the response is not a KMIP message" if data else CLOSED) from None
        if message is Signal.CLOSED:
            raise LinkFailed(CLOSED)
        return message if isinstance(message, bytes) else None


class HTTPFraming:
    """``POST`` for each message (KMIP Profiles 2.1 §5.3)."""

    def __init__(self, host: str, path: str, media: str) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._path = path
        self._media = media
        self._host = host
        self._body = bytearray()
        self._status = 0
        self._content_type = ""

    @property
    def is_reusable(self) -> bool:
        """Unless one side has said that it will close."""
        return self._http.our_state is h11.IDLE

    @property
    def has_more(self) -> bool:
        """See :class:`Framing`."""
        return bool(self._http.trailing_data[0])

    def request(self, body: bytes) -> bytes:
        """A request with this body."""
        head = h11.Request(
            method="POST",
            target=self._path,
            headers=[
                ("Host", self._host),
                ("Content-Type", self._media),
                ("Content-Length", str(len(body))),
            ],
        )
        parts = (self._http.send(event) for event in (head, h11.Data(body), h11.EndOfMessage()))
        return b"".join(part for part in parts if part)

    def feed(self, data: bytes) -> bytes | None:
        """See :class:`Framing`."""
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.Response):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._extend(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    return self._end()
                elif not isinstance(event, h11.InformationalResponse):
                    raise LinkFailed(CLOSED)
        except h11.RemoteProtocolError:
            raise LinkFailed("the response is not HTTP" if data else CLOSED) from None

    def _begin(self, response: h11.Response) -> None:
        self._status = response.status_code
        header = dict(response.headers).get(b"content-type", b"").decode("latin-1")
        self._content_type = header.partition(";")[0].strip().lower()
        self._body.clear()

    def _extend(self, data: bytes) -> None:
        self._body += data
        factor = 1 if self._media == TTLV else TEXT_SIZE_FACTOR
        if len(self._body) > factor * LIMITS.max_message:
            raise LinkFailed("the response is too large")

    def _end(self) -> bytes:
        if self._status != 200:
            raise LinkFailed(f"HTTP status {self._status}")
        if self._content_type != self._media:
            raise LinkFailed(f"the response is not {self._media}")
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return bytes(self._body)
