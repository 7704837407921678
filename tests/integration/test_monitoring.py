"""The port for monitoring of a running server: what it shows of connections, and its TLS."""

import json
import re
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kmipkit_certs import files
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.credentials import load_certificates
from kmipkit_client import OperationFailed, calls, messages
from monitoring import families, fetch, value
from servers import RunningServer, exchange

from kmipkit.model.codec import encode
from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.versions import V1_4

QUERY = encode(messages.request(V1_4, [calls.query(())]), V1_4)


def configured(server: RunningServer, text: str = "") -> RunningServer:
    path = server.folder.with_name("server.toml")
    path.write_text(f'[metrics]\nlisten = "127.0.0.1:0"\n{text}')
    server.arguments = ("--config", str(path))
    return server.start()


def url(server: RunningServer, page: str) -> str:
    [base] = re.findall(r", metrics (\S+)/metrics$", server.ready.strip())
    return f"{base}/{page}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("watched") / "data")
    try:
        yield configured(server)
    finally:
        server.end()


def count(server: RunningServer, name: str, **labels: str) -> float:
    return value(families(fetch(url(server, "metrics"))), name, **labels)


def context_of(
    server: RunningServer, name: str, authority: Authority, begin: datetime, purpose: Purpose
) -> ssl.SSLContext:
    written = server.pki.files(name)
    made = authority.issue(name, purpose, begin, days=1)
    files.write_key(written.key, made.key)
    files.write_certificate(written.cert, made.certificate)
    context = ssl.create_default_context(cafile=server.pki.ca)
    context.load_cert_chain(written.cert, written.key)
    return context


def stranger(server: RunningServer) -> ssl.SSLContext:
    now = datetime.now(UTC)
    other = Authority.create("Fremde CA", "ecdsa-p256", now)
    return context_of(server, "stranger", other, now, Purpose.CLIENT)


def dated(days: int) -> Callable[[RunningServer], ssl.SSLContext]:
    def context(server: RunningServer) -> ssl.SSLContext:
        begin = datetime.now(UTC) + timedelta(days=days)
        return context_of(server, f"dated{days}", server.pki.authority(), begin, Purpose.CLIENT)

    return context


def server_only(server: RunningServer) -> ssl.SSLContext:
    now = datetime.now(UTC)
    return context_of(server, "only", server.pki.authority(), now, Purpose.SERVER)


def old_version(server: RunningServer) -> ssl.SSLContext:
    context = server.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def odd_cipher(server: RunningServer) -> ssl.SSLContext:
    context = server.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ARIA256-GCM-SHA384:ECDHE-ECDSA-CAMELLIA256-SHA384:CAMELLIA")
    return context


def distrustful(server: RunningServer) -> ssl.SSLContext:
    context = ssl.create_default_context()
    files_of_client = server.credentials()
    context.load_cert_chain(files_of_client["cert"], files_of_client["key"])
    return context


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (lambda server: server.context(None), "no_certificate"),
        (stranger, "unknown_authority"),
        (dated(-30), "certificate_expired"),
        (dated(30), "certificate_not_yet_valid"),
        (server_only, "wrong_purpose"),
        (old_version, "protocol_version"),
        (odd_cipher, "no_shared_cipher"),
        (distrustful, "refused_by_client"),
    ],
)
def test_a_failed_handshake_is_counted_by_its_reason(
    watched: RunningServer, context: Callable[[RunningServer], ssl.SSLContext], reason: str
) -> None:
    labels = {"reason": reason}
    before = count(watched, "kmipkit_handshake_failures_total", **labels)
    plain = watched.connect()
    with (
        suppress(OSError),
        context(watched).wrap_socket(plain, server_hostname="127.0.0.1") as stream,
    ):
        exchange(stream, QUERY)
    plain.close()
    assert count(watched, "kmipkit_handshake_failures_total", **labels) == before + 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", "not_tls"),
        (QUERY, "not_tls"),
        (b"", "closed_by_client"),
    ],
)
def test_what_is_no_handshake_is_counted(watched: RunningServer, data: bytes, reason: str) -> None:
    before = count(watched, "kmipkit_handshake_failures_total", reason=reason)
    with watched.connect() as plain:
        plain.sendall(data)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass
    assert count(watched, "kmipkit_handshake_failures_total", reason=reason) == before + 1


