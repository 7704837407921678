"""Accepting connections and serving them: limits first, then TLS, then messages, as TTLV or by HTTP.

A connection costs its peer more than it costs us until the peer has proved who it is: the accept
loop only accepts, each handshake runs in its own task under a time-out, the number of connections
is bounded, and without a verified client certificate there is no service. Deadlines are kept by one
watchman that looks at all connections once a second, which is far cheaper than a time-out around
each read.

What is worth a line in the log: one per connection that fails, saying which rule broke. A probe
(handshake, then close) and an idle close are normal and stay at debug level.
"""

import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

import trio

from kmipkit.connection import Framer, Signal
from kmipkit.errors import Cause, OperationError, ProtocolError, RemoteProtocolError
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server.engine.response import Response
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.http import HTTPConversation, Reply
from kmipkit_server.net.transport import TLSFailure, TLSStream, linger

log = logging.getLogger("kmipkit.server")

BACKLOG = 512
TURNED_AWAY = 64
"""Connections beyond the limit that are told so at the same time; more are only closed."""
_BUSY = bytes.fromhex("15 0303 0002 02 50")
"""A fatal alert "internal_error": nothing is wrong with the peer (RFC 8446 §6.2)."""
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds on what a peer may take, in seconds and numbers."""

    handshake_timeout: float = 10.0
    message_timeout: float = 30.0
    """From the first byte of a request to its last."""
    send_timeout: float = 30.0
    """For a peer to take an answer."""
    idle_timeout: float = 600.0
    """Between two requests; clients with pools may keep connections this long."""
    connections: int = 2000
    messages: Limits = DEFAULT_LIMITS


class Conversation(Protocol):
    """How messages are cut out of the bytes of a connection, and answers put into them."""

    @property
    def is_inside(self) -> bool:
        """Whether a request has begun and not ended."""

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer; none at all means that the peer has closed."""

    def next_message(self) -> bytes | RemoteProtocolError | Reply | Signal:
        """The next request, or an error that is its answer, or an answer that needs no look at it.

        RemoteProtocolError is raised where nothing can follow.
        """

    def answer(self, message: bytes) -> bytes:
        """The bytes that carry a response."""


class Responder(Protocol):
    """Turns the bytes of a request into the bytes of its answer."""

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection."""

    async def respond(self, data: bytes, identity: Identity) -> Response:
        """The answer to a whole message."""

    def on_response(self, identity: Identity, data: bytes) -> None:
        """Take a client's answer to a request of the server. RemoteProtocolError if it is none."""

    def refuse(self, error: ProtocolError | OperationError, data: bytes) -> bytes:
        """The answer to a request that is not carried out, whatever it says."""


@dataclass(slots=True, eq=False)
class _Watched:
    """A connection that the watchman may end."""

    scope: trio.CancelScope
    peer: str
    deadline: float
    waiting_for: str
    ended_by: str = ""


