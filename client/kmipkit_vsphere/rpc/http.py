"""The called side of one HTTP/1.1 connection: bytes in, requests and responses out. No socket.

h11 parses and writes; here are the limits, and when a request is refused before its body is read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

import h11

from kmipkit import __version__
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import InvalidArgument, VSphereError
from kmipkit_vsphere.rpc.faults import PROBLEM, Problem

MAX_HEAD: Final = 16 << 10
"""Bytes of a request line with its headers, and of a line of a chunked body."""
MAX_REQUEST: Final = 1 << 20
"""Bytes of the body of a request."""
PRODUCT: Final = f"kmipkit/{__version__}"
"""What a role names itself in its answers: a caller of another version can say so."""

JSON: Final = "application/json"


class Head(NamedTuple):
    """What a request says before its body."""

    method: str
    path: str
    query: str
    content_type: str
    content_encoding: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been received."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: HTTPStatus
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """A request that no handler gets; ``ends`` if nothing more can be read on its connection."""

    def __init__(
        self,
        fault: VSphereError,
        status: HTTPStatus | None = None,
        headers: Iterable[tuple[str, str]] = (),
        *,
        ends: bool = False,
    ) -> None:
        super().__init__(fault.message)
        self.ends = ends
        problem = Problem.of(fault, status)
        self.answer = Answer(HTTPStatus(problem.status), encode(problem), PROBLEM, tuple(headers))


class Signal(Enum):
    """What to do instead of answering a request."""

    NEED_DATA = auto()
    CONTINUE = auto()
    """Send :meth:`Requests.go_on`: the peer waits for it before it sends the body."""


class Requests:
    """The requests on one connection, one after the other.

    ``accept`` raises :class:`Refusal` for a request that will not be served, whatever its body is.
    """

    def __init__(self, accept: Callable[[Head], None]) -> None:
        self._accept = accept
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._head: Head | None = None
        self._is_head_method = False
        self._body = bytearray()
        self._size = 0
        self._refusal: Refusal | None = None

    @property
    def is_inside(self) -> bool:
        """Whether a part of a request has been received."""
        return self._head is not None or bool(self._http.trailing_data[0])

    @property
    def is_open(self) -> bool:
        """Whether another request may follow."""
        return self._http.our_state is h11.IDLE

    def feed(self, data: bytes) -> None:
        """Receive bytes of the peer."""
        self._http.receive_data(data)

    def next(self) -> Call | Signal:
        """The next request that is complete, or a signal; raises :class:`Refusal`."""
        try:
            return self._next()
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            problem = InvalidArgument(f"this is not HTTP/1.1: {describe_error(error)}")
            raise Refusal(problem, status, ends=True) from None

    def go_on(self) -> bytes:
        """``100 Continue``, for a peer that waits before it sends the body."""
        continues = h11.InformationalResponse(
            status_code=HTTPStatus.CONTINUE, headers=[], reason=b"Continue"
        )
        return self._http.send(continues) or b""

    def reply(self, answer: Answer, *, ends: bool = False) -> bytes:
        """The bytes of a response; with ``ends`` it is the last one."""
        head = h11.Response(
            status_code=answer.status,
            reason=answer.status.phrase.encode(),
            headers=[
                ("Date", formatdate(usegmt=True)),
                ("Server", PRODUCT),
                ("Content-Type", answer.content_type),
                ("Content-Length", str(len(answer.body))),
                ("Cache-Control", "no-store"),  # an answer may hold a key
                ("X-Content-Type-Options", "nosniff"),
                *answer.headers,
                *((("Connection", "close"),) if ends else ()),
            ],
        )
        body = b"" if self._is_head_method else answer.body
        events = (head, h11.Data(data=body), h11.EndOfMessage())
        data = b"".join(self._http.send(event) or b"" for event in events)
        self._head, self._is_head_method = None, False
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return data

    def _next(self) -> Call | Signal:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA and self._http.they_are_waiting_for_100_continue:
                return Signal.CONTINUE
            if event in (h11.NEED_DATA, h11.PAUSED):
                return Signal.NEED_DATA
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._extend(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return self._end()

    def _begin(self, request: h11.Request) -> None:
        self._body.clear()
        self._size = 0
        self._refusal = None
        self._is_head_method = request.method == b"HEAD"
        headers = dict(request.headers)  # h11 refuses a second Host or Content-Length
        self._head = _head(request, headers)
        if int(headers.get(b"content-length", b"0")) > MAX_REQUEST:
            raise _too_long()
        try:
            self._accept(self._head)
        except Refusal as refusal:
            if self._http.they_are_waiting_for_100_continue:
                refusal.ends = True
                raise
            # A peer that has begun to send the body reads no answer before its end.
            self._refusal = refusal

    def _extend(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_REQUEST:
            raise _too_long()
        if self._refusal is None:
            self._body += data

    def _end(self) -> Call:
        if self._refusal is not None:
            raise self._refusal
        assert self._head is not None
        body = bytes(self._body)
        self._body.clear()
        return Call(self._head, body)


def describe_error(error: h11.RemoteProtocolError) -> str:
    """What h11 says of the bytes of a peer, without the bytes: they may be those of a key."""
    return str(error).partition(":")[0]


def _head(request: h11.Request, headers: dict[bytes, bytes]) -> Head:
    names = [name for name, _ in request.headers]
    if names.count(b"content-type") > 1:
        raise Refusal(InvalidArgument("there are two headers Content-Type"), ends=True)
    if {b"content-length", b"transfer-encoding"} <= headers.keys():
        problem = InvalidArgument("there is both a Content-Length and a Transfer-Encoding")
        raise Refusal(problem, ends=True)
    if not request.http_version.startswith(b"1."):
        status = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        raise Refusal(InvalidArgument("only HTTP/1.1 is spoken here"), status, ends=True)
    try:
        target = urlsplit(request.target.decode("ascii"))
        path = unquote(target.path, errors="strict")
    except ValueError:
        raise Refusal(InvalidArgument("the target is not a URL"), ends=True) from None
    return Head(
        request.method.decode("ascii"),
        path,
        target.query,
        headers.get(b"content-type", b"").decode("latin-1"),
        headers.get(b"content-encoding", b"").decode("latin-1"),
    )


def _too_long() -> Refusal:
    problem = InvalidArgument(f"the body is longer than {MAX_REQUEST} bytes")
    return Refusal(problem, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ends=True)