def test_connections_and_operations_are_counted(watched: RunningServer) -> None:
    def counts() -> tuple[float, ...]:
        metrics = families(fetch(url(watched, "metrics")))
        return (
            value(metrics, "kmipkit_connections_accepted_total"),
            value(metrics, "kmipkit_handshakes_total"),
            value(metrics, "kmipkit_operations_total", operation="Create", outcome="success"),
            value(metrics, "kmipkit_operations_total", operation="Get", outcome="failure"),
        )

    before = counts()
    with watched.client() as kms:
        kms.create(CryptographicAlgorithm.AES, 256)
        with pytest.raises(OperationFailed):
            kms.get("nichts")
        assert count(watched, "kmipkit_connections_open") >= 1
    assert [new - old for old, new in zip(before, counts(), strict=True)] == [1, 1, 1, 1]
    metrics = families(fetch(url(watched, "metrics")))
    for role in ("server", "client-authority"):
        days = [
            sample.value
            for sample in metrics["kmipkit_certificate_days_left"].samples
            if sample.labels["role"] == role
        ]
        assert days
        assert min(days) > 0


def test_no_secret_and_no_name_of_a_client_is_in_the_metrics(watched: RunningServer) -> None:
    with watched.client("böse client") as kms:
        made = kms.create(CryptographicAlgorithm.AES, 256, name="geheimer Name")
    body = fetch(url(watched, "metrics")).body
    assert not [text for text in ("böse", "geheim", str(made)) if text in body]


def test_the_pages_of_health(watched: RunningServer) -> None:
    alive, ready = fetch(url(watched, "healthz")), fetch(url(watched, "readyz"))
    assert (alive.status, ready.status) == (200, 200)
    assert json.loads(ready.body)["status"] == "ready"
    assert set(json.loads(ready.body)["checks"]) >= {"serving", "certificate", "store"}


def test_a_server_that_stops_is_not_ready_until_its_last_request_is_done(
    own_server: RunningServer,
) -> None:
    server = configured(own_server)
    with server.raw() as stream:
        exchange(stream, QUERY + QUERY[:-1])  # then it has also read the part of the second one
        server.signal(signal.SIGTERM)
        while (reply := fetch(url(server, "readyz"))).status == 200:
            pass
        serving = json.loads(reply.body)["checks"]["serving"]
        assert serving["status"] == "failed"
        # The signal reaches one of several workers after another.
        assert re.fullmatch(r"(worker \d: )?the server is stopping", serving["reason"])
        assert exchange(stream, QUERY[-1:])
    assert server.reap() == 0


def fetch_for_ever(address: str, context: ssl.SSLContext) -> None:
    """Until the server has read the list."""
    while True:
        fetch(address, context=context)


@pytest.mark.parametrize("mode", ["server", "mutual"])
def test_the_port_can_use_tls(own_server: RunningServer, mode: str) -> None:
    server = configured(own_server, f'tls = "{mode}"')
    assert url(server, "").startswith("https://")
    assert fetch(url(server, "healthz"), context=server.context()).status == 200
    anonymous = server.context(None)
    if mode == "server":
        assert fetch(url(server, "healthz"), context=anonymous).status == 200
    else:
        with pytest.raises(OSError):
            fetch(url(server, "healthz"), context=anonymous)
        admin = server.context()
        server.pki.revoke(load_certificates(server.pki.files("admin").cert), datetime.now(UTC))
        server.signal(signal.SIGHUP)
        with pytest.raises(OSError):
            fetch_for_ever(url(server, "healthz"), admin)


def test_a_port_that_is_in_use_is_an_error(own_server: RunningServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = tmp_path / "c.toml"
        path.write_text(f'[metrics]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n')
        own_server.arguments = ("--config", str(path))
        with pytest.raises(AssertionError, match="cannot listen on 127"):
            own_server.start()


def test_there_is_no_such_port_by_default(own_server: RunningServer) -> None:
    assert "metrics" not in own_server.start().ready
