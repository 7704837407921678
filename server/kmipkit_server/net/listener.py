"""Accepting connections and serving them: limits first, then TLS, then messages, as TTLV or by HTTP.

Until a client has authenticated, a connection costs it more than the server: the accept loop does
nothing but accept, each handshake runs in its own task with a timeout, the number of connections is
limited, and there is no service without a verified client certificate. One task checks the deadlines
of all connections once a second, which is much cheaper than a timeout around each read.

The log has a line for each connection that fails, with the rule that was violated; of many alike from
one address it has one a minute, with their number. Probes (a handshake, then a close) and idle
timeouts are normal, and are logged at debug level.
"""

import contextlib
import errno
import logging
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import trio
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.connection import Framer, Signal
from kmipkit.errors import Cause, OperationError, ProtocolError, RemoteProtocolError
from kmipkit.places import Full, Places
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server.engine.response import Response
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.connection_log import ConnectionLog, Occurrence, Throttle, peer_name
from kmipkit_server.net.http import HTTPFraming, Reply
from kmipkit_server.net.revocation import Revocations
from kmipkit_server.net.transport import TLSFailure, TLSStream, linger

log = logging.getLogger("kmipkit.server")

BACKLOG = 512
LARGE_TEXT = 16 * 1024
"""Bytes of a message in XML or JSON that take more than a few milliseconds to translate, in a thread."""
MAX_REJECTING = 64
"""Connections beyond the limit that get an alert at the same time; others are closed without one."""
_INTERNAL_ERROR_ALERT = bytes.fromhex("15 0303 0002 02 50")
"""The fatal alert "internal_error", which is not about the peer: the server is busy (RFC 8446 §6.2)."""
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_CLOSED_BY_PEER = getattr(select, "POLLRDHUP", 0)
"""The event of a socket whose peer has closed, where the system has it."""

# What a connection is waiting for; log lines show it.
_HANDSHAKE = "the TLS handshake"
_REQUEST = "a request"
_REST_OF_REQUEST = "the rest of a request"
_RESPONSE = "the server's own response"
_SENDING = "the client to read a response"
_CLIENT_RESPONSE = "the client's response"

# What happens to connections; log lines and records of the audit show it.
_NO_PLACE = "connection refused"
_NO_HANDSHAKE = "TLS handshake failed"
_NO_ACCOUNT = "client refused"
_BAD_REQUEST = "bad request"
_BROKEN = "connection broken"
_CLOSED = "closed"

_REFUSALS = frozenset({_NO_PLACE, _NO_HANDSHAKE, _NO_ACCOUNT, _BAD_REQUEST})
"""What the server refuses."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits for connections; times are in seconds."""

    handshake_timeout: float = 10.0
    message_timeout: float = 30.0
    """From the first byte of a request to its last."""
    send_timeout: float = 30.0
    """For the client to read a response."""
    idle_timeout: float = 600.0
    """Between two requests: how long clients with a pool may keep an unused connection."""
    connections: int = 2000
    connections_per_address: int = 1500
    """Connections from one address, so that it cannot shut all others out."""
    connections_per_account: int = 1500
    """Connections of one account, however many addresses they come from."""
    messages: Limits = DEFAULT_LIMITS


class Framing(Protocol):
    """How requests are separated in the bytes of a connection, and how responses are sent on it."""

    @property
    def is_inside(self) -> bool:
        """Whether a part of a request has been received."""

    @property
    def unread(self) -> int:
        """The bytes of a message that must be translated; 0 if it already is in TTLV."""

    @property
    def is_text(self) -> bool:
        """Whether the response is translated to text."""

    def feed(self, data: bytes) -> None:
        """Receive bytes of the client; empty bytes mean that the client has closed."""

    def next_message(self) -> bytes | RemoteProtocolError | Reply | Signal:
        """The next request, an error to respond with, or a reply that is not a KMIP message.

        It raises RemoteProtocolError if the following bytes cannot be read either.
        """

    def response(self, message: bytes) -> bytes:
        """The bytes to send for a response message."""


