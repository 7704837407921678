"""Calls between vCenter, hosts and their administrators: JSON in frames, over TLS.

A request is ``{id, method, params}``, an answer ``{id, result}`` or ``{id, error: {fault, message,
arguments}}``; :mod:`kmipkit_vsphere.rpc.call` has the types of requests and results. A connection
carries one call at a time. Parameters and results are never logged, because some carry keys.

A connection is closed after an error that is not a fault (time-out, bad frame), because it is
unknown which answer belongs to which call.
"""

import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Final, Self, TypeVar

import msgspec
import trio

from kmipkit.places import Full, Places
from kmipkit_vsphere.model.defects import contained, describe
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import (
    InternalFault,
    InvalidArgument,
    NoPermission,
    RPCError,
    VSphereError,
    fault_from,
)
from kmipkit_vsphere.model.message import Message, field
from kmipkit_vsphere.rpc.call import Request, Rows
from kmipkit_vsphere.rpc.frames import FrameStream
from kmipkit_vsphere.rpc.revocation import PeerRevocations
from kmipkit_vsphere.rpc.tls import Credentials, certificate_names

HANDSHAKE_TIMEOUT: Final = 30.0
IDLE_TIMEOUT: Final = 3600.0
"""Seconds for a peer to shake hands, and to begin a frame."""
CALL_TIMEOUT: Final = 600.0
CONNECT_TIMEOUT: Final = 5.0
MAX_CONNECTIONS: Final = 256
SHARE: Final = MAX_CONNECTIONS * 3 // 4
"""Connections from one address, and of one caller: the others have a reserve."""

log = logging.getLogger("kmipkit.vsphere.rpc")

A = TypeVar("A")
F = TypeVar("F")


class CallFrame(Message):
    """What a caller sends."""

    id: int
    method: Any = None
    params: msgspec.Raw = msgspec.Raw(b"{}")


class FaultFrame(Message):
    """A fault, in an answer."""

    fault: str
    message: str
    arguments: dict[str, Any] = field(default_factory=dict)


class ResultFrame(Message):
    """The answer to a call that succeeded."""

    id: int
    result: msgspec.Raw


class ErrorFrame(Message):
    """The answer to a call that failed."""

    id: int
    error: FaultFrame


class AnswerFrame(Message):
    """Either of them, as a caller reads it."""

    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: FaultFrame | None = None


class Client:
    """The calling side of one connection. Use :func:`connect` to make one."""

    def __init__(self, stream: trio.abc.Stream, peer: str) -> None:
        self.peer = peer
        self._frames = FrameStream(stream)
        self._lock = trio.Lock()
        self._last = 0
        self._broken = False

    async def call(self, request: Request[A]) -> A:
        """Make a call and return its answer.

        Raises the fault that the peer raised, or :class:`RPCError` if none was received; the latter
        ends the connection.
        """
        method = request.method()
        result = await self.send(method, encode(request))
        try:
            answer: A = decode(result, request.answer())
        except InvalidArgument as error:
            raise RPCError(f"{method} on {self.peer}: in the answer {error.message}") from None
        return answer

    async def send(self, method: str, params: bytes) -> msgspec.Raw:
        """Call a method by its name, with parameters that are JSON already; its result as JSON."""
        async with self._lock:
            if self._broken:
                raise RPCError(f"the connection to {self.peer} is closed")
            self._last += 1
            self._broken = True  # until the answer to this call has been received
            try:
                answer = await self._exchange(CallFrame(self._last, method, msgspec.Raw(params)))
            except RPCError as error:
                raise RPCError(f"{method} on {self.peer}: {error.message}") from None
            finally:
                if self._broken:
                    with trio.CancelScope(shield=True):
                        await self._frames.aclose()
        if answer.error is not None:
            fault = answer.error
            raise fault_from(fault.fault, fault.message, fault.arguments)
        return answer.result

    async def _exchange(self, call: CallFrame) -> AnswerFrame:
        with trio.move_on_after(CALL_TIMEOUT):
            await self._frames.send(call)
            data = await self._frames.receive()
            if data is None:
                raise RPCError("the peer closed the connection without an answer")
            answer = _parse(data, AnswerFrame)
            if answer.id != call.id:
                raise RPCError("the answer belongs to another call")
            self._broken = False
            return answer
        raise RPCError(f"no answer within {CALL_TIMEOUT:.0f} s")

    async def aclose(self) -> None:
        """Close the connection."""
        self._broken = True
        await self._frames.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _parse(data: bytes, kind: type[F]) -> F:
    try:
        return decode(data, kind)
    except InvalidArgument as error:
        raise RPCError(f"the peer's message is malformed: {error.message}") from None


