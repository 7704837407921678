"""Connections between vCenter, hosts and their administrators: HTTPS with certificates on both sides.

:func:`connect` is the calling side, :class:`Server` the called one. The calls themselves are JSON
over HTTP: :mod:`kmipkit_vsphere.rpc.api`.
"""

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio

from kmipkit.places import Full, Places
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.errors import RPCError
from kmipkit_vsphere.rpc.api import Api, Caller
from kmipkit_vsphere.rpc.call import Rows
from kmipkit_vsphere.rpc.client import CALL_TIMEOUT, Client, host_header
from kmipkit_vsphere.rpc.revocation import PeerRevocations
from kmipkit_vsphere.rpc.serving import CallStream
from kmipkit_vsphere.rpc.tls import Credentials, certificate_names

__all__ = ["CALL_TIMEOUT", "Client", "Server", "connect"]

HANDSHAKE_TIMEOUT: Final = 30.0
"""Seconds for a peer to shake hands."""
CONNECT_TIMEOUT: Final = 5.0
MAX_CONNECTIONS: Final = 256
SHARE: Final = MAX_CONNECTIONS * 3 // 4
"""Connections from one address, and of one caller: the others have a reserve."""

log = logging.getLogger("kmipkit.vsphere.rpc")


async def connect(address: tuple[str, int], name: str, credentials: Credentials) -> Client:
    """Connect to the role called ``name``; the certificate there must carry this name.

    Raises :class:`RPCError` if nothing listens there, the handshake fails, or nobody can have this
    name.
    """
    host_header(name)  # before anything is sent
    where = f"{name} at {address[0]}:{address[1]}"
    context = credentials.client_context()
    revocations = credentials.revocations()
    tcp = await _connect(address, where)
    # HTTP says where an answer ends, so the end of TCP between two of them ends TLS as well.
    stream = trio.SSLStream(tcp, context, server_hostname=name, https_compatible=True)
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            await stream.do_handshake()
        revocations.require_valid(stream.getpeercert(binary_form=True))
    except BaseException as error:
        await trio.aclose_forcefully(tcp)
        if isinstance(error, RPCError):
            raise RPCError(f"{where} is not trusted: {error.message}") from None
        if isinstance(error, trio.TooSlowError):
            reason = f"no answer within {HANDSHAKE_TIMEOUT:.0f} s"
        elif isinstance(error, trio.BrokenResourceError | ssl.SSLError):
            reason = str(error.__cause__ or error)
        else:
            raise
        raise RPCError(f"the TLS handshake with {where} failed: {reason}") from None
    return Client(stream, name)


async def _connect(address: tuple[str, int], where: str) -> trio.SocketStream:
    with trio.move_on_after(CONNECT_TIMEOUT):
        try:
            return await trio.open_tcp_stream(*address)
        except OSError as error:
            raise RPCError(f"cannot connect to {where}: {error}") from None
    raise RPCError(f"cannot connect to {where}: no answer within {CONNECT_TIMEOUT:.0f} s")


@dataclass(eq=False, slots=True)
class _Connection:
    """A connection that holds a place; see :class:`kmipkit.places.Occupant`."""

    address: str
    silent_since: float | None
    is_authenticated: bool = False
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended_by: str = ""

    def listens(self, is_silent: bool) -> None:
        """Note whether it waits for its peer."""
        self.silent_since = trio.current_time() if is_silent else None

    def end(self, reason: str) -> None:
        """End it."""
        self.ended_by = reason
        self.scope.cancel()


def _address(stream: trio.abc.Stream) -> str:
    """The network address of the peer; a name for streams that have none."""
    if not isinstance(stream, trio.SocketStream):
        return "local peer"
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # it has gone already
        return "a peer that has gone"


class Server:
    """The called side: listens, authenticates callers, and serves a table of methods.

    ``context`` may be a function, which is called for each connection. ``callers`` maps the name in
    a caller's certificate to the caller's roles; ``everybody`` are the roles of all callers with a
    trusted certificate. ``title`` is that of the description.
    """

    def __init__(
        self,
        rows: Rows,
        callers: Mapping[str, frozenset[str]],
        context: ssl.SSLContext | Callable[[], ssl.SSLContext],
        everybody: frozenset[str] = frozenset(),
        revocations: PeerRevocations | None = None,
        title: str = "kmipkit",
    ) -> None:
        self._everybody = everybody
        self._revocations = revocations or PeerRevocations.none()
        self._api = Api(rows, title)
        self._callers = callers
        self._context = context if callable(context) else lambda: context
        self._places: Places[_Connection] = Places(
            MAX_CONNECTIONS, SHARE, SHARE, trio.current_time, _Connection.end
        )

    async def serve(
        self,
        address: tuple[str, int],
        *,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled; the task status is the address in use (port 0: any free one)."""
        host, port = address
        listeners = await trio.open_tcp_listeners(port, host=host)
        name = listeners[0].socket.getsockname()
        task_status.started((name[0], name[1]))
        await trio.serve_listeners(self.handle, listeners)

    async def handle(self, tcp: trio.abc.Stream) -> None:
        """Serve one connection: handshake, then calls."""
        connection = _Connection(_address(tcp), trio.current_time())
        try:
            self._places.enter(connection)
            # One connection never ends the others: the certificates may have become unreadable.
            with connection.scope, contained(log, f"the connection from {connection.address}"):
                await self._handle(tcp, connection)
            if connection.scope.cancelled_caught:
                log.warning("%s: closed: %s", connection.address, connection.ended_by)
        except Full as full:
            log.warning("%s: connection refused: %s", connection.address, full)
        finally:
            self._places.leave(connection)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(tcp)

    async def _handle(self, tcp: trio.abc.Stream, connection: "_Connection") -> None:
        # A caller that is done closes TCP; HTTP says where a request ends: nothing is cut off unseen.
        stream = trio.SSLStream(tcp, self._context(), server_side=True, https_compatible=True)
        names = await self._shake_hands(stream)
        if names is None:
            await trio.aclose_forcefully(tcp)
            return
        known = sorted(names & set(self._callers))
        roles = frozenset(role for name in known for role in self._callers[name])
        caller = known[0] if known else ", ".join(sorted(names)) or "a caller without a name"
        self._places.authenticated(connection, caller)
        connection.is_authenticated = True
        certificate = stream.getpeercert(binary_form=True)
        calls = CallStream(
            stream,
            self._api,
            Caller(caller, roles | self._everybody),
            connection.listens,
            lambda: self._revocations.require_valid(certificate),
        )
        await calls.serve()

    async def _shake_hands(
        self, stream: "trio.SSLStream[trio.abc.Stream]"
    ) -> frozenset[str] | None:
        with trio.move_on_after(HANDSHAKE_TIMEOUT):
            try:
                await stream.do_handshake()
            except (trio.BrokenResourceError, ssl.SSLError) as error:
                log.warning("a TLS handshake failed: %s", error.__cause__ or error)
                return None
            try:
                self._revocations.require_valid(stream.getpeercert(binary_form=True))
            except RPCError as error:
                log.warning("a caller was refused: %s", error.message)
                return None
            return certificate_names(stream.getpeercert())
        log.warning("a TLS handshake took longer than %.0f s", HANDSHAKE_TIMEOUT)
        return None