class Responder(Protocol):
    """From the bytes of a request to the bytes of its response."""

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection."""

    async def respond(self, data: bytes, identity: Identity) -> Response:
        """The response to a whole message."""

    def on_response(self, identity: Identity, data: bytes) -> None:
        """Handle a client's response to a request of the server. RemoteProtocolError if it is none."""

    def refuse(self, error: ProtocolError | OperationError, data: bytes) -> bytes:
        """The response to a message that fails as a whole."""


@dataclass(slots=True, eq=False)
class _Connection:
    """An open connection, with its deadline."""

    scope: trio.CancelScope
    address: str
    port: int
    peer: str
    """The address and the port, for the log."""
    timeouts: Mapping[str, float]
    deadline: float
    waiting_for: str
    descriptor: int
    """The file descriptor of its socket."""
    ended_by: str = ""
    """The reason for which the server ends it: a timeout, its own shutdown, lack of places, the
    revocation of the certificate, or that the client has closed it."""
    certificate: PeerCertificate | None = None
    """What revocations may concern; None during the handshake."""

    @property
    def is_authenticated(self) -> bool:
        """Whether its handshake is finished."""
        return self.waiting_for != _HANDSHAKE

    @property
    def silent_since(self) -> float | None:
        """When it began to wait for its peer; None while it waits for the server."""
        timeout = self.timeouts.get(self.waiting_for)
        return None if timeout is None else self.deadline - timeout

    def is_abandoned(self) -> bool:
        """Whether the client has closed the connection while the server computes its response.

        Nobody reads from the socket meanwhile, and further requests may be in its buffer: only the
        end of the stream matters.
        """
        if self.waiting_for != _RESPONSE or not _CLOSED_BY_PEER:
            return False
        poll = select.poll()
        poll.register(self.descriptor, _CLOSED_BY_PEER)
        return bool(poll.poll(0))