async def connect(address: tuple[str, int], name: str, credentials: Credentials) -> Client:
    """Connect to the role called ``name``; the certificate there must carry this name.

    Raises :class:`RPCError` if nothing listens there, or the handshake fails.
    """
    where = f"{name} at {address[0]}:{address[1]}"
    context = credentials.client_context()
    revocations = credentials.revocations()
    tcp = await _connect(address, where)
    # Frames say their length themselves, so the end of TCP between two of them ends TLS as well.
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


async def serve_stream(
    stream: trio.abc.Stream,
    caller: str,
    roles: frozenset[str],
    rows: Rows,
    listens: Callable[[bool], None] = lambda _: None,
    require_valid: Callable[[], None] = lambda: None,
) -> None:
    """Answer the calls on one connection until the caller closes it.

    ``listens`` is called with True when the connection begins to wait for a call, and with False
    when there is one. ``require_valid`` raises :class:`RPCError` before a call if the caller's
    certificate has been revoked.
    """
    frames = FrameStream(stream)
    try:
        while True:
            listens(True)
            with trio.move_on_after(IDLE_TIMEOUT) as idle:
                data = await frames.receive()
            if idle.cancelled_caught or data is None:
                return
            listens(False)
            require_valid()
            await frames.send(await _answer(_parse(data, CallFrame), caller, roles, rows))
    except RPCError as error:
        log.warning("%s: %s", caller, error)
    finally:
        with trio.CancelScope(shield=True):
            await frames.aclose()


async def _answer(
    call: CallFrame, caller: str, roles: frozenset[str], rows: Rows
) -> ResultFrame | ErrorFrame:
    try:
        result = encode(await _run(call, caller, roles, rows))
    except VSphereError as fault:
        error = FaultFrame(type(fault).__name__, fault.message, fault.arguments)
        return ErrorFrame(call.id, error)
    except Exception as defect:
        # A defect must not end the other connections. Only its kind and its place are logged: its
        # text could hold what was passed in.
        log.error("%s failed: %s", call.method, describe(defect))
        return ErrorFrame(call.id, _INTERNAL)
    return ResultFrame(call.id, msgspec.Raw(result))


_INTERNAL: Final = FaultFrame(InternalFault.__name__, "an internal error; see the log")


async def _run(call: CallFrame, caller: str, roles: frozenset[str], rows: Rows) -> Any:
    row = rows.get(call.method) if isinstance(call.method, str) else None
    if row is None:
        raise InvalidArgument("there is no method of this name")
    if row.role not in roles:
        raise NoPermission(f"{caller} lacks the role {row.role}, which {call.method} needs")
    request = decode(call.params, row.request)
    log.info("%s calls %s", caller, call.method)
    return await row.handler(request, caller)


@dataclass(eq=False, slots=True)
class _Connection:
    """A connection that holds a place; see :class:`kmipkit.places.Occupant`."""

    address: str
    silent_since: float | None
    is_authenticated: bool = False
    scope: trio.CancelScope = dataclass_field(default_factory=trio.CancelScope)
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
    trusted certificate.
    """

    def __init__(
        self,
        rows: Rows,
        callers: Mapping[str, frozenset[str]],
        context: ssl.SSLContext | Callable[[], ssl.SSLContext],
        everybody: frozenset[str] = frozenset(),
        revocations: PeerRevocations | None = None,
    ) -> None:
        self._everybody = everybody
        self._revocations = revocations or PeerRevocations.none()
        self._rows = rows
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
        # A caller that is done closes TCP; frames say their length, so nothing can be cut off unseen.
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
        await serve_stream(
            stream,
            caller,
            roles | self._everybody,
            self._rows,
            connection.listens,
            lambda: self._revocations.require_valid(certificate),
        )

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
