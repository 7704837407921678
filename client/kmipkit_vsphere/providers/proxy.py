"""A connection to a key server through an HTTP proxy (CONNECT, RFC 9110 §9.3.6)."""

from typing import NamedTuple

import h11
import trio

MAX_ANSWER = 1 << 14


class ProxyAddress(NamedTuple):
    """Where the proxy listens."""

    host: str
    port: int


class ProxyRefused(Exception):
    """The proxy does not open the connection; the text says what it answered."""


async def open_tunnel(proxy: ProxyAddress, address: str, port: int) -> trio.SocketStream:
    """A TCP stream to an address behind a proxy.

    Raises :class:`OSError` if the proxy cannot be reached, and :class:`ProxyRefused` if it does not
    open the connection.
    """
    stream = await trio.open_tcp_stream(proxy.host, proxy.port)
    try:
        await _ask(stream, f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _ask(stream: trio.SocketStream, target: str) -> None:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER)
    request = h11.Request(method="CONNECT", target=target, headers=[("Host", target)])
    try:
        await stream.send_all(connection.send(request) or b"")
        await stream.send_all(connection.send(h11.EndOfMessage()) or b"")
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                # A byte at a time, so that nothing of the key server's TLS is taken.
                connection.receive_data(bytes(await stream.receive_some(1)))
            elif isinstance(event, h11.Response):
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise ProxyRefused("the proxy closed the connection")
    except (h11.ProtocolError, trio.BrokenResourceError) as error:
        raise ProxyRefused(f"the proxy does not answer as it must: {error}") from None
    if not 200 <= event.status_code < 300:
        raise ProxyRefused(f"the proxy answered with status {event.status_code}")
