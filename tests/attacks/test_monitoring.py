"""Somebody who reaches the port for monitoring can read its pages, and do no harm."""

import errno
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trio.testing
from kmipkit_certs.development import ensure
from kmipkit_server.metrics.collector import build_info
from kmipkit_server.metrics.pages import OPEN_METRICS, Content, encode
from kmipkit_server.metrics.server import MAX_CONNECTIONS, MAX_HEAD, SECONDS, MonitoringServer
from kmipkit_server.net.sockets import open_sockets
from kmipkit_server.net.tls import TLSFiles

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ALIVE = b"alive\n"


async def page(_accept: str) -> Content:
    return Content(200, "text/plain", ALIVE)


async def long_page(_accept: str) -> Content:
    return Content(200, "text/plain", bytes(32 << 20))


@asynccontextmanager
async def serving(
    context: Callable[[], ssl.SSLContext] | None = None,
) -> AsyncIterator[Callable[[], "trio.SocketStream"]]:
    """Connections to a server with two pages."""
    sockets = open_sockets("127.0.0.1", 0)
    streams: list[trio.SocketStream] = []
    address = sockets[0].getsockname()
    server = MonitoringServer({"/healthz": page, "/long": long_page}, context)

    def connect() -> trio.SocketStream:
        # Without waiting: in the backlog, a connection on this machine is open at once.
        raw = socket.create_connection(address)
        raw.setblocking(False)
        streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(raw)))
        return streams[-1]

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve, sockets)
            yield connect
            nursery.cancel_scope.cancel()
    finally:
        for each in (*sockets, *(stream.socket for stream in streams)):
            each.close()


async def rest(stream: trio.SocketStream) -> bytes:
    """Everything until the server closes, also if it resets the connection."""
    data = b""
    try:
        while chunk := await stream.receive_some():
            data += chunk
    except trio.BrokenResourceError:
        pass
    return data


async def answer(stream: trio.SocketStream, request: bytes = REQUEST) -> bytes:
    await stream.send_all(request)
    return await rest(stream)


def run(test: Callable[[], object], *, is_virtual: bool = False) -> None:
    """With a virtual clock, which jumps when everybody waits for more than a moment."""
    clock = trio.testing.MockClock(autojump_threshold=0.02) if is_virtual else None
    trio.run(test, clock=clock)  # type: ignore[arg-type]  # each is a coroutine function


def test_a_client_that_says_nothing_is_disconnected() -> None:
    async def test() -> None:
        async with serving() as connect:
            begun = trio.current_time()
            assert await rest(connect()) == b""
            assert SECONDS <= trio.current_time() - begun < SECONDS + 5

    run(test, is_virtual=True)


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01", REQUEST])
def test_a_handshake_that_does_not_end_holds_neither_place_nor_file(
    first: bytes, tmp_path: Path
) -> None:
    """A socket that is left open is a warning, which fails the test."""
    files = ensure(tmp_path, hosts=("127.0.0.1",), clients=(), clock=lambda: datetime.now(UTC))
    material = TLSFiles(((files.server_cert, files.server_key),), files.ca).load()
    context = material.server_context()

    async def test() -> None:
        async with serving(lambda: context) as connect:
            for _ in range(3):
                streams = [connect() for _ in range(MAX_CONNECTIONS)]
                for stream in streams:
                    await stream.send_all(first)
                for stream in streams:
                    assert ALIVE not in await rest(stream)
        gc.collect()

    run(test, is_virtual=True)


def test_a_client_that_sends_a_byte_now_and_then_gains_nothing() -> None:
    async def trickle(stream: trio.SocketStream) -> None:
        try:
            for byte in REQUEST:
                await stream.send_all(bytes([byte]))
                await trio.sleep(1)
        except trio.BrokenResourceError:
            pass

    async def test() -> None:
        async with serving() as connect:
            begun = trio.current_time()
            stream = connect()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trickle, stream)
                assert await rest(stream) == b""
                nursery.cancel_scope.cancel()
            assert trio.current_time() - begun < SECONDS + 5

    run(test, is_virtual=True)


