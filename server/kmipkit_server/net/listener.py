"""The connections of a server: limits first, then TLS, then messages.

Until a client has authenticated, a connection costs it more than the server: each handshake runs in its
own task with a timeout, the number of connections is limited, and there is no service without a verified
client certificate. One task checks the deadlines of all connections once a second, which is much cheaper
than a timeout around each read.
"""

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

import trio

from kmipkit.errors import RemoteProtocolError
from kmipkit.places import Full
from kmipkit.spec.versions import Version
from kmipkit_server.identity.certificate import IdentityRule, NoIdentity, Unavailable
from kmipkit_server.net import events
from kmipkit_server.net.accepting import Acceptor
from kmipkit_server.net.application import Application
from kmipkit_server.net.chains import Authorities
from kmipkit_server.net.connection import (
    CLIENT_RESPONSE,
    HANDSHAKE,
    REQUEST,
    REST_OF_REQUEST,
    SENDING,
    Connection,
    end,
)
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.connection_log import peer_name
from kmipkit_server.net.conversation import Conversation
from kmipkit_server.net.counters import ClientRefusal, Closing, ConnectionCounters
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.net.occupancy import Occupancy, OwnPlaces, own_places, resize
from kmipkit_server.net.responder import Responder
from kmipkit_server.net.revocation import Revocations, Revoked
from kmipkit_server.net.tls_failures import HandshakeFailure
from kmipkit_server.net.transport import TLSFailure, TLSStream
from kmipkit_server.store.errors import OutcomeUnknown

log = logging.getLogger("kmipkit.server")

_TIMEOUTS: Mapping[str, Closing] = {
    REQUEST: Closing.IDLE,
    REST_OF_REQUEST: Closing.REQUEST,
    SENDING: Closing.SEND,
    CLIENT_RESPONSE: Closing.REQUEST,
}
"""Which timeout has ended a connection, by what it waited for."""


