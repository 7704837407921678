"""Connections by anyio, for trio and asyncio."""

import selectors
import socket
import ssl

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from kmipkit_client._network.reasons import connect_failed, transfer_failed
from kmipkit_client.deadline import Deadline
from kmipkit_client.endpoints import Endpoint
from kmipkit_client.errors import ConnectionFailed, TimedOut
from kmipkit_client.settings import Settings

sleep = anyio.sleep


class Slots:
    """Permits for a number of connections."""

    def __init__(self, count: int) -> None:
        self._semaphore = anyio.Semaphore(count)

    async def take(self, deadline: Deadline) -> bool:
        """Wait for a permit; False if there is none in time."""
        with anyio.move_on_after(deadline.left()):
            await self._semaphore.acquire()
            return True
        return False

    def give_back(self) -> None:
        """Return a permit."""
        self._semaphore.release()


_PATIENCE = 0.01
"""Seconds to wait for data on a readable socket, which may have a TLS session ticket only."""


def _is_readable(sock: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


class Stream:
    """A TLS connection."""

    def __init__(self, stream: ByteStream, address: str) -> None:
        self._stream = stream
        self._tls = stream.extra(TLSAttribute.ssl_object)  # noqa: S610 - not Django's
        self._socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
        self._address = address

    async def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all bytes; ConnectionFailed or TimedOut if that is not possible."""
        try:
            with anyio.fail_after(deadline.remaining()):
                await self._stream.send(data)
        except TimeoutError:
            raise TimedOut(
                f"{self._address}: the server did not accept the request in time"
            ) from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise transfer_failed(self._address, error) from None

    async def receive(self, deadline: Deadline) -> bytes:
        """Receive some bytes; none when the server has closed. ConnectionFailed or TimedOut."""
        try:
            with anyio.fail_after(deadline.remaining()):
                return await self._stream.receive(65536)
        except anyio.EndOfStream:
            return b""
        except TimeoutError:
            raise TimedOut(f"{self._address}: the server did not respond in time") from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise transfer_failed(self._address, error) from None

    async def unread(self) -> bytes | None:
        """Bytes that have already arrived: none when the server has closed, None if there are none."""
        try:
            return self._tls.read(65536)  # what an earlier reception has left
        except ssl.SSLWantReadError:
            pass
        except OSError as error:
            raise transfer_failed(self._address, error) from None
        if not _is_readable(self._socket):
            return None
        try:
            return await self.receive(Deadline(_PATIENCE))
        except TimedOut:
            return None

    async def close(self) -> None:
        """Close the connection without waiting for the server; never raises."""
        await anyio.aclose_forcefully(self._stream)


async def connect(settings: Settings, endpoint: Endpoint, deadline: Deadline) -> Stream:
    """Open a TLS connection; ConnectionFailed or TimedOut if that is not possible."""
    seconds = deadline.left()
    try:
        with anyio.fail_after(seconds):
            stream = await anyio.connect_tcp(
                endpoint.host,
                endpoint.port,
                ssl_context=settings.tls.context(),
                tls_hostname=settings.expected_name(endpoint),
                tls_standard_compatible=False,
            )
    except TimeoutError:
        raise TimedOut(f"{endpoint}: no connection within {seconds:.3g} s") from None
    except (
        OSError,
        UnicodeError,  # for names that DNS cannot have
        ConnectionFailed,
        anyio.BrokenResourceError,
        anyio.EndOfStream,
    ) as error:
        raise connect_failed(endpoint, error) from None
    return Stream(stream, str(endpoint))
