"""The HTTPS side of the Web Services API: connections, chunks, time limits."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.web_services import application, server, version_document
from kmipkit_vsphere.web_services.application import Application
from kmipkit_vsphere.web_services.endpoint import Endpoint
from kmipkit_vsphere.web_services.objects.updates import Collector
from kmipkit_vsphere.web_services.server import WebServer
from trio.testing import MockClock
from vsphere_scene import Scene, play
from web_lab import certificates, envelope

from kmipkit import places

Client = trio.SSLStream[trio.SocketStream]
Connect = Callable[[], Awaitable[Client]]

SIZE = 8 << 20
"""More than the buffers of a connection hold."""

endpoints: list[Endpoint] = []
"""Of the tests so far; the last one is that of the present test."""

CONTENT = envelope(
    '<RetrieveServiceContent xmlns="urn:vim25">'
    '<_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent>'
)
HEAD = b"POST /sdk HTTP/1.1\r\nHost: x\r\nSOAPAction: urn:vim25/9.1.0.0\r\n"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return certificates(tmp_path_factory.mktemp("pki"))


def serve(
    folder: Path,
    credentials: Credentials,
    test: Callable[[Connect], Awaitable[None]],
    clock: trio.abc.Clock | None = None,
) -> None:
    """Run a test against a server on a free port."""

    async def work(scene: Scene) -> None:
        endpoints.append(Endpoint(scene.vcenter))
        served = WebServer(Application(endpoints[-1]), credentials)
        trusted = ssl.create_default_context(cafile=str(credentials.authorities))
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(served.serve, ("127.0.0.1", 0))

            opened: list[trio.SocketStream] = []

            async def connect() -> Client:
                tcp = await trio.open_tcp_stream(host, port)
                opened.append(tcp)
                return trio.SSLStream(tcp, trusted, server_hostname=host, https_compatible=True)

            try:
                await test(connect)
            finally:
                for tcp in opened:
                    tcp.socket.close()
            nursery.cancel_scope.cancel()

    play(folder, work, clock).close()


async def answer(stream: Client) -> tuple[bytes, bytes]:
    """Head and body of an answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await received(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while len(body) < int(length.partition(b":")[2]):
        body += await received(stream)
    return head, body


async def read_to_the_end(stream: Client) -> int:
    """The number of bytes until the connection is closed or cut."""
    size = 0
    try:
        async for data in stream:
            size += len(data)
    except trio.BrokenResourceError:
        pass
    return size


async def received(stream: Client) -> bytes:
    data = bytes(await stream.receive_some())
    assert data, "the server closed the connection"
    return data


def test_chunks_and_lengths_on_one_connection(tmp_path: Path, credentials: Credentials) -> None:
    async def test(connect: Connect) -> None:
        stream = await connect()
        half = len(CONTENT) // 2
        chunks = [CONTENT[:half], CONTENT[half:], b""]
        await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            await stream.send_all(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        head, body = await answer(stream)
        assert head.startswith(b"HTTP/1.1 200")
        assert b"<rootFolder" in body
        await stream.send_all(HEAD + b"Content-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT)
        assert (await answer(stream))[0].startswith(b"HTTP/1.1 200")
        assert b"server:" not in head.lower()

    serve(tmp_path, credentials, test)


def test_chunks_beyond_the_limit(tmp_path: Path, credentials: Credentials) -> None:
    async def test(connect: Connect) -> None:
        stream = await connect()
        await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b" " * 16384
        for _ in range(application.MAX_BODY_WITHOUT_SESSION // len(chunk) + 1):
            await stream.send_all(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        head, _ = await answer(stream)
        assert head.startswith(b"HTTP/1.1 413")

    serve(tmp_path, credentials, test)


def test_a_body_that_does_not_arrive(tmp_path: Path, credentials: Credentials) -> None:
    async def test(connect: Connect) -> None:
        stream = await connect()
        await stream.send_all(HEAD + b"Content-Length: 100\r\n\r\n")
        head, _ = await answer(stream)
        assert head.startswith(b"HTTP/1.1 408")

    serve(tmp_path, credentials, test, MockClock(autojump_threshold=0.3))


@pytest.mark.parametrize("start", [b"", b"POST /sdk HTTP/1.1\r\nHost: x\r\n"])
def test_a_silent_client_is_left(tmp_path: Path, credentials: Credentials, start: bytes) -> None:
    async def test(connect: Connect) -> None:
        stream = await connect()
        await stream.do_handshake()
        await stream.send_all(start) if start else None
        begin = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - begin <= server.KEEP_ALIVE + 1

    serve(tmp_path, credentials, test, MockClock(autojump_threshold=0.3))


def test_a_client_that_does_not_shake_hands(tmp_path: Path, credentials: Credentials) -> None:
    async def test(connect: Connect) -> None:
        stream = await connect()
        with trio.fail_after(server.HANDSHAKE_TIMEOUT + 5):
            assert await stream.transport_stream.receive_some() == b""

    serve(tmp_path, credentials, test, MockClock(autojump_threshold=0.3))


def test_one_address_cannot_take_all_connections(
    tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are silent the longest make room."""
    monkeypatch.setattr(server, "SHARE", 3)
    monkeypatch.setattr(places, "MIN_SILENCE", 0.0)

    async def test(connect: Connect) -> None:
        silent = [await connect() for _ in range(3)]
        for stream in silent:
            await stream.do_handshake()
        latest = await connect()
        await latest.send_all(HEAD + b"Content-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT)
        assert (await answer(latest))[0].startswith(b"HTTP/1.1 200")
        with pytest.raises((trio.BrokenResourceError, AssertionError)):
            await received(silent[0])

    serve(tmp_path, credentials, test)


def test_a_client_that_takes_no_answer(
    tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sends requests and reads nothing, until the buffers of the network are full."""
    monkeypatch.setattr(version_document, "document", lambda _: b" " * SIZE)
    request = b"GET /sdk/vimServiceVersions.xml HTTP/1.1\r\nHost: x\r\n\r\n"

    async def test(connect: Connect) -> None:
        stream = await connect()
        await stream.send_all(request)
        await trio.sleep(server.SEND_TIMEOUT + 1)
        assert await read_to_the_end(stream) < SIZE

    serve(tmp_path, credentials, test, MockClock(autojump_threshold=0.3))


def test_a_client_that_goes_away_ends_its_wait(
    tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(connect: Connect) -> None:
        began, ended = trio.Event(), trio.Event()

        async def wait(*_: object) -> None:
            began.set()
            try:
                await trio.sleep_forever()
            finally:
                ended.set()

        monkeypatch.setattr(Collector, "wait", wait)
        token, _ = endpoints[-1].sessions.begin("administrator", "", "", "en")
        body = envelope(
            '<WaitForUpdates xmlns="urn:vim25">'
            '<_this type="PropertyCollector">propertyCollector</_this></WaitForUpdates>'
        )
        cookie = f"Cookie: vmware_soap_session={token}\r\n".encode()
        stream = await connect()
        await stream.send_all(HEAD + cookie + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await began.wait()
        await stream.aclose()
        await ended.wait()

    serve(tmp_path, credentials, test)