def test_a_client_that_does_not_read_is_disconnected() -> None:
    async def test() -> None:
        async with serving() as connect:
            stream = connect()
            await stream.send_all(REQUEST.replace(b"/healthz", b"/long"))
            await trio.sleep(SECONDS + 5)
            assert len(await rest(stream)) < 32 << 20

    run(test, is_virtual=True)


def test_many_silent_connections_shut_out_nobody_for_long() -> None:
    async def test() -> None:
        async with serving() as connect:
            silent = [connect() for _ in range(3 * MAX_CONNECTIONS)]
            assert await rest(silent[-1]) == b"", "beyond the limit, at once"
            assert trio.current_time() < SECONDS
            await trio.sleep(SECONDS + 5)
            assert (await answer(connect())).endswith(ALIVE)

    run(test, is_virtual=True)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /%2e%2e/\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (
            b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + bytes(9999),
            405,
        ),
        (b"DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9 * MAX_HEAD + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 9 * MAX_HEAD, 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"A: b\r\n" * MAX_HEAD, 431),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600), 400),
        (b"\r\n" * 9 * MAX_HEAD, 400),
        (bytes(9 * MAX_HEAD), 400),
    ],
)
def test_what_is_no_request_for_a_page_gets_a_status_and_the_end(
    request_: bytes, status: int
) -> None:
    async def test() -> None:
        async with serving() as connect:
            reply = await answer(connect(), request_)
            assert reply.startswith(b"HTTP/1.1 %d " % status)
            assert b"passwd" not in reply, "the page does not repeat what it is told"
            assert (await answer(connect())).endswith(ALIVE), "service goes on"

    run(test)


@pytest.mark.parametrize(
    ("accept", "is_open"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("APPLICATION/OpenMetrics-Text;version=1.0.0;q=0.8,text/plain;q=0.5", True),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.5", False),
        ("application/openmetrics-text; q=0", False),
        ("application/openmetrics-text; q=nan", False),
        ("application/openmetrics-text; q=viel", False),
        ("application/openmetrics-text; version=9\r\nX: y; escaping=x", True),
        ("text/plain; version=x", False),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.2,text/plain;version=1.0.0;q=0.3,*/*;q=0.1",
            True,
        ),
        (",;=," * 2000, False),
    ],
)
def test_what_a_client_accepts_chooses_the_format_and_nothing_else(
    accept: str, is_open: bool
) -> None:
    """The library would repeat parts of the header, or fail."""
    content = encode(build_info(), accept)
    media_type = OPEN_METRICS if is_open else "text/plain; version=0.0.4"
    assert content.media_type.startswith(media_type)
    assert "\r" not in content.media_type


def test_a_second_request_on_a_connection_is_not_carried_out() -> None:
    async def test() -> None:
        async with serving() as connect:
            assert (await answer(connect(), REQUEST * 100)).count(ALIVE) == 1

    run(test)


def test_a_head_has_no_body_and_an_early_end_does_no_harm() -> None:
    async def test() -> None:
        async with serving() as connect:
            head = await answer(connect(), REQUEST.replace(b"GET", b"HEAD"))
            assert head.startswith(b"HTTP/1.1 200 ")
            assert head.endswith(b"\r\n\r\n")
            for part in (b"", REQUEST[:9], REQUEST):
                stream = connect()
                await stream.send_all(part)
                await stream.aclose()
            assert (await answer(connect())).endswith(ALIVE)

    run(test)


def test_lack_of_file_descriptors_does_not_end_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "too many open files")]

        def failing(self: socket.socket) -> object:
            if failures:
                raise failures.pop()
            return accept(self)

        async with serving() as connect:
            monkeypatch.setattr(socket.socket, "accept", failing)
            assert (await answer(connect())).endswith(ALIVE)

    run(test)
