"""On anyio, hence under trio and asyncio."""

import time

import anyio
from anyio.abc import ByteStream

from kmipkit_client._network.reasons import broken, connecting
from kmipkit_client.errors import ConnectionFailed, TimedOut
from kmipkit_client.settings import Settings

Lock = anyio.Lock


class Stream:
    """A TLS connection. Each call has a deadline on the clock of :func:`time.monotonic`."""

    def __init__(self, stream: ByteStream, where: str) -> None:
        self._stream = stream
        self._where = where

    async def send(self, data: bytes, deadline: float) -> None:
        """Send all; ConnectionFailed or TimedOut if not possible."""
        try:
            with anyio.fail_after(deadline - time.monotonic()):
                await self._stream.send(data)
        except TimeoutError:
            raise TimedOut(f"{self._where}: takes no data") from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise broken(self._where, error) from None

    async def receive(self, deadline: float) -> bytes:
        """Some bytes, none when the server has closed; ConnectionFailed or TimedOut."""
        try:
            with anyio.fail_after(deadline - time.monotonic()):
                return await self._stream.receive(65536)
        except anyio.EndOfStream:
            return b""
        except TimeoutError:
            raise TimedOut(f"{self._where}: no answer in time") from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise broken(self._where, error) from None

    async def close(self) -> None:
        """Close without waiting for the server; never raises."""
        await anyio.aclose_forcefully(self._stream)


async def connect(settings: Settings) -> Stream:
    """Connect and shake hands; ConnectionFailed or TimedOut if not possible."""
    where = f"{settings.host}:{settings.port}"
    try:
        with anyio.fail_after(settings.connect_timeout):
            stream = await anyio.connect_tcp(
                settings.host,
                settings.port,
                ssl_context=settings.context,
                tls_hostname=settings.server_name,
                tls_standard_compatible=False,
            )
    except TimeoutError:
        raise TimedOut(f"{where}: no connection in {settings.connect_timeout:g} s") from None
    except (OSError, ConnectionFailed, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise connecting(where, error) from None
    return Stream(stream, where)
