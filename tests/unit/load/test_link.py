"""A connection that never blocks, with real sockets and TLS."""

import socket
import ssl
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from kmipkit_load.driver import Driver, Reuse, Work
from kmipkit_load.encoding import Encoding
from kmipkit_load.errors import LinkFailed
from kmipkit_load.link import Link
from kmipkit_load.measures import Measures
from kmipkit_load.network import Sockets
from kmipkit_load.pace import Closed
from kmipkit_load.session import Session
from kmipkit_load.target import Target
from served_key_server import PKI, Serve, closing, http, listening, over_tls
from virtual_network import SECOND, Counting

MESSAGE = bytes.fromhex("42007b0100000000")
"""A response without contents, which is enough for a link."""
LARGE = 30_000_000
"""Bytes that no socket takes at once."""


@pytest.fixture
def pki(tmp_path: Path) -> PKI:
    return PKI(tmp_path / "pki")


def target(address: str, pki: PKI) -> Target:
    files = pki.directory.files("vcenter")
    host, _, port = address.rpartition(":")
    return Target(host, int(port), pki.directory.ca, files.cert, files.key)


class Watching(Sockets):
    """Notes what it waits for."""

    watched: list[bool]

    def watch(self, link: Link, *, writes: bool) -> None:
        self.watched = [*getattr(self, "watched", []), writes]
        super().watch(link, writes=writes)


def reading(size: int) -> Serve:
    def serve(stream: socket.socket) -> None:
        left = size
        while left:
            left -= len(stream.recv(min(left, 1 << 20)))
        for byte in MESSAGE:
            stream.sendall(bytes([byte]))

    return serve


def test_a_large_request_is_sent_in_parts_and_then_only_the_response_is_awaited(pki: PKI) -> None:
    """Else the process would spin, since a socket that can be written always can."""
    with (
        listening(over_tls(pki.context, reading(LARGE))) as address,
        Watching(target(address, pki)) as network,
    ):
        session = Session(network, Encoding())
        assert session.exchange(bytes(LARGE)) == MESSAGE
        assert True in network.watched
        assert network.watched[-1] is False


def resetting(stream: socket.socket) -> None:
    """Closes with a reset instead of an end, as a system does when requests were not read."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (resetting, "the server closed the connection"),
        (closing, "the server closed the connection"),
        (http, "the response is not a KMIP message"),
    ],
)
def test_failures_have_reasons_without_addresses(pki: PKI, serve: Serve, reason: str) -> None:
    """So that equal failures of many connections are counted together."""
    with (
        listening(over_tls(pki.context, serve)) as address,
        Sockets(target(address, pki)) as network,
        pytest.raises(LinkFailed) as failure,
    ):
        Session(network, Encoding()).exchange(MESSAGE)
    assert str(failure.value) == reason


def test_a_server_without_tls(pki: PKI) -> None:
    with (
        listening(http) as address,
        Sockets(target(address, pki)) as network,
        pytest.raises(LinkFailed, match="TLS: the peer does not use TLS"),
    ):
        Session(network, Encoding()).exchange(MESSAGE)


def test_nobody_listens(pki: PKI) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with (
        Sockets(target(address, pki)) as network,
        pytest.raises(LinkFailed, match="cannot connect: Connection refused"),
    ):
        Session(network, Encoding()).exchange(MESSAGE)


def silent(stream: socket.socket) -> None:
    """Reads until the client gives up."""
    while stream.recv(1000):
        pass


def test_a_server_that_does_not_answer(pki: PKI) -> None:
    with (
        listening(over_tls(pki.context, silent)) as address,
        Sockets(target(address, pki)) as network,
        pytest.raises(LinkFailed, match="no response in time"),
    ):
        Session(network, Encoding(), timeout=0.5).exchange(MESSAGE)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("reuse", [Reuse.COLD, Reuse.RESUMED])
def test_what_is_cold_and_what_is_resumed_is_so_at_the_server(
    pki: PKI, reuse: Reuse, version: str
) -> None:
    """The server sees a full handshake for each request, or one for the first of them only."""
    seen: list[bool | None] = []

    def serve(stream: ssl.SSLSocket) -> None:
        seen.append(stream.session_reused)
        stream.recv(100)
        stream.sendall(MESSAGE)
        stream.recv(100)  # until the client has closed: it reads the ticket before

    context = pki.context()  # the same for all connections, as in a real server
    at = listening(over_tls(lambda: context, serve))  # type: ignore[arg-type]  # of a TLS connection
    with at as address, Sockets(replace(target(address, pki), tls=version)) as network:
        measures = Measures(network.now(), None, SECOND)
        network.handshake = measures.handshake
        driver = Driver(network, connections=1, timeout=10 * SECOND, reuse=reuse)
        pace = Closed(measures.begin, measures.begin, None, 8)
        assert driver.run(Work(Counting(), pace, measures, SECOND))
    assert measures.succeeded == measures.handshakes.number == len(seen) == 8
    assert seen.count(True) == measures.resumed == (0 if reuse is Reuse.COLD else 7)
    # The latency of a request has its connection in it.
    assert measures.latency.minimum >= measures.handshakes.minimum
