"""KMIP over HTTPS, the client's side, without I/O: ``POST`` with TTLV, XML or JSON (Profiles 2.1 §5.3).

h11 writes and reads HTTP. Messages in the bodies go through :class:`kmipkit.connection.Connection`, as
those directly on TLS do, so that responses are checked in the same way.
"""

from collections.abc import Mapping
from types import MappingProxyType

import h11

from kmipkit.connection import Connection, Event, Response, Signal
from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.messages import RequestMessage
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.media import JSON, MEDIA, TTLV, XML
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.settings import ENCODINGS

MEDIA_TYPES = dict(zip(ENCODINGS, (TTLV, XML, JSON), strict=True))
"""The media type of each encoding."""

_TEXT_SIZE_FACTOR = 4
"""How many times larger than TTLV an XML or JSON body may be: names and hex digits take space."""
_MAX_HEAD_SIZE = 16 * 1024

_HINTS: Mapping[int, str] = MappingProxyType(
    {
        404: "; is KMIP at another path of this server? https://HOST:PORT/PATH names it",
        415: "; the server does not support the encoding",
    }
)
"""What to do about a status of HTTP."""


class HTTPSConnection:
    """Has the methods of :class:`kmipkit.connection.Connection`."""

    def __init__(self, endpoint: Endpoint, encoding: str, limits: Limits) -> None:
        """``encoding`` is one of :data:`.settings.ENCODINGS`."""
        self._endpoint = endpoint
        self._media_type = MEDIA_TYPES[encoding]
        self._media = MEDIA[self._media_type]
        self._limits = limits
        self._messages = Connection(limits=limits, tolerant=True)
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_SIZE)
        self._response: h11.Response | None = None
        self._body = bytearray()
        factor = 1 if self._media_type == TTLV else _TEXT_SIZE_FACTOR
        self._max_body = limits.max_message * factor
        self.is_reusable = True
        """Whether the connection can carry another request."""

    @property
    def has_unread_data(self) -> bool:
        """Whether bytes have been received that belong to no event so far."""
        return bool(self._http.trailing_data[0])

    def send_request(self, message: RequestMessage) -> bytes:
        """The bytes of a request. LocalProtocolError if its version cannot express it."""
        data = self._messages.send_request(message)
        body = self._media.from_ttlv(data, self._limits)
        host, _, _ = str(self._endpoint).removeprefix("https://").partition("/")
        request = h11.Request(
            method="POST",
            target=self._endpoint.path or "/",
            headers=[
                ("Host", host),
                ("Content-Type", self._media_type),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-cache"),
            ],
        )
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        return b"".join(self._http.send(event) or b"" for event in events)

    def receive_data(self, data: bytes) -> None:
        """Add received bytes; no bytes mean that the server has closed the connection."""
        try:
            self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise _malformed(str(error)) from None

    def next_event(self) -> Event:
        """The next response, or that it needs more bytes."""
        try:
            return self._next()
        except h11.RemoteProtocolError as error:
            if self._http.trailing_data[1]:
                message = "the server closed the connection without a complete response"
                raise RemoteProtocolError(message, cause=Cause.CLOSED) from None
            raise _malformed(str(error)) from None

    def _next(self) -> Event:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                return Signal.NEED_DATA
            if isinstance(event, h11.ConnectionClosed):
                message = "the server closed the connection without a response"
                raise RemoteProtocolError(message, cause=Cause.CLOSED)
            if isinstance(event, h11.Response):
                self._response = event
            elif isinstance(event, h11.Data):
                self._extend(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return self._end()

    def _extend(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > self._max_body:
            message = f"the response is longer than {self._max_body} bytes"
            raise RemoteProtocolError(message, cause=Cause.TOO_LARGE)

    def _end(self) -> Response:
        body = bytes(self._body)
        self._body.clear()
        assert self._response is not None  # h11 has read it before the end
        self._check_head(self._response)
        self.is_reusable = self._http.our_state is self._http.their_state is h11.DONE
        if self.is_reusable:
            self._http.start_next_cycle()
        if body:  # no bytes would mean the end of the connection
            self._messages.receive_data(self._media.to_ttlv(body, self._limits))
        event = self._messages.next_event()
        if not isinstance(event, Response) or self._messages.has_unread_data:
            raise _malformed("the body is not one KMIP message")
        return event

    def _check_head(self, response: h11.Response) -> None:
        if response.status_code != 200:
            reason = response.reason.decode("latin-1")
            hint = _HINTS.get(response.status_code, "")
            raise _malformed(f"HTTP status {response.status_code} {reason!r} in place of 200{hint}")
        media_type = dict(response.headers).get(b"content-type", b"").partition(b";")[0]
        if media_type.strip().lower() != self._media_type.encode():
            raise _malformed(f"Content-Type {media_type!r} in place of {self._media_type!r}")


def _malformed(message: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"no KMIP response over HTTPS: {message}", cause=Cause.UNEXPECTED_MESSAGE
    )
