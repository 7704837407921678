"""The port for monitoring: HTTP with few pages and small limits.

It has no accounts: whoever reaches the port can read it, so that it listens on the loopback interface
unless the configuration says otherwise. Nothing on it changes anything. Each connection is for one
request, with one deadline for all of it, and there are few connections at the same time.
"""

import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import h11
import trio

from kmipkit_server.identity.certificate import NoIdentity
from kmipkit_server.metrics.pages import Content, Page
from kmipkit_server.net.transport import TLSFailure, TLSStream, linger

log = logging.getLogger("kmipkit.server")

MAX_CONNECTIONS = 16
"""At the same time; further ones are closed at once."""
SECONDS = 10.0
"""For a connection: handshake, request and response."""
SECONDS_AT_THE_END = 1.0
"""For the connections that are open when the server ends."""
MAX_HEAD = 8 * 1024
"""Bytes of a request line with headers."""


_ENDS = (OSError, TLSFailure, NoIdentity, trio.BrokenResourceError, trio.ClosedResourceError)
"""How the connection of a client ends that is not accepted, or goes away."""


class _Stream(Protocol):
    async def open(self) -> None:
        """Finish the handshake, if there is one. NoIdentity if the client is not accepted."""

    async def receive_some(self) -> bytes:
        """The next bytes."""

    async def send_all(self, data: bytes) -> None:
        """Send all of them."""

    async def finish(self) -> None:
        """Close so that the peer can read the last data."""

    def abort(self) -> None:
        """Close at once, if it is not closed yet."""


class _Refused(Exception):
    """A request is answered with an HTTP status, and the connection closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.content = Content(status, "text/plain; charset=utf-8", f"{text}\n".encode())


class _PlainStream:
    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(raw))

    async def open(self) -> None:
        pass

    async def receive_some(self) -> bytes:
        return bytes(await self._stream.receive_some())

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def finish(self) -> None:
        await linger(self._raw)

    def abort(self) -> None:
        self._raw.close()


Judge = Callable[[bytes | None], object]
"""Raises NoIdentity for a client certificate that is not to be accepted."""


class _TLSStream:
    def __init__(self, raw: socket.socket, context: ssl.SSLContext, judge: Judge | None) -> None:
        self._stream = TLSStream(raw, context)
        self._judge = judge
        self.receive_some = self._stream.receive_some
        self.send_all = self._stream.send_all
        self.abort = self._stream.abort

    async def open(self) -> None:
        await self._stream.do_handshake()
        if self._judge is not None:
            self._judge(self._stream.peer_certificate())

    async def finish(self) -> None:
        await self._stream.finish(notify=True)


@dataclass(slots=True)
class MonitoringServer:
    """Serves the pages on listening sockets until it is stopped or cancelled."""

    pages: Mapping[str, Page]
    context: Callable[[], ssl.SSLContext] | None = None
    """The TLS settings for the next connection; None for HTTP without TLS."""
    judge: Judge | None = None
    """None if clients need no certificate."""
    _connections: int = 0
    _accepting: trio.CancelScope = field(default_factory=trio.CancelScope, init=False)
    _serving: trio.CancelScope = field(default_factory=trio.CancelScope, init=False)

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Accept connections, and serve them."""
        with self._serving:
            async with trio.open_nursery() as connections:
                with self._accepting:
                    async with trio.open_nursery() as nursery:
                        for listening in sockets:
                            nursery.start_soon(self._accept, listening, connections)

    def stop(self) -> None:
        """Accept no further connections, and finish those that there are: one of several workers ends
        while others still have requests, and who asks must not see it as a broken connection."""
        self._accepting.cancel()
        self._serving.deadline = trio.current_time() + SECONDS_AT_THE_END

    async def _accept(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(listening)
            except OSError as error:  # of one connection, or all file descriptors are in use
                log.debug("monitoring: cannot accept a connection: %s", error)
                await trio.sleep(0.1)
            else:
                if self._connections >= MAX_CONNECTIONS:
                    raw.close()
                    await trio.lowlevel.checkpoint()
                    continue
                raw.setblocking(False)
                self._connections += 1
                nursery.start_soon(self._serve, raw)

    async def _serve(self, raw: socket.socket) -> None:
        stream: _Stream | None = None
        try:
            with trio.move_on_after(SECONDS):
                stream = self._wrap(raw)
                await stream.open()
                await self._respond(stream)
                await stream.finish()
        except _ENDS as error:
            log.debug("monitoring: connection ended: %s", error)
        except Exception:
            # Only a defect of the server gets here, so any exception is caught: monitoring must
            # not end the server.
            log.exception("monitoring: internal error")
        finally:
            self._connections -= 1
            if stream is None:
                raw.close()
            else:  # with TLS, the stream has taken the file descriptor over
                stream.abort()

    def _wrap(self, raw: socket.socket) -> _Stream:
        if self.context is None:
            return _PlainStream(raw)
        return _TLSStream(raw, self.context(), self.judge)

    async def _respond(self, stream: _Stream) -> None:
        """Answer one request; nothing to a client that closes without one."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        is_head = False
        try:
            request = await _receive(http, stream)
            if request is None:
                return
            is_head = request.method == b"HEAD"
            content = await self._content(request)
        except h11.RemoteProtocolError as error:
            content = _Refused(error.error_status_hint, str(error)).content
        except _Refused as refusal:
            content = refusal.content
        if http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await stream.send_all(_encode(http, content, with_body=not is_head))

    async def _content(self, request: h11.Request) -> Content:
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        page = self.pages.get(path)
        if page is None:
            raise _Refused(404, f"the pages are {', '.join(self.pages)}")
        if request.method not in (b"GET", b"HEAD"):
            raise _Refused(405, "the pages support GET and HEAD only")
        accept = dict(request.headers).get(b"accept", b"").decode("latin-1")
        return await page(accept)


async def _receive(http: h11.Connection, stream: _Stream) -> h11.Request | None:
    """The head of a request; its body, if it has one, is not read."""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if isinstance(event, h11.ConnectionClosed):
            return None
        http.receive_data(await stream.receive_some())


def _encode(http: h11.Connection, content: Content, *, with_body: bool) -> bytes:
    headers = [
        ("Content-Type", content.media_type),
        ("Content-Length", str(len(content.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
    ]
    if content.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", "GET, HEAD"))
    events: list[h11.Event] = [h11.Response(status_code=content.status, headers=headers)]
    if with_body:
        events += [h11.Data(data=content.body), h11.EndOfMessage()]
    return b"".join(http.send(event) or b"" for event in events)
