"""The calling side of one connection: a call is a POST, and its answer is the response.

A connection carries one call at a time. It is closed after an error that is not a fault (time-out,
malformed answer), because it is unknown which answer belongs to which call.
"""

import re
from typing import Final, NamedTuple, Self, TypeVar

import h11
import trio
from msgspec.structs import replace

from kmipkit_vsphere.model.encoding import NO_PARAMETER, decode, encode
from kmipkit_vsphere.model.errors import InvalidArgument, NotFound, RPCError
from kmipkit_vsphere.rpc.call import API, NOTHING_AT, Request
from kmipkit_vsphere.rpc.faults import PROBLEM, Problem
from kmipkit_vsphere.rpc.http import JSON, MAX_HEAD, MAX_REQUEST, PRODUCT, describe_error

CALL_TIMEOUT: Final = 600.0
SEND_TIMEOUT: Final = 30.0
"""Seconds for an answer, and for the peer to take a call."""
MAX_ANSWER: Final = 16 << 20
"""Bytes of the body of an answer."""
_MAY_DIFFER: Final = "may be of another version than the caller"
_PRODUCT: Final = re.compile(rb"kmipkit/[0-9A-Za-z.+-]{1,50}")

A = TypeVar("A")


class _Response(NamedTuple):
    """A response of the peer."""

    status: int
    content_type: str
    product: str
    body: bytes


def host_header(name: str) -> str:
    """The name of a role as the header Host has it; :class:`RPCError` if no certificate has it."""
    try:
        host = name.encode("idna").decode("ascii")
    except UnicodeError:
        host = ""
    if not host or not host.isprintable():
        raise RPCError(f"{name[:100]!r} is not a name that a certificate can carry")
    return host


class Client:
    """A connection to a role. Use :func:`kmipkit_vsphere.rpc.channel.connect` to make one."""

    def __init__(self, stream: trio.abc.Stream, peer: str) -> None:
        self.peer = peer
        self._host = host_header(peer)
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._lock = trio.Lock()
        self._broken = False
        self._product = ""
        """What the peer names itself in its last answer, such as kmipkit/0.1.0."""

    async def call(self, request: Request[A]) -> A:
        """Make a call and return its answer.

        Raises the fault that the peer raised, or :class:`RPCError` if none was received; the latter
        ends the connection.
        """
        method = request.method()
        body = await self.send(method, encode(request))
        try:
            answer: A = decode(body, request.answer())
        except InvalidArgument as error:
            raise RPCError(
                f"{method} on {self.peer}: in the answer {error.message}; {self._versions()}"
            ) from None
        return answer

    async def send(self, method: str, fields: bytes) -> bytes:
        """Call a method by its name, with fields that are JSON already; its answer as JSON."""
        if len(fields) > MAX_REQUEST:
            raise RPCError(f"{method}: a call of {len(fields)} bytes is longer than {MAX_REQUEST}")
        async with self._lock:
            if self._broken:
                raise RPCError(f"the connection to {self.peer} is closed")
            self._broken = True  # until the answer to this call has been received
            try:
                answer = await self._exchange(method, fields)
            except RPCError as error:
                raise RPCError(f"{method} on {self.peer}: {error.message}") from None
            finally:
                if self._broken:
                    with trio.CancelScope(shield=True):
                        await trio.aclose_forcefully(self._stream)
        if isinstance(answer, Problem):
            if _is_of_another_version(answer, method):
                answer = replace(answer, message=f"{answer.message}; {self._versions()}")
            raise answer.exception()
        return answer

    def _versions(self) -> str:
        """That the versions may differ, and what is known of them."""
        peer = f"{self.peer} is {self._product}, " if self._product else ""
        return f"{self.peer} {_MAY_DIFFER}: {peer}the caller is {PRODUCT}"

    async def _exchange(self, method: str, fields: bytes) -> bytes | Problem:
        with trio.move_on_after(CALL_TIMEOUT):
            try:
                await self._send(method, fields)
                response = await self._receive()
                self._product = response.product
                answer = _content(response)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise RPCError("the peer closed the connection without an answer") from None
            except h11.RemoteProtocolError as error:
                raise RPCError(f"the answer is not HTTP: {describe_error(error)}") from None
            if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
                self._broken = False
            return answer
        raise RPCError(f"no answer within {CALL_TIMEOUT:.0f} s")

    async def _send(self, method: str, fields: bytes) -> None:
        head = h11.Request(
            method="POST",
            target=API + method,
            headers=[
                ("Host", self._host),
                ("Content-Type", JSON),
                ("Content-Length", str(len(fields))),
                ("Accept", f"{JSON}, {PROBLEM}"),
            ],
        )
        events = (head, h11.Data(data=fields), h11.EndOfMessage())
        data = b"".join(self._http.send(event) or b"" for event in events)
        with trio.move_on_after(SEND_TIMEOUT):
            await self._stream.send_all(data)
            return
        raise RPCError(f"the peer did not take a call within {SEND_TIMEOUT:.0f} s")

    async def _receive(self) -> _Response:
        status, content_type, product, body = 0, "", "", bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = await self._stream.receive_some(65536)
                if not data and self._http.their_state is h11.SEND_RESPONSE:
                    raise RPCError("the peer closed the connection without an answer")
                self._http.receive_data(bytes(data))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = dict(event.headers)
                content_type = headers.get(b"content-type", b"").decode("latin-1")
                product = _product(headers.get(b"server", b""))
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_ANSWER:
                    raise RPCError(f"the answer is longer than {MAX_ANSWER} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return _Response(status, content_type, product, bytes(body))

    async def aclose(self) -> None:
        """Close the connection."""
        self._broken = True
        await trio.aclose_forcefully(self._stream)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _product(header: bytes) -> str:
    """The name and version in the header Server, if that is a role's."""
    match = _PRODUCT.fullmatch(header)
    return match[0].decode("ascii") if match else ""


def _is_of_another_version(problem: Problem, method: str) -> bool:
    """Whether the peer does not know the method, or a parameter of it that the caller knows.

    A peer that passes on the fault of another role has said so already.
    """
    if _MAY_DIFFER in problem.message:
        return False
    if problem.fault == NotFound.__name__:
        return problem.message.startswith(f"{NOTHING_AT} {API}{method};")
    return problem.fault == InvalidArgument.__name__ and problem.message.startswith(NO_PARAMETER)


def _content(response: _Response) -> bytes | Problem:
    """The answer in a response, or the problem."""
    kind = response.content_type.partition(";")[0].strip().lower()
    if response.status == 200 and kind == JSON:
        return response.body
    if kind != PROBLEM:
        raise RPCError(f"the answer is HTTP {response.status} with {kind or 'no'} content")
    try:
        return decode(response.body, Problem)
    except InvalidArgument as error:
        raise RPCError(f"the answer is malformed: {error.message}") from None
