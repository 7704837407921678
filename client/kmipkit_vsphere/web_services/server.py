"""HTTPS by hypercorn: its protocol on connections that are counted and limited here."""

import logging
import ssl
from typing import Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from kmipkit.places import Full, Places
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.web_services.application import Application

MAX_CONNECTIONS: Final = 256
SHARE: Final = MAX_CONNECTIONS * 3 // 4
"""Connections from one address: the others have a reserve."""
KEEP_ALIVE: Final = 75.0
"""Seconds between two requests, and for the head of a request."""
HANDSHAKE_TIMEOUT: Final = 30.0
SEND_TIMEOUT: Final = 60.0
"""Seconds for a client to take an answer."""
MAX_HEAD: Final = 16 << 10
MAX_REQUESTS: Final = 100_000
"""Of one connection."""

log = logging.getLogger("kmipkit.vsphere.web_services")


class _Connection:
    """A connection that holds a place."""

    is_authenticated = False
    """Sessions are not bound to connections."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.scope = trio.CancelScope()
        self.silent_since: float | None = trio.current_time()

    def end(self, reason: str) -> None:
        """End it."""
        log.warning("%s: closed: %s", self.address, reason)
        self.scope.cancel()


class _Protocol(TCPServer):
    """Hypercorn's handling of one connection, which also says when it waits for its peer."""

    def __init__(
        self,
        application: ASGIWrapper,
        config: Config,
        stream: trio.SSLStream[trio.SocketStream],
        connection: _Connection,
    ) -> None:
        super().__init__(application, config, WorkerContext(None), ConnectionState({}), stream)
        self._connection = connection

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send(event.data)
            return
        if isinstance(event, Updated):
            self._connection.silent_since = trio.current_time() if event.idle else None
        await super().protocol_send(event)

    async def _send(self, data: bytes) -> None:
        """Send within a limit, and unlike hypercorn's own way so that it can be cancelled."""
        async with self.send_lock:
            try:
                with trio.fail_after(SEND_TIMEOUT):
                    await self.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                await trio.aclose_forcefully(self.stream)
                await self.protocol.handle(Closed())


class WebServer:
    """Serves an application over TLS."""

    def __init__(self, application: Application, credentials: Credentials) -> None:
        self._application = ASGIWrapper(application)  # type: ignore[arg-type]  # plain mappings
        self._context = _tls(credentials)
        self._config = _configuration()
        self._places: Places[_Connection] = Places(
            MAX_CONNECTIONS, SHARE, MAX_CONNECTIONS, trio.current_time, _Connection.end
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
        await trio.serve_listeners(self._handle, listeners)

    async def _handle(self, tcp: trio.SocketStream) -> None:
        try:
            connection = _Connection(str(tcp.socket.getpeername()[0]))
        except OSError:  # it has gone already
            await trio.aclose_forcefully(tcp)
            return
        try:
            self._places.enter(connection)
            with connection.scope, contained(log, f"the connection from {connection.address}"):
                stream = trio.SSLStream(tcp, self._context, server_side=True, https_compatible=True)
                await _Protocol(self._application, self._config, stream, connection).run()
        except Full as full:
            log.warning("%s: connection refused: %s", connection.address, full)
        finally:
            self._places.leave(connection)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(tcp)


def _tls(credentials: Credentials) -> ssl.SSLContext:
    """With vCenter's own certificate; users log in, so that clients need none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    credentials.load_own(context)
    return context


def _configuration() -> Config:
    config = Config()
    config.errorlog = log
    config.accesslog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = MAX_HEAD
    config.keep_alive_timeout = KEEP_ALIVE
    config.keep_alive_max_requests = MAX_REQUESTS
    config.ssl_handshake_timeout = HANDSHAKE_TIMEOUT
    return config
