"""Load on a server: raw requests on TLS connections, from one event loop, as fast as possible."""

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

Requests = Iterator[bytes]


def context(pki: Path) -> ssl.SSLContext:
    """The TLS settings of a client that all servers of the benchmark accept."""
    settings = ssl.create_default_context(cafile=pki / "ca.crt")
    settings.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return settings


def connect(port: int, settings: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection after its handshake."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=120)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return settings.wrap_socket(sock, server_hostname="127.0.0.1")


def read(stream: ssl.SSLSocket) -> bytes:
    """Read one response."""
    data = b""
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[4:8], "big"):
        chunk = stream.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        data += chunk
    return data


def exchange(stream: ssl.SSLSocket, request: bytes) -> bytes:
    """Send one request and wait for its response."""
    stream.sendall(request)
    return read(stream)


@dataclass(slots=True)
class _Peer:
    stream: ssl.SSLSocket
    data: bytes = b""

    def response(self) -> bytes:
        """The response, once it is complete."""
        try:
            while True:
                self.data += self.stream.recv(65536)
                if len(self.data) >= 8 and len(self.data) >= 8 + int.from_bytes(
                    self.data[4:8], "big"
                ):
                    response, self.data = self.data, b""
                    return response
        except ssl.SSLWantReadError:
            return b""


@dataclass(slots=True)
class Load:
    """Requests on several persistent connections."""

    port: int
    settings: ssl.SSLContext
    requests: Requests
    connections: int = 8
    check: Callable[[bytes], None] | None = None
    _peers: dict[int, _Peer] = field(default_factory=dict)

    def rate(self, seconds: float, warm_up: float = 0.5) -> float:
        """Responses per second."""
        poll = select.epoll()
        try:
            for _ in range(self.connections):
                stream = connect(self.port, self.settings)
                stream.setblocking(False)
                self._peers[stream.fileno()] = _Peer(stream)
                poll.register(stream.fileno(), select.EPOLLIN)
            for peer in self._peers.values():
                peer.stream.send(next(self.requests))
            self._pump(poll, time.perf_counter() + warm_up)
            started = time.perf_counter()
            count = self._pump(poll, started + seconds)
            return count / (time.perf_counter() - started)
        finally:
            poll.close()
            for peer in self._peers.values():
                peer.stream.close()
            self._peers.clear()

    def _pump(self, poll: select.epoll, until: float) -> int:
        count = 0
        while time.perf_counter() < until:
            for number, _ in poll.poll(1.0):
                peer = self._peers[number]
                response = peer.response()
                if response:
                    count += 1
                    if self.check is not None:
                        self.check(response)
                    peer.stream.send(next(self.requests))
        return count


def cold_rate(port: int, settings: ssl.SSLContext, request: bytes, seconds: float) -> float:
    """Connections per second, each with handshake, one request, its response, and close."""
    started = time.perf_counter()
    count = 0
    while time.perf_counter() < started + seconds:
        with connect(port, settings) as stream:
            exchange(stream, request)
        count += 1
    return count / (time.perf_counter() - started)
