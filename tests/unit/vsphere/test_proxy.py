"""Connections to key servers through an HTTP proxy."""

import ssl

import pytest
import trio
from kmipkit_vsphere.model.errors import KeyServerUnreachable
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.proxy import ProxyAddress, ProxyRefused, open_tunnel

ANSWERS = {
    "accepted": (b"HTTP/1.1 200 Connection established\r\n\r\n", ""),
    "accepted after an interim answer": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        "",
    ),
    "refused": (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "status 403"),
    "a password is missing": (b"HTTP/1.1 407 Proxy\r\n\r\n", "status 407"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer as it must"),
    "nothing": (b"", "does not answer as it must"),
    "endless": (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20000, "does not answer as it must"),
}


@pytest.mark.parametrize(("answer", "problem"), ANSWERS.values(), ids=ANSWERS)
def test_a_proxy(answer: bytes, problem: str) -> None:
    requests: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += bytes(await stream.receive_some())
        requests.append(data)
        if answer:
            await stream.send_all(answer + b"" if problem else answer + b"after")
        await stream.aclose()

    async def main() -> None:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            proxy = ProxyAddress("127.0.0.1", port)
            if problem:
                with pytest.raises(ProxyRefused, match=problem):
                    await open_tunnel(proxy, "kms1.example.net", 5696)
                server = TLSKeyServer(
                    "kms1", "kms1.example.net", 5696, ssl.create_default_context(), proxy=proxy
                )
                with pytest.raises(KeyServerUnreachable, match=problem):
                    await server.connect()
                assert await server.retrieve_certificate() is None
            else:
                async with await open_tunnel(proxy, "2001:db8::7", 5696) as stream:
                    assert await stream.receive_some() == b"after", "the proxy took nothing of it"
            nursery.cancel_scope.cancel()

    trio.run(main)
    host = b"kms1.example.net" if problem else b"[2001:db8::7]"
    assert requests[0].startswith(b"CONNECT " + host + b":5696 HTTP/1.1\r\nHost: " + host)


def test_a_proxy_that_is_not_there() -> None:
    async def main() -> None:
        with trio.socket.socket() as socket:
            await socket.bind(("127.0.0.1", 0))
            proxy = ProxyAddress(*socket.getsockname())
            with pytest.raises(OSError):
                await open_tunnel(proxy, "kms1", 5696)

    trio.run(main)