@dataclass(slots=True)
class Listener:
    """Serves all connections of the given listening sockets until cancelled."""

    context: Callable[[], ssl.SSLContext]
    """The TLS settings for the next connection, so that certificates may be changed."""
    responder: Responder
    requests: Callable[[str, Version], AsyncIterator[bytes]]
    """What the server asks an account whose client has taken the server's role."""
    identity_rule: IdentityRule
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    _watched: set[_Watched] = field(default_factory=set)
    _turned_away: int = 0
    _accepting: trio.CancelScope = field(default_factory=trio.CancelScope)
    _all_gone: trio.Event | None = None
    """Made when draining begins; set when no connection is left."""

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Accept and serve until cancelled or drained."""
        async with trio.open_nursery() as connections:
            connections.start_soon(self._watch)
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    for listening in sockets:
                        accepting.start_soon(self._accept, listening, connections)
            for listening in sockets:
                listening.close()

    @property
    def _draining(self) -> bool:
        return self._all_gone is not None

    async def drain(self, grace: float) -> None:
        """Accept no more; let requests that have begun be answered, for at most ``grace`` seconds.

        Idle connections end at once.
        """
        self._all_gone = trio.Event()
        self._accepting.cancel()
        for watched in list(self._watched):
            if watched.waiting_for == "request":
                watched.ended_by = "shutdown"
                watched.scope.cancel()
        if self._watched:
            with trio.move_on_after(grace):
                await self._all_gone.wait()

    async def _accept(self, listening: socket.socket, connections: trio.Nursery) -> None:
        while True:
            try:
                raw, address = listening.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(listening)
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    log.error("cannot accept connections for now: %s", error.strerror)
                    await trio.sleep(0.1)
                elif error.errno == errno.EBADF:
                    return
            else:
                self._begin(raw, address, connections)
                await trio.lowlevel.checkpoint_if_cancelled()

    def _begin(self, raw: socket.socket, address: object, connections: trio.Nursery) -> None:
        peer = _peer_name(address)
        raw.setblocking(False)
        if self._draining or len(self._watched) >= self.limits.connections:
            log.warning("%s: refused, %d connections are open", peer, len(self._watched))
            connections.start_soon(self._turn_away, raw)
            return
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        scope = trio.CancelScope()
        deadline = trio.current_time() + self.limits.handshake_timeout
        watched = _Watched(scope, peer, deadline, "handshake")
        self._watched.add(watched)
        connections.start_soon(self._serve, raw, watched)

    async def _turn_away(self, raw: socket.socket) -> None:
        if self._draining or self._turned_away >= TURNED_AWAY:
            raw.close()
            return
        self._turned_away += 1
        try:
            with contextlib.suppress(OSError):
                raw.send(_BUSY)
            await linger(raw)
        finally:
            self._turned_away -= 1

    async def _watch(self) -> None:
        while True:
            await trio.sleep(1)
            now = trio.current_time()
            for watched in list(self._watched):
                if watched.deadline < now and not watched.ended_by:
                    watched.ended_by = "timeout"
                    watched.scope.cancel()

    async def _serve(self, raw: socket.socket, watched: _Watched) -> None:
        stream: TLSStream | None = None
        try:
            with watched.scope:
                stream = TLSStream(raw, self.context())
                await self._converse(stream, watched)
        except TLSFailure as failure:
            step = "TLS handshake failed" if watched.waiting_for == "handshake" else "broken"
            log.warning("%s: %s: %s", watched.peer, step, failure)
        except NoIdentity as refusal:
            log.warning("%s: no service: %s", watched.peer, refusal)
        except RemoteProtocolError as error:
            log.warning("%s: bad request: %s", watched.peer, error)
        except Exception:
            log.exception("%s: a defect of the server ended the connection", watched.peer)
        finally:
            if watched.scope.cancelled_caught:
                self._report_end(watched)
            try:
                if stream is None:
                    raw.close()
                elif self._draining:
                    stream.abort(notify=watched.waiting_for != "handshake")
                else:
                    await stream.finish(notify=watched.waiting_for != "handshake")
            finally:
                self._watched.discard(watched)
                if self._all_gone is not None and not self._watched:
                    self._all_gone.set()

    def _report_end(self, watched: _Watched) -> None:
        quiet = watched.ended_by == "shutdown" or watched.waiting_for == "request"
        level = logging.DEBUG if quiet else logging.WARNING
        log.log(
            level,
            "%s: closed, %s in wait for %s",
            watched.peer,
            watched.ended_by or "cancelled",
            watched.waiting_for,
        )

    async def _converse(self, stream: TLSStream, watched: _Watched) -> None:
        await stream.do_handshake()
        try:
            identity = await self.responder.admit(
                self.identity_rule.identify(stream.peer_certificate())
            )
        except NoIdentity as refusal:
            await self._refuse(stream, watched, refusal)
            raise
        log.debug("%s: %s as %s", watched.peer, stream.description(), identity.name)
        conversation: Conversation | None = None
        clock = trio.current_time
        limits = self.limits
        while True:
            inside = conversation is not None and conversation.is_inside
            if self._draining and not inside:
                return
            if not inside or watched.waiting_for != "rest of a request":
                watched.waiting_for = "rest of a request" if inside else "request"
                timeout = limits.message_timeout if inside else limits.idle_timeout
                watched.deadline = clock() + timeout
            data = await stream.receive_some()
            if conversation is None:
                conversation = _conversation(data, limits.messages)
            conversation.feed(data)
            if not await self._answer_all(conversation, stream, watched, identity):
                return

    async def _refuse(self, stream: TLSStream, watched: _Watched, refusal: NoIdentity) -> None:
        """Response the first request of a client whose certificate is good but names nobody.

        TLS has an alert for this (access_denied), but Python's ssl module cannot send it.
        """
        watched.waiting_for = "rest of a request"
        watched.deadline = trio.current_time() + self.limits.message_timeout
        data = await stream.receive_some()
        conversation = _conversation(data, self.limits.messages)
        conversation.feed(data)
        while not isinstance(request := conversation.next_message(), bytes):
            if request is not Signal.NEED_DATA:
                return
            conversation.feed(await stream.receive_some())
        error = OperationError(ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, str(refusal))
        await self._send(
            stream, watched, conversation.answer(self.responder.refuse(error, request))
        )

    async def _answer_all(
        self, conversation: Conversation, stream: TLSStream, watched: _Watched, identity: Identity
    ) -> bool:
        """Response every whole message; False when the connection is over."""
        while True:
            try:
                data = conversation.next_message()
            except RemoteProtocolError as error:
                if error.cause is not Cause.CLOSED:
                    await self._send(stream, watched, self.responder.refuse(error, b""))
                raise
            if isinstance(data, Signal):
                return data is not Signal.CLOSED
            if isinstance(data, Reply):
                if not await self._reply(stream, watched, data):
                    return False
                continue
            watched.waiting_for = "answer"
            watched.deadline = float("inf")
            if isinstance(data, bytes):
                answer = await self.responder.respond(data, identity)
            else:
                log.warning("%s: bad request: %s", identity.name, data)
                answer = Response(self.responder.refuse(data, b""))
            await self._send(stream, watched, conversation.answer(answer.data))
            if answer.role_change is not None:
                if not isinstance(conversation, TTLVConversation):
                    return False  # HTTP knows requests of the client only
                await self._ask(conversation, stream, watched, identity, answer.role_change)

    async def _reply(self, stream: TLSStream, watched: _Watched, reply: Reply) -> bool:
        """Send what HTTP answers by itself; False when the connection is over."""
        if reply.refusal:
            log.warning("%s: bad request: %s", watched.peer, reply.refusal)
        await self._send(stream, watched, reply.data)
        return not reply.refusal

    async def _ask(
        self,
        conversation: Conversation,
        stream: TLSStream,
        watched: _Watched,
        identity: Identity,
        version: Version,
    ) -> None:
        """Act as the client until the peer has its role back."""
        async for request in self.requests(identity.name, version):
            await self._send(stream, watched, request)
            watched.waiting_for = "the client's answer"
            watched.deadline = trio.current_time() + self.limits.message_timeout
            while not isinstance(answer := conversation.next_message(), bytes):
                if answer is Signal.CLOSED:
                    return
                conversation.feed(await stream.receive_some())
            self.responder.on_response(identity, answer)

    async def _send(self, stream: TLSStream, watched: _Watched, answer: bytes) -> None:
        if answer:
            watched.waiting_for = "the peer to take an answer"
            watched.deadline = trio.current_time() + self.limits.send_timeout
            await stream.send_all(answer)


class TTLVConversation(Framer):
    """Messages one after the other, as bytes; see :class:`Conversation`."""

    def answer(self, message: bytes) -> bytes:
        """The response itself."""
        return message


def _conversation(first: bytes, limits: Limits) -> Conversation:
    """TTLV or HTTP, by the first byte: every tag of the standard begins with 42, no method does."""
    if first[:1].isalpha() and not first.startswith(b"\x42\x00"[: len(first)]):
        return HTTPConversation(limits)
    return TTLVConversation(limits)


def _peer_name(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(address) or "local peer"


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening, non-blocking sockets on every address of ``host``; OSError if one is taken."""
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Port 0 takes a free one, then the same on each other address.
            taken = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            listening.bind((address[0], taken, *address[2:]))
            listening.listen(BACKLOG)
            listening.setblocking(False)
    except OSError as error:
        for listening in sockets:
            listening.close()
        where = f"cannot listen on {_peer_name((host, port))}"
        raise OSError(error.errno, f"{where}: {error.strerror}") from None
    return sockets