@dataclass(slots=True)
class Listener:
    """Serves connections until cancelled: those that it accepts, and those that it is given."""

    context: Callable[[], ssl.SSLContext]
    """The TLS settings for the next connection; they change when the certificates are reloaded."""
    responder: Responder
    requests: Callable[[str, Version], AsyncIterator[bytes]]
    """The requests of the server to a client that has exchanged roles with it."""
    identity_rule: IdentityRule
    revocations: Revocations
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    counters: ConnectionCounters = field(default_factory=ConnectionCounters)
    events: ConnectionEvents = field(default_factory=ConnectionEvents)
    application: Application | None = None
    """Answers what HTTP requests ask for beside KMIP."""
    outage: Callable[[], str] = lambda: ""
    """Why clients should use another one of several servers; empty if this one works."""
    stream: Callable[[socket.socket, ssl.SSLContext], TLSStream] = TLSStream
    """Takes over an accepted socket; tests may have another one."""
    occupancy: Occupancy = field(init=False)
    authorities: Authorities = field(default_factory=Authorities)
    _own: OwnPlaces = field(init=False)
    """The places of the connections that this listener accepts itself."""
    _open: dict[Connection, None] = field(default_factory=dict)
    """The connections, the oldest first."""
    _timeouts: dict[str, float] = field(default_factory=dict)
    """How long a connection may wait for its peer, by what it waits for."""
    _acceptor: Acceptor = field(init=False)
    _serving: trio.Nursery | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _is_out: bool = False
    """Whether connections are refused since it cannot serve."""
    _all_closed: trio.Event | None = None
    """None until draining begins; set when no connection is open."""

    def __post_init__(self) -> None:
        self._own = self.occupancy = own_places(self.limits, trio.current_time)
        self._acceptor = Acceptor(self._take, self.counters, self.events)
        self.change_limits(self.limits)

    def change_limits(self, limits: ConnectionLimits) -> None:
        """Apply other limits: to new connections, and to what open ones wait for next."""
        self.limits = limits
        resize(self._own.places, limits)
        self._timeouts.update(
            {
                HANDSHAKE: limits.handshake_timeout,
                REQUEST: limits.idle_timeout,
                REST_OF_REQUEST: limits.message_timeout,
                SENDING: limits.send_timeout,
                CLIENT_RESPONSE: limits.message_timeout,
            }
        )

    async def serve(
        self,
        sockets: list[socket.socket],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections and serve them until cancelled."""
        async with trio.open_nursery() as nursery:
            self._serving = nursery
            nursery.start_soon(self._enforce_deadlines)
            nursery.start_soon(self.revocations.watch, self.end_revoked)
            nursery.start_soon(self._acceptor.serve, sockets)
            task_status.started()

    @property
    def open_connections(self) -> int:
        """The number of connections, those in their handshakes included."""
        return len(self._open)

    @property
    def connections(self) -> Collection[Connection]:
        """The open connections, those in their handshakes included."""
        return self._open.keys()

    def connections_of(self, account: str) -> int:
        """How many connections an account has."""
        return sum(1 for _ in self._of(account))

    def end_account(self, account: str) -> int:
        """End the connections of an account, and return their number."""
        connections = list(self._of(account))
        for connection in connections:
            self.end(connection)
        return len(connections)

    @staticmethod
    def end(connection: Connection) -> None:
        """End a connection for an administrator."""
        end(connection, "by an administrator", Closing.ADMINISTRATOR)

    def _of(self, account: str) -> Iterator[Connection]:
        for each in self._open:
            if each.identity is not None and each.identity.name == account and not each.ended_by:
                yield each

    @property
    def is_draining(self) -> bool:
        """Whether the server stops."""
        return self._all_closed is not None

    async def drain(self, grace: float) -> None:
        """Stop accepting, close idle connections, and finish requests that have begun.

        This takes at most ``grace`` seconds.
        """
        self._all_closed = trio.Event()
        self._acceptor.stop()
        for connection in list(self._open):
            if connection.waiting_for == REQUEST:
                end(connection, "shutdown", Closing.STOPPING)
        if self._open:
            with trio.move_on_after(grace):
                await self._all_closed.wait()

    def end_revoked(self) -> None:
        """End the connections whose certificates have been revoked meanwhile."""
        for connection in list(self._open):
            if connection.certificate is None or connection.ended_by:
                continue
            reason = self.revocations.reason(connection.certificate)
            if reason is not None:
                end(connection, reason, Closing.REVOKED)

    async def _take(self, raw: socket.socket, address: str, port: int) -> None:
        """Serve a connection that was accepted. Full if there is no place for it."""
        connection = self._connection(raw, address, port, next(self._numbers))
        self._own.enter(connection)
        self._begin(raw, connection)

    def hand_over(self, raw: socket.socket, address: str, port: int, number: int) -> Connection:
        """Serve a connection that another process has accepted, and which has a place already."""
        raw.setblocking(False)
        connection = self._connection(raw, address, port, number)
        self._begin(raw, connection)
        return connection

    def _connection(self, raw: socket.socket, address: str, port: int, number: int) -> Connection:
        now = trio.current_time()
        return Connection(
            trio.CancelScope(),
            address,
            port,
            peer_name((address, port)),
            self._timeouts,
            now + self.limits.handshake_timeout,
            HANDSHAKE,
            raw.fileno(),
            now,
            number=number,
        )

    def _begin(self, raw: socket.socket, connection: Connection) -> None:
        assert self._serving is not None
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[connection] = None
        self._serving.start_soon(self._serve, raw, connection)

    def _follow_outage(self) -> None:
        """Have clients use another server while this one cannot serve."""
        reason = self.outage()
        if reason:
            self._end_idle(reason)
        if bool(reason) is not self._is_out:
            self._is_out = bool(reason)
            if reason:
                log.warning("no connections are accepted: %s", reason)
            else:
                log.info("connections are accepted again")

    def _require_service(self) -> None:
        """Unavailable if the client should use another server.

        Before the handshake: a client that has sent its request could not repeat it elsewhere.
        """
        reason = self.outage()
        if reason:
            raise Unavailable(reason)

    def _end_idle(self, reason: str) -> None:
        """End what waits for a request, so that its client sends that to another server."""
        for connection in list(self._open):
            if connection.waiting_for == REQUEST and not connection.ended_by:
                end(connection, reason, Closing.UNAVAILABLE)

    async def _enforce_deadlines(self) -> None:
        while True:
            await trio.sleep(1)
            self._follow_outage()
            now = trio.current_time()
            for connection in list(self._open):
                if connection.ended_by:
                    continue
                if connection.deadline < now:
                    end(connection, "timeout", _TIMEOUTS.get(connection.waiting_for))
                elif connection.is_abandoned():
                    end(connection, "by the client", Closing.NORMAL)
            self.events.flush()

    async def _serve(self, raw: socket.socket, connection: Connection) -> None:
        stream: TLSStream | None = None
        handshake_failure: HandshakeFailure | None = None
        try:
            with connection.scope:
                self._require_service()
                stream = self.stream(raw, self.context())
                await Conversation(self, stream, connection).serve()
        except TLSFailure as failure:
            connection.closing, handshake_failure = Closing.BROKEN, failure.kind
            step = events.BROKEN if connection.is_authenticated else events.NO_HANDSHAKE
            self._warn(connection, step, str(failure))
        except (NoIdentity, Full) as refusal:
            connection.closing = Closing.REFUSED
            self.counters.clients_refused[_kind(refusal)] += 1
            self._warn(connection, events.NO_ACCOUNT, str(refusal))
        except OutcomeUnknown:
            # Neither success nor failure would be true. Without a response, the client knows that it
            # has to look.
            connection.closing = Closing.UNANSWERED
            self._warn(connection, events.CLOSED, "whether its changes took place is not known")
        except RemoteProtocolError as error:
            connection.closing = Closing.BAD_REQUEST
            self._warn(connection, events.BAD_REQUEST, str(error))
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
                await self.events.settled()
                # close_notify is a message of the established connection, not of the handshake.
                has_session = connection.waiting_for != HANDSHAKE
                if stream is None:
                    raw.close()
                elif self.is_draining:  # no time to wait until the client has read its response
                    stream.abort(notify=has_session)
                else:
                    await stream.finish(notify=has_session)
            finally:
                self._leave(connection)

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
            connection.waiting_for == REQUEST
            and (ended_by == "timeout" or connection.closing is Closing.UNAVAILABLE)
        )
        level = logging.DEBUG if is_normal else logging.WARNING
        text = f"{ended_by} while waiting for {connection.waiting_for}"
        self._write(level, connection, events.CLOSED, text)

    def _warn(self, connection: Connection, kind: str, text: str) -> None:
        self._write(logging.WARNING, connection, kind, text)

    def _write(self, level: int, connection: Connection, kind: str, text: str) -> None:
        self.events.write(level, connection.address, connection.port, kind, text)

    def _leave(self, connection: Connection) -> None:
        del self._open[connection]
        self.occupancy.leave(connection)
        if self._all_closed is not None and not self._open:
            self._all_closed.set()


def _kind(refusal: NoIdentity | Full) -> ClientRefusal:
    if isinstance(refusal, Full):
        return ClientRefusal.ACCOUNT
    if isinstance(refusal, Unavailable):
        return ClientRefusal.STORE
    return ClientRefusal.REVOKED if isinstance(refusal, Revoked) else ClientRefusal.NO_NAME