@dataclass(slots=True)
class Listener:
    """Serves all connections of the given listening sockets until cancelled."""

    context: Callable[[], ssl.SSLContext]
    """The TLS settings for the next connection; they change when the certificates are reloaded."""
    responder: Responder
    requests: Callable[[str, Version], AsyncIterator[bytes]]
    """The requests of the server to a client that has exchanged roles with it."""
    identity_rule: IdentityRule
    revocations: Revocations
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    refusals: Throttle | None = None
    """Gets what is refused before a request has an account, for the audit."""
    _places: Places[_Connection] = field(init=False)
    _log: ConnectionLog = field(default_factory=lambda: ConnectionLog(log))
    _timeouts: Mapping[str, float] = field(init=False)
    """How long a connection may wait for its peer, by what it waits for."""
    _rejecting: int = 0
    """The number of connections that are being rejected."""
    _accepting: trio.CancelScope = field(default_factory=trio.CancelScope)
    _all_closed: trio.Event | None = None
    """None until draining begins; set when no connection is open."""

    def __post_init__(self) -> None:
        limits = self.limits
        self._places = Places(
            limits.connections,
            limits.connections_per_address,
            limits.connections_per_account,
            trio.current_time,
            _end,
        )
        self._timeouts = {
            _HANDSHAKE: limits.handshake_timeout,
            _REQUEST: limits.idle_timeout,
            _REST_OF_REQUEST: limits.message_timeout,
            _SENDING: limits.send_timeout,
            _CLIENT_RESPONSE: limits.message_timeout,
        }

    async def serve(self, sockets: list[socket.socket]) -> None:
        """Accept connections and serve them until cancelled or drained."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._enforce_deadlines)
            nursery.start_soon(self.revocations.watch, self.end_revoked)
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    for listening in sockets:
                        accepting.start_soon(self._accept, listening, nursery)
            for listening in sockets:
                listening.close()

    @property
    def _draining(self) -> bool:
        return self._all_closed is not None

    async def drain(self, grace: float) -> None:
        """Stop accepting, close idle connections, and finish requests that have begun.

        This takes at most ``grace`` seconds.
        """
        self._all_closed = trio.Event()
        self._accepting.cancel()
        for connection in list(self._places.occupants):
            if connection.waiting_for == _REQUEST:
                _end(connection, "shutdown")
        if self._places.occupants:
            with trio.move_on_after(grace):
                await self._all_closed.wait()

    def end_revoked(self) -> None:
        """End the connections whose certificates have been revoked meanwhile."""
        for connection in list(self._places.occupants):
            if connection.certificate is None or connection.ended_by:
                continue
            reason = self.revocations.reason(connection.certificate)
            if reason is not None:
                _end(connection, reason)

    async def _accept(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            try:
                raw, address = listening.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(listening)
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    # The connection stays in the backlog, and accept() would fail again at once.
                    log.error("cannot accept connections at the moment: %s", error.strerror)
                    await trio.sleep(0.1)
                elif error.errno == errno.EBADF:  # the socket was closed: the server stops
                    return
                # Other errors are those of one connection, such as a reset in the backlog.
            else:
                self._begin(raw, address, nursery)
                # A full checkpoint for each connection would let other tasks run in between, and
                # a burst of connections would wait longer for its handshakes.
                await trio.lowlevel.checkpoint_if_cancelled()

    def _begin(self, raw: socket.socket, address: object, nursery: trio.Nursery) -> None:
        raw.setblocking(False)
        connection = _Connection(
            trio.CancelScope(),
            _host_name(address),
            _port(address),
            peer_name(address),
            self._timeouts,
            trio.current_time() + self.limits.handshake_timeout,
            _HANDSHAKE,
            raw.fileno(),
        )
        refusal = "the server stops" if self._draining else self._enter(connection)
        if refusal is not None:
            self._warn(connection, _NO_PLACE, refusal)
            nursery.start_soon(self._reject, raw)
            return
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        nursery.start_soon(self._serve, raw, connection)

    def _enter(self, connection: _Connection) -> str | None:
        """Give a connection a place; the reason if there is none."""
        try:
            self._places.enter(connection)
        except Full as full:
            return str(full)
        return None

    async def _reject(self, raw: socket.socket) -> None:
        """Close a connection with an alert, so that the client does not take it for a network fault."""
        if self._draining or self._rejecting >= MAX_REJECTING:
            raw.close()
            return
        self._rejecting += 1
        try:
            with contextlib.suppress(OSError):
                raw.send(_INTERNAL_ERROR_ALERT)
            await linger(raw)
        finally:
            self._rejecting -= 1

    async def _enforce_deadlines(self) -> None:
        while True:
            await trio.sleep(1)
            now = trio.current_time()
            for connection in list(self._places.occupants):
                if connection.ended_by:
                    continue
                if connection.deadline < now:
                    _end(connection, "timeout")
                elif connection.is_abandoned():
                    _end(connection, "by the client")
            self._log.flush(now)
            if self.refusals is not None:
                self.refusals.flush(now)

    async def _serve(self, raw: socket.socket, connection: _Connection) -> None:
        stream: TLSStream | None = None
        try:
            with connection.scope:
                stream = TLSStream(raw, self.context())
                await self._serve_messages(stream, connection)
        except TLSFailure as failure:
            is_handshake = connection.waiting_for == _HANDSHAKE
            step = _NO_HANDSHAKE if is_handshake else _BROKEN
            self._warn(connection, step, str(failure))
        except (NoIdentity, Full) as refusal:
            self._warn(connection, _NO_ACCOUNT, str(refusal))
        except RemoteProtocolError as error:
            self._warn(connection, _BAD_REQUEST, str(error))
        except Exception:
            # Only a defect of the server gets here, so any exception is caught: all connections
            # run in one nursery, and an exception of one would end the others.
            log.exception("%s: connection closed by an internal error", connection.peer)
        finally:
            if connection.scope.cancelled_caught:
                self._log_end(connection)
            try:
                # close_notify is a message of the established connection, not of the handshake.
                has_session = connection.waiting_for != _HANDSHAKE
                if stream is None:
                    raw.close()
                elif self._draining:  # no time to wait until the client has read its response
                    stream.abort(notify=has_session)
                else:
                    await stream.finish(notify=has_session)
            finally:
                self._places.leave(connection)
                if self._all_closed is not None and not self._places.occupants:
                    self._all_closed.set()

    def _log_end(self, connection: _Connection) -> None:
        ended_by = connection.ended_by or "cancelled"
        is_normal = ended_by == "shutdown" or (
            connection.waiting_for == _REQUEST and ended_by == "timeout"
        )
        level = logging.DEBUG if is_normal else logging.WARNING
        text = f"{ended_by} while waiting for {connection.waiting_for}"
        self._write(level, connection, _CLOSED, text)

    def _warn(self, connection: _Connection, kind: str, text: str) -> None:
        self._write(logging.WARNING, connection, kind, text)

    def _write(self, level: int, connection: _Connection, kind: str, text: str) -> None:
        now = trio.current_time()
        occurrence = Occurrence(level, connection.address, connection.port, kind, text)
        self._log.write(now, occurrence)
        if kind in _REFUSALS and self.refusals is not None:
            self.refusals.add(now, occurrence)

    async def _serve_messages(self, stream: TLSStream, connection: _Connection) -> None:
        await stream.do_handshake()
        try:
            certificate = stream.peer_certificate()
            identity = self.identity_rule.identify(certificate)
            connection.certificate = self.revocations.require_valid(certificate)
            identity = await self.responder.admit(
                replace(identity, address=connection.address, port=connection.port)
            )
        except NoIdentity as refusal:
            await self._refuse(stream, connection, refusal)
            raise
        self._places.authenticated(connection, identity.name)
        log.debug("%s: %s as %s", connection.peer, stream.description(), identity.name)
        framing: Framing | None = None
        clock = trio.current_time
        limits = self.limits
        while True:
            is_inside = framing is not None and framing.is_inside
            if self._draining and not is_inside:
                return
            # The deadline for a request is set once, at its first part: a client that sends a byte
            # now and then must not extend it.
            if not is_inside or connection.waiting_for != _REST_OF_REQUEST:
                connection.waiting_for = _REST_OF_REQUEST if is_inside else _REQUEST
                timeout = limits.message_timeout if is_inside else limits.idle_timeout
                connection.deadline = clock() + timeout
            data = await stream.receive_some()
            if framing is None:
                framing = _framing(data, limits.messages)
            framing.feed(data)
            if not await self._respond_all(framing, stream, connection, identity):
                return

    async def _refuse(
        self, stream: TLSStream, connection: _Connection, refusal: NoIdentity
    ) -> None:
        """Refuse the first request of a client whose certificate is valid but names nobody.

        The refusal is a KMIP response, since Python's ssl module cannot send the TLS alert for it
        (access_denied). A request that cannot be read gets it, too; what is only HTTP gets its reply.
        """
        connection.waiting_for = _REST_OF_REQUEST
        connection.deadline = trio.current_time() + self.limits.message_timeout
        data = await stream.receive_some()
        framing = _framing(data, self.limits.messages)
        framing.feed(data)
        while True:
            try:
                request = framing.next_message()
            except RemoteProtocolError as error:
                request = error
            if request is Signal.NEED_DATA:
                framing.feed(await stream.receive_some())
            elif isinstance(request, Signal):
                return
            elif isinstance(request, Reply):
                if not await self._reply(stream, connection, request):
                    return
            else:
                break
        refused = OperationError(ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, str(refusal))
        response = self.responder.refuse(refused, request if isinstance(request, bytes) else b"")
        await self._send(stream, connection, framing.response(response))

    async def _respond_all(
        self, framing: Framing, stream: TLSStream, connection: _Connection, identity: Identity
    ) -> bool:
        """Respond to all complete messages; False if the connection is to be closed."""
        while True:
            try:
                if framing.unread < LARGE_TEXT:
                    data = framing.next_message()
                else:
                    data = await trio.to_thread.run_sync(framing.next_message)
            except RemoteProtocolError as error:
                if error.cause is not Cause.CLOSED:
                    await self._send(stream, connection, self.responder.refuse(error, b""))
                raise
            if isinstance(data, Signal):
                return data is not Signal.CLOSED
            if isinstance(data, Reply):
                if not await self._reply(stream, connection, data):
                    return False
                continue
            connection.waiting_for = _RESPONSE
            connection.deadline = float("inf")  # the client is not at fault if this takes long
            response = (
                await self.responder.respond(data, identity)
                if isinstance(data, bytes)
                else self._refusal(data, connection, identity)
            )
            if framing.is_text and len(response.data) >= LARGE_TEXT:
                encoded = await trio.to_thread.run_sync(framing.response, response.data)
            else:
                encoded = framing.response(response.data)
            await self._send(stream, connection, encoded)
            version = response.role_change
            if version is not None and not await self._act_as_client(
                framing, stream, connection, identity, version
            ):
                return False

    def _refusal(
        self, error: RemoteProtocolError, connection: _Connection, identity: Identity
    ) -> Response:
        """The response to a message that cannot be translated to TTLV."""
        self._warn(connection, _BAD_REQUEST, f"{identity.name}: {error}")
        return Response(self.responder.refuse(error, b""))

    async def _reply(self, stream: TLSStream, connection: _Connection, reply: Reply) -> bool:
        """Send a reply of HTTP; False if the connection is to be closed."""
        if reply.refusal:
            self._warn(connection, _BAD_REQUEST, reply.refusal)
        await self._send(stream, connection, reply.data)
        return not reply.refusal

    async def _act_as_client(
        self,
        framing: Framing,
        stream: TLSStream,
        connection: _Connection,
        identity: Identity,
        version: Version,
    ) -> bool:
        """Act as the client until the roles are exchanged again; False if that is not possible."""
        if not isinstance(framing, TTLVFraming):
            return False  # in HTTP, only the client can send requests
        async for request in self.requests(identity.name, version):
            await self._send(stream, connection, request)
            connection.waiting_for = _CLIENT_RESPONSE
            connection.deadline = trio.current_time() + self.limits.message_timeout
            while not isinstance(message := framing.next_message(), bytes):
                if message is Signal.CLOSED:
                    return True
                framing.feed(await stream.receive_some())
            self.responder.on_response(identity, message)
        return True

    async def _send(self, stream: TLSStream, connection: _Connection, data: bytes) -> None:
        if data:
            connection.waiting_for = _SENDING
            connection.deadline = trio.current_time() + self.limits.send_timeout
            await stream.send_all(data)


class TTLVFraming(Framer):
    """Messages in TTLV, without anything between them; see :class:`Framing`."""

    unread = 0
    is_text = False

    def response(self, message: bytes) -> bytes:
        """The message itself."""
        return message


def _framing(first: bytes, limits: Limits) -> Framing:
    """TTLV or HTTP, by the first bytes: a TTLV message begins with 42 00, which no method does.

    42 is also the letter B, so that the first byte alone is not enough.
    """
    if first[:1].isalpha() and not first.startswith(b"\x42\x00"[: len(first)]):
        return HTTPFraming(limits)
    return TTLVFraming(limits)


def _end(connection: _Connection, reason: str) -> None:
    connection.ended_by = reason
    connection.scope.cancel()


def _host_name(address: object) -> str:
    """The address without the port."""
    return str(address[0]) if isinstance(address, tuple) and address else str(address)


def _port(address: object) -> int:
    return int(address[1]) if isinstance(address, tuple) and len(address) >= 2 else 0


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
            # Port 0 is any free port on the first address, and then the same port on the others.
            actual_port = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            listening.bind((address[0], actual_port, *address[2:]))
            listening.listen(BACKLOG)
            listening.setblocking(False)
    except OSError as error:
        for listening in sockets:
            listening.close()
        message = f"cannot listen on {peer_name((host, port))}: {error.strerror}"
        raise OSError(error.errno, message) from None
    return sockets
