"""Calls between vCenter, hosts and their administrators: JSON in frames, over TLS.

A request is ``{id, method, params}``, an answer ``{id, result}`` or ``{id, error: {fault, message,
arguments}}``. One call at a time on a connection; whoever wants more opens more. Nothing of a
call's parameters or results is ever logged, because AddKey and Enable carry keys.

A connection on which something other than a fault happened (time-out, bad frame) is closed: it
cannot be known any more which answer belongs to which call.
"""

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, Self

import trio

from kmipkit_vsphere.model.errors import (
    InternalFault,
    InvalidArgument,
    NoPermission,
    RPCError,
    VSphereError,
    fault_from,
)
from kmipkit_vsphere.rpc.frames import FrameStream
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.rpc.tls import Credentials, certificate_names

HANDSHAKE_TIMEOUT: Final = 30.0
IDLE_TIMEOUT: Final = 3600.0
"""Seconds for a peer to shake hands, and to begin a frame."""
CALL_TIMEOUT: Final = 600.0
CONNECT_TIMEOUT: Final = 5.0
MAX_CONNECTIONS: Final = 256

log = logging.getLogger("kmipkit.vsphere.rpc")

Handler = Callable[[Params], Awaitable[Any]]


class Method(NamedTuple):
    """What serves a method, and the role that a caller must have."""

    role: str
    handler: Handler


