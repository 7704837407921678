"""What the port for monitoring does when its server ends."""

import socket

import trio
import trio.testing
from kmipkit_server.metrics.pages import Content
from kmipkit_server.metrics.server import SECONDS_AT_THE_END, MonitoringServer
from kmipkit_server.net.sockets import open_sockets

REQUEST = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"


async def rest(stream: trio.SocketStream) -> bytes:
    data = b""
    while chunk := await stream.receive_some():
        data += chunk
    return data


def test_who_has_asked_gets_an_answer_and_who_says_nothing_holds_nobody_up() -> None:
    """A probe saw a broken connection when one of several workers ended, while others still worked."""
    asked, release = trio.Event(), trio.Event()

    async def page(_accept: str) -> Content:
        asked.set()
        await release.wait()
        return Content(503, "text/plain", b"stopping\n")

    async def test() -> None:
        sockets = open_sockets("127.0.0.1", 0)
        server = MonitoringServer({"/readyz": page})
        address = sockets[0].getsockname()[:2]
        with sockets[0], socket.create_connection(address) as quiet:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.serve, sockets)
                stream = await trio.open_tcp_stream(*address)
                await stream.send_all(REQUEST)
                await asked.wait()
                begun = trio.current_time()
                server.stop()
                release.set()
                assert (await rest(stream)).endswith(b"stopping\n")
                await stream.aclose()
            assert trio.current_time() - begun <= SECONDS_AT_THE_END + 0.1
            quiet.settimeout(0)
            assert quiet.recv(1) == b""

    trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0.02))
