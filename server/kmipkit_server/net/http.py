"""KMIP over HTTPS: ``POST /kmip`` with TTLV, XML or JSON (Profiles 2.1 §5.3).

An HTTP server proper does not tell its application the client's certificate, which is who the client
is here. So the listener keeps the connection with all its limits, and h11 makes HTTP of the bytes.
"""

from dataclasses import dataclass

import h11

from kmipkit.connection import Signal
from kmipkit.errors import RemoteProtocolError
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.media import MEDIA, TTLV, Media

TARGET = b"/kmip"
"""The path, as the profile recommends."""

LARGER = 4
"""How many times larger than TTLV a body may be: names and hex digits take room."""

_HEAD = 16 * 1024
"""Bytes of a request line and headers at most."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of HTTP itself, which needs no look into the message."""

    data: bytes
    refusal: str = ""
    """Why the connection ends with it; empty where it goes on."""


class _Refusal(Exception):
    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class HTTPConversation:
    """The server's side of one HTTP/1.1 connection; see :class:`.listener.Conversation`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD)
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._type = TTLV

    @property
    def is_inside(self) -> bool:
        """Whether a request has begun and not ended."""
        return self._request is not None or bool(self._http.trailing_data[0])

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer; none at all means that the peer has closed."""
        if self._http.their_state is not h11.CLOSED:
            self._http.receive_data(data)

    def next_message(self) -> bytes | RemoteProtocolError | Reply | Signal:
        """The next request as TTLV, or what to say instead of looking at it."""
        try:
            return self._next()
        except _Refusal as refusal:
            return self._refused(refusal)
        except h11.RemoteProtocolError as error:
            return self._refused(_Refusal(error.error_status_hint, str(error)))

    def answer(self, message: bytes) -> bytes:
        """A response as HTTP, in the encoding of the request."""
        body = self._media.from_ttlv(message, self._limits)
        data = self._response(200, body, ("Content-Type", self._type))
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return data

    @property
    def _media(self) -> Media:
        return MEDIA[self._type]

    def _next(self) -> bytes | RemoteProtocolError | Reply | Signal:
        while True:
            if self._http.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
                return Signal.CLOSED
            event = self._http.next_event()
            if event is h11.NEED_DATA and self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                return Reply(self._http.send(go_on) or b"")
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
        self._type = TTLV
        if request.target.partition(b"?")[0] != TARGET:
            raise _Refusal(404, f"KMIP is at {TARGET.decode()}")
        if request.method != b"POST":
            raise _Refusal(405, "KMIP takes POST only", ("Allow", "POST"))
        given = dict(request.headers).get(b"content-type", TTLV.encode())
        self._type = given.partition(b";")[0].strip().lower().decode("latin-1")
        if self._type not in MEDIA:
            self._type = TTLV
            raise _Refusal(415, f"the Content-Type is one of {', '.join(MEDIA)}")

    def _extend(self, data: bytes) -> None:
        self._body += data
        most = self._limits.max_message * (1 if self._type == TTLV else LARGER)
        if len(self._body) > most:
            raise _Refusal(413, f"a message has at most {most} bytes")

    def _end(self) -> bytes | RemoteProtocolError:
        body = bytes(self._body)
        self._request = None
        self._body.clear()
        try:
            return self._media.to_ttlv(body, self._limits)
        except RemoteProtocolError as error:
            return error

    def _refused(self, refusal: _Refusal) -> Reply:
        """An error of HTTP; the connection ends, since the rest of the request is not read."""
        self._request = None
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return Reply(b"", str(refusal))
        headers = (("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close"))
        body = f"{refusal}\n".encode()
        data = self._response(refusal.status, body, *headers, *refusal.headers)
        return Reply(data, f"HTTP {refusal.status}: {refusal}")

    def _response(self, status: int, body: bytes, *headers: tuple[str, str]) -> bytes:
        head = h11.Response(
            status_code=status,
            headers=[
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-cache"),
                *headers,
            ],
        )
        events = (head, h11.Data(data=body), h11.EndOfMessage())
        return b"".join(self._http.send(event) or b"" for event in events)