class Client:
    """The calling side of one connection. Use :func:`connect` to make one."""

    def __init__(self, stream: trio.abc.Stream, peer: str) -> None:
        self.peer = peer
        self._frames = FrameStream(stream)
        self._lock = trio.Lock()
        self._last = 0
        self._broken = False

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Call a method and return its result.

        Raises the fault that the peer raised, or :class:`RPCError` where none was received;
        the latter ends the connection.
        """
        async with self._lock:
            if self._broken:
                raise RPCError(f"the connection to {self.peer} is closed")
            self._last += 1
            self._broken = True  # until an answer that fits has been received
            try:
                answer = await self._exchange(method, params or {})
            except RPCError as error:
                raise RPCError(f"{method} on {self.peer}: {error.message}") from None
            finally:
                if self._broken:
                    with trio.CancelScope(shield=True):
                        await self._frames.aclose()
        return _result(answer)

    async def _exchange(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        with trio.move_on_after(CALL_TIMEOUT):
            await self._frames.send({"id": self._last, "method": method, "params": params})
            answer = await self._frames.receive()
            if answer is None:
                raise RPCError("the peer closed the connection without an answer")
            if answer.get("id") != self._last:
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


def _result(answer: Mapping[str, Any]) -> Any:
    error = answer.get("error")
    if not isinstance(error, dict):
        return answer.get("result")
    arguments = error.get("arguments")
    raise fault_from(
        str(error.get("fault")),
        str(error.get("message")),
        arguments if isinstance(arguments, dict) else {},
    )


async def connect(address: tuple[str, int], name: str, credentials: Credentials) -> Client:
    """Connect to the role called ``name``; the certificate there must carry this name.

    Raises :class:`RPCError` where nobody listens, the handshake fails or the name is another.
    """
    where = f"{name} at {address[0]}:{address[1]}"
    context = credentials.client_context()
    tcp = await _connect(address, where)
    stream = trio.SSLStream(tcp, context, server_hostname=name)
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            await stream.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(tcp)
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
    stream: trio.abc.Stream, caller: str, roles: frozenset[str], methods: Mapping[str, Method]
) -> None:
    """Answer the calls on one connection until the caller closes it."""
    frames = FrameStream(stream)
    try:
        while True:
            with trio.move_on_after(IDLE_TIMEOUT) as idle:
                request = await frames.receive()
            if idle.cancelled_caught or request is None:
                return
            await frames.send(await _answer(request, caller, roles, methods))
    except RPCError as error:
        log.warning("%s: %s", caller, error)
    finally:
        with trio.CancelScope(shield=True):
            await frames.aclose()


async def _answer(
    request: Mapping[str, Any], caller: str, roles: frozenset[str], methods: Mapping[str, Method]
) -> dict[str, Any]:
    number = request.get("id")
    if type(number) is not int:
        raise RPCError("a request without a number")
    try:
        return {"id": number, "result": await _run(request, caller, roles, methods)}
    except VSphereError as fault:
        return {"id": number, "error": _fault(fault)}
    except Exception as defect:
        # Only the kind of the defect and its place: its text could hold what was passed in.
        log.error("%s failed: %s at %s", request.get("method"), type(defect).__name__, _at(defect))
        return {"id": number, "error": _fault(InternalFault("an internal error; see the log"))}


def _at(defect: BaseException) -> str:
    where = defect.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "unknown"


def _fault(fault: VSphereError) -> dict[str, Any]:
    name = type(fault).__name__
    return {"fault": name, "message": fault.message, "arguments": fault.arguments}


async def _run(
    request: Mapping[str, Any], caller: str, roles: frozenset[str], methods: Mapping[str, Method]
) -> Any:
    name, params = request.get("method"), request.get("params")
    method = methods.get(name) if isinstance(name, str) else None
    if method is None:
        raise InvalidArgument("there is no method of this name")
    if method.role not in roles:
        raise NoPermission(f"{caller} lacks the role {method.role}, which {name} needs")
    if not isinstance(params, dict):
        raise InvalidArgument("params must be an object")
    log.info("%s calls %s", caller, name)
    return await method.handler(Params(params, caller=caller))


class Server:
    """The called side: listens, checks who calls, and answers with a table of methods.

    ``context`` may be a function, which is asked for each connection. ``callers`` maps the name in
    a caller's certificate to the caller's roles; ``everybody`` are the
    roles of all who have a trusted certificate.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        callers: Mapping[str, frozenset[str]],
        context: ssl.SSLContext | Callable[[], ssl.SSLContext],
        everybody: frozenset[str] = frozenset(),
    ) -> None:
        self._everybody = everybody
        self._methods = methods
        self._callers = callers
        self._context = context if callable(context) else lambda: context
        self._places = trio.Semaphore(MAX_CONNECTIONS)

    async def serve(
        self,
        address: tuple[str, int],
        *,
        task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled; the task status is the address in use (port 0: any free one)."""
        host, port = address
        listeners = await trio.open_tcp_listeners(port, host=host)
        found = listeners[0].socket.getsockname()
        task_status.started((found[0], found[1]))
        await trio.serve_listeners(self.handle, listeners)

    async def handle(self, tcp: trio.abc.Stream) -> None:
        """Serve one connection: handshake, then calls."""
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            log.warning("refused a connection: %d are open", MAX_CONNECTIONS)
            await trio.aclose_forcefully(tcp)
            return
        try:
            await self._handle(tcp)
        finally:
            self._places.release()

    async def _handle(self, tcp: trio.abc.Stream) -> None:
        stream = trio.SSLStream(tcp, self._context(), server_side=True)
        names = await self._shake_hands(stream)
        if names is None:
            await trio.aclose_forcefully(tcp)
            return
        known = sorted(names & set(self._callers))
        roles = frozenset(role for name in known for role in self._callers[name])
        caller = known[0] if known else ", ".join(sorted(names)) or "a caller without a name"
        await serve_stream(stream, caller, roles | self._everybody, self._methods)

    async def _shake_hands(
        self, stream: "trio.SSLStream[trio.abc.Stream]"
    ) -> frozenset[str] | None:
        with trio.move_on_after(HANDSHAKE_TIMEOUT):
            try:
                await stream.do_handshake()
            except (trio.BrokenResourceError, ssl.SSLError) as error:
                log.warning("a TLS handshake failed: %s", error.__cause__ or error)
                return None
            return certificate_names(stream.getpeercert())
        log.warning("a TLS handshake took longer than %.0f s", HANDSHAKE_TIMEOUT)
        return None
