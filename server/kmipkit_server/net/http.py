"""KMIP over HTTPS: ``POST /kmip`` with TTLV, XML or JSON (Profiles 2.1 §5.3).

An HTTP server would not give its application the client certificate, which identifies the client
here. So the listener has the connection with all its limits, and h11 parses and writes HTTP. Other paths
may belong to an application (:mod:`.application`).
"""

from dataclasses import dataclass

import h11

from kmipkit.connection import Signal
from kmipkit.errors import RemoteProtocolError
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.media import MEDIA, TTLV, Media, media_type_of
from kmipkit_server.net.application import Application, WebAnswer, WebRequest

TARGET = b"/kmip"
"""The path, as the profile recommends."""

_TARGETS = frozenset((TARGET, TARGET + b"/"))

_ANY = "*/*"
"""A Content-Type of clients that leave the type of the body open; its first character shows it."""

TEXT_SIZE_FACTOR = 4
"""How many times larger than TTLV an XML or JSON body may be: names and hex digits take space."""

_MAX_HEAD_SIZE = 16 * 1024
"""Bytes of a request line with headers, at most."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of HTTP itself, without a KMIP message."""

    data: bytes
    refusal: str = ""
    """Why the connection is closed after it; empty if it stays open."""


class _HTTPError(Exception):
    """A request is refused with an HTTP status."""

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class HTTPFraming:
    """The server's side of one HTTP/1.1 connection; see :class:`.framing.Framing`."""

    def __init__(self, limits: Limits, application: Application | None = None) -> None:
        self._limits = limits
        self._application = application
        self._is_for_application = False
        self._is_head = False
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_SIZE)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._content_type = TTLV
        self._received = 0
        """The bytes that were received last."""

    @property
    def is_inside(self) -> bool:
        """Whether a part of a request has been received."""
        return self._request is not None or bool(self._http.trailing_data[0])

    @property
    def unread(self) -> int:
        """The bytes of the message that were received; those in XML or JSON must be translated."""
        return len(self._body) + self._received

    @property
    def is_text(self) -> bool:
        """Whether the response is in XML or JSON."""
        return self._content_type != TTLV

    def feed(self, data: bytes) -> None:
        """Receive bytes of the client; empty bytes mean that the client has closed."""
        self._received = len(data)
        if self._http.their_state is not h11.CLOSED:
            self._http.receive_data(data)

    def next_message(self) -> bytes | WebRequest | RemoteProtocolError | Reply | Signal:
        """The next request, KMIP as TTLV; or an error or reply instead."""
        self._received = 0
        try:
            return self._next()
        except _HTTPError as error:
            return self._refuse(error)
        except h11.RemoteProtocolError as error:
            return self._refuse(_HTTPError(error.error_status_hint, str(error)))

    def response(self, message: bytes) -> bytes:
        """A response as HTTP, in the encoding of the request."""
        body = self._media.from_ttlv(message, self._limits)
        return self._last(self._reply(200, body, ("Content-Type", self._content_type)))

    def answer(self, answer: WebAnswer) -> bytes:
        """A response of the application."""
        headers = (("Content-Type", answer.content_type), *answer.headers)
        return self._last(self._reply(answer.status, answer.body, *headers))

    def _last(self, data: bytes) -> bytes:
        """The end of a response, after which the next request may follow."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return data

    @property
    def _media(self) -> Media:
        return MEDIA[self._content_type]

    def _next(self) -> bytes | WebRequest | RemoteProtocolError | Reply | Signal:
        while True:
            if self._http.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
                return Signal.CLOSED
            event = self._http.next_event()
            if event is h11.NEED_DATA and self._http.they_are_waiting_for_100_continue:
                continue_ = h11.InformationalResponse(status_code=100, headers=[])
                return Reply(self._http.send(continue_) or b"")
            if event in (h11.NEED_DATA, h11.PAUSED):
                return Signal.NEED_DATA
            if isinstance(event, h11.ConnectionClosed):
                return Signal.CLOSED
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._extend(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return self._end()

    def _begin(self, request: h11.Request) -> None:
        self._request = request
        self._body.clear()
        self._content_type = TTLV
        self._is_head = request.method == b"HEAD"
        application = self._application
        self._is_for_application = application is not None and application.has(request.target)
        if not request.http_version.startswith(b"1."):
            raise _HTTPError(505, "only HTTP/1.1 is supported")
        if self._is_for_application:
            return
        if request.target.partition(b"?")[0] not in _TARGETS:
            raise _HTTPError(404, f"this server has only {TARGET.decode()}")
        if request.method != b"POST":
            raise _HTTPError(405, f"{TARGET.decode()} supports only POST", ("Allow", "POST"))
        header = dict(request.headers).get(b"content-type", TTLV.encode())
        self._content_type = header.partition(b";")[0].strip().lower().decode("latin-1")
        if self._content_type not in MEDIA and self._content_type != _ANY:
            self._content_type = TTLV
            raise _HTTPError(415, f"Content-Type must be one of {', '.join(MEDIA)}")

    def _extend(self, data: bytes) -> None:
        self._body += data
        maximum = self._max_body
        if len(self._body) > maximum:
            raise _HTTPError(413, f"the message is longer than {maximum} bytes")

    @property
    def _max_body(self) -> int:
        if self._is_for_application and self._application is not None:
            return self._application.max_body
        factor = 1 if self._content_type == TTLV else TEXT_SIZE_FACTOR
        return self._limits.max_message * factor

    def _end(self) -> bytes | WebRequest | RemoteProtocolError:
        body, request = bytes(self._body), self._request
        self._request = None
        self._body.clear()
        if self._is_for_application and request is not None:
            method, target = request.method.decode("ascii"), request.target.decode("ascii")
            return WebRequest(method, target, list(request.headers), body)
        if self._content_type == _ANY:
            self._content_type = media_type_of(body)
        try:
            return self._media.to_ttlv(body, self._limits)
        except RemoteProtocolError as error:
            return error

    def _refuse(self, error: _HTTPError) -> Reply:
        """The reply for an error. The connection is closed, since the rest of the request is unread."""
        self._request = None
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return Reply(b"", str(error))
        answer = WebAnswer(error.status, f"{error}\n".encode(), "text/plain; charset=utf-8")
        if self._is_for_application and self._application is not None:
            answer = self._application.refuse(error.status, str(error))
        headers = (("Content-Type", answer.content_type), ("Connection", "close"))
        data = self._reply(error.status, answer.body, *headers, *answer.headers, *error.headers)
        return Reply(data, f"HTTP {error.status}: {error}")

    def _reply(self, status: int, body: bytes, *headers: tuple[str, str]) -> bytes:
        head = h11.Response(
            status_code=status,
            headers=[
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store" if self._is_for_application else "no-cache"),
                *headers,
            ],
        )
        # "Any response to a HEAD request [...] always terminated by the first empty line after the
        # header fields [...] and thus cannot contain a message body" (RFC 9112 §6.3).
        content = b"" if self._is_head else body
        events = (head, h11.Data(data=content), h11.EndOfMessage())
        return b"".join(self._http.send(event) or b"" for event in events)
