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
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import trio

from kmipkit.connection import Signal
from kmipkit.errors import Cause, OperationError, ProtocolError, RemoteProtocolError
from kmipkit.places import Full, Limit, Places
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.versions import Version
from kmipkit.ttlv.limits import DEFAULT_LIMITS, Limits
from kmipkit_server.engine.response import Response
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.connection import (
    CLIENT_RESPONSE,
    HANDSHAKE,
    REQUEST,
    RESPONSE,
    REST_OF_REQUEST,
    SENDING,
    Connection,
    end,
)
from kmipkit_server.net.connection_log import ConnectionLog, Occurrence, Throttle, peer_name
from kmipkit_server.net.counters import ClientRefusal, Closing, ConnectionCounters, Refusal
from kmipkit_server.net.framing import Framing, TTLVFraming, framing_of
from kmipkit_server.net.http import Reply
from kmipkit_server.net.revocation import Revocations, Revoked
from kmipkit_server.net.tls_failures import HandshakeFailure
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

_TIMEOUTS: Mapping[str, Closing] = {
    REQUEST: Closing.IDLE,
    REST_OF_REQUEST: Closing.REQUEST,
    SENDING: Closing.SEND,
    CLIENT_RESPONSE: Closing.REQUEST,
}
"""Which timeout has ended a connection, by what it waited for."""
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
    counters: ConnectionCounters = field(default_factory=ConnectionCounters)
    refusals: Throttle | None = None
    """Gets what is refused before a request has an account, for the audit."""
    _places: Places[Connection] = field(init=False)
    _log: ConnectionLog = field(default_factory=lambda: ConnectionLog(log))
    _timeouts: dict[str, float] = field(init=False)
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
            _make_room,
        )
        self._timeouts = {}
        self.change_limits(limits)

    def change_limits(self, limits: ConnectionLimits) -> None:
        """Apply other limits: to new connections, and to what open ones wait for next."""
        self.limits = limits
        places = self._places
        places.total = limits.connections
        places.per_address = limits.connections_per_address
        places.per_account = limits.connections_per_account
        self._timeouts.update(
            {
                HANDSHAKE: limits.handshake_timeout,
                REQUEST: limits.idle_timeout,
                REST_OF_REQUEST: limits.message_timeout,
                SENDING: limits.send_timeout,
                CLIENT_RESPONSE: limits.message_timeout,
            }
        )

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
    def open_connections(self) -> int:
        """The number of connections, those in their handshakes included."""
        return len(self._places.occupants)

    @property
    def is_draining(self) -> bool:
        """Whether the server stops."""
        return self._all_closed is not None

    async def drain(self, grace: float) -> None:
        """Stop accepting, close idle connections, and finish requests that have begun.

        This takes at most ``grace`` seconds.
        """
        self._all_closed = trio.Event()
        self._accepting.cancel()
        for connection in list(self._places.occupants):
            if connection.waiting_for == REQUEST:
                end(connection, "shutdown", Closing.STOPPING)
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
                end(connection, reason, Closing.REVOKED)

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
        connection = Connection(
            trio.CancelScope(),
            _host_name(address),
            _port(address),
            peer_name(address),
            self._timeouts,
            trio.current_time() + self.limits.handshake_timeout,
            HANDSHAKE,
            raw.fileno(),
            trio.current_time(),
        )
        refusal = self._enter(connection)
        if refusal is not None:
            self._warn(connection, _NO_PLACE, refusal)
            nursery.start_soon(self._reject, raw)
            return
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        nursery.start_soon(self._serve, raw, connection)

    def _enter(self, connection: Connection) -> str | None:
        """Give a connection a place; the reason if there is none."""
        if self.is_draining:
            self.counters.refused[Refusal.STOPPING] += 1
            return "the server stops"
        try:
            self._places.enter(connection)
        except Full as full:
            is_address = full.limit is Limit.ADDRESS
            self.counters.refused[Refusal.ADDRESS if is_address else Refusal.TOTAL] += 1
            return str(full)
        self.counters.accepted += 1
        return None

    async def _reject(self, raw: socket.socket) -> None:
        """Close a connection with an alert, so that the client does not take it for a network fault."""
        if self.is_draining or self._rejecting >= MAX_REJECTING:
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
                    end(connection, "timeout", _TIMEOUTS.get(connection.waiting_for))
                elif connection.is_abandoned():
                    end(connection, "by the client", Closing.NORMAL)
            self._log.flush(now)
            if self.refusals is not None:
                self.refusals.flush(now)

    async def _serve(self, raw: socket.socket, connection: Connection) -> None:
        stream: TLSStream | None = None
        handshake_failure: HandshakeFailure | None = None
        try:
            with connection.scope:
                stream = TLSStream(raw, self.context())
                await self._serve_messages(stream, connection)
        except TLSFailure as failure:
            connection.closing, handshake_failure = Closing.BROKEN, failure.kind
            step = _BROKEN if connection.is_authenticated else _NO_HANDSHAKE
            self._warn(connection, step, str(failure))
        except (NoIdentity, Full) as refusal:
            connection.closing = Closing.REFUSED
            self.counters.clients_refused[_kind(refusal)] += 1
            self._warn(connection, _NO_ACCOUNT, str(refusal))
        except RemoteProtocolError as error:
            connection.closing = Closing.BAD_REQUEST
            self._warn(connection, _BAD_REQUEST, str(error))
        except Exception:
            # Only a defect of the server gets here, so any exception is caught: all connections
            # run in one nursery, and an exception of one would end the others.
            connection.closing = Closing.DEFECT
            log.exception("%s: connection closed by an internal error", connection.peer)
        finally:
            self._count_end(connection, handshake_failure)
            if connection.scope.cancelled_caught:
                self._log_end(connection)
            try:
                # close_notify is a message of the established connection, not of the handshake.
                has_session = connection.waiting_for != HANDSHAKE
                if stream is None:
                    raw.close()
                elif self.is_draining:  # no time to wait until the client has read its response
                    stream.abort(notify=has_session)
                else:
                    await stream.finish(notify=has_session)
            finally:
                self._places.leave(connection)
                if self._all_closed is not None and not self._places.occupants:
                    self._all_closed.set()

    def _count_end(self, connection: Connection, failure: HandshakeFailure | None) -> None:
        if connection.is_established:
            self.counters.closed[connection.closing] += 1
            return
        if failure is None:
            is_timeout = connection.ended_by == "timeout"
            failure = HandshakeFailure.TIMEOUT if is_timeout else HandshakeFailure.ENDED_BY_SERVER
        self.counters.handshake_failures[failure] += 1

    def _log_end(self, connection: Connection) -> None:
        ended_by = connection.ended_by or "cancelled"
        is_normal = ended_by == "shutdown" or (
            connection.waiting_for == REQUEST and ended_by == "timeout"
        )
        level = logging.DEBUG if is_normal else logging.WARNING
        text = f"{ended_by} while waiting for {connection.waiting_for}"
        self._write(level, connection, _CLOSED, text)

    def _warn(self, connection: Connection, kind: str, text: str) -> None:
        self._write(logging.WARNING, connection, kind, text)

    def _write(self, level: int, connection: Connection, kind: str, text: str) -> None:
        now = trio.current_time()
        occurrence = Occurrence(level, connection.address, connection.port, kind, text)
        self._log.write(now, occurrence)
        if kind in _REFUSALS and self.refusals is not None:
            self.refusals.add(now, occurrence)

    async def _serve_messages(self, stream: TLSStream, connection: Connection) -> None:
        await stream.do_handshake()
        connection.is_established = True
        self.counters.handshakes += 1
        self.counters.handshake_seconds.observe(trio.current_time() - connection.begun)
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
            if self.is_draining and not is_inside:
                return
            # The deadline for a request is set once, at its first part: a client that sends a byte
            # now and then must not extend it.
            if not is_inside or connection.waiting_for != REST_OF_REQUEST:
                connection.waiting_for = REST_OF_REQUEST if is_inside else REQUEST
                timeout = limits.message_timeout if is_inside else limits.idle_timeout
                connection.deadline = clock() + timeout
            data = await stream.receive_some()
            if framing is None:
                framing = framing_of(data, limits.messages)
            framing.feed(data)
            if not await self._respond_all(framing, stream, connection, identity):
                return

    async def _refuse(self, stream: TLSStream, connection: Connection, refusal: NoIdentity) -> None:
        """Refuse the first request of a client whose certificate is valid but names nobody.

        The refusal is a KMIP response, since Python's ssl module cannot send the TLS alert for it
        (access_denied). A request that cannot be read gets it, too; what is only HTTP gets its reply.
        """
        connection.waiting_for = REST_OF_REQUEST
        connection.deadline = trio.current_time() + self.limits.message_timeout
        data = await stream.receive_some()
        framing = framing_of(data, self.limits.messages)
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
        self, framing: Framing, stream: TLSStream, connection: Connection, identity: Identity
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
            connection.waiting_for = RESPONSE
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
        self, error: RemoteProtocolError, connection: Connection, identity: Identity
    ) -> Response:
        """The response to a message that cannot be translated to TTLV."""
        self._warn(connection, _BAD_REQUEST, f"{identity.name}: {error}")
        return Response(self.responder.refuse(error, b""))

    async def _reply(self, stream: TLSStream, connection: Connection, reply: Reply) -> bool:
        """Send a reply of HTTP; False if the connection is to be closed."""
        if reply.refusal:
            self._warn(connection, _BAD_REQUEST, reply.refusal)
        await self._send(stream, connection, reply.data)
        return not reply.refusal

    async def _act_as_client(
        self,
        framing: Framing,
        stream: TLSStream,
        connection: Connection,
        identity: Identity,
        version: Version,
    ) -> bool:
        """Act as the client until the roles are exchanged again; False if that is not possible."""
        if not isinstance(framing, TTLVFraming):
            return False  # in HTTP, only the client can send requests
        async for request in self.requests(identity.name, version):
            await self._send(stream, connection, request)
            connection.waiting_for = CLIENT_RESPONSE
            connection.deadline = trio.current_time() + self.limits.message_timeout
            while not isinstance(message := framing.next_message(), bytes):
                if message is Signal.CLOSED:
                    return True
                framing.feed(await stream.receive_some())
            self.responder.on_response(identity, message)
        return True

    async def _send(self, stream: TLSStream, connection: Connection, data: bytes) -> None:
        if data:
            connection.waiting_for = SENDING
            connection.deadline = trio.current_time() + self.limits.send_timeout
            await stream.send_all(data)


def _make_room(connection: Connection, reason: str) -> None:
    end(connection, reason, Closing.ROOM)


def _kind(refusal: NoIdentity | Full) -> ClientRefusal:
    if isinstance(refusal, Full):
        return ClientRefusal.ACCOUNT
    return ClientRefusal.REVOKED if isinstance(refusal, Revoked) else ClientRefusal.NO_NAME


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
