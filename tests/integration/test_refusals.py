"""Whoever is refused is told why, every time: the reason is never lost in a reset connection."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from kmipkit_certs import files
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import ConnectionFailed, OperationFailed, calls, messages
from servers import ANSWER_TIMEOUT, RunningServer, exchange, read_message

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.versions import V1_4

TRIES = 40
QUERY = encode(messages.request(V1_4, [calls.query(())]), V1_4)
MUCH = QUERY * 200
"""More than the server reads at once: a part is unread when it closes."""


class Refusal(NamedTuple):
    """Whom the server refuses, what they send, and the reason that they get."""

    context: Callable[[RunningServer], ssl.SSLContext]
    reason: str
    data: bytes = MUCH
    reason_in_1_2: str = ""


def anybody(server: RunningServer) -> ssl.SSLContext:
    return server.context()


def nobody(server: RunningServer) -> ssl.SSLContext:
    return server.context(None)


def stranger(server: RunningServer) -> ssl.SSLContext:
    now = datetime.now(UTC)
    return issued(server, "stranger", Authority.create("another CA", "ecdsa-p256", now), now)


def expired(server: RunningServer) -> ssl.SSLContext:
    past = datetime.now(UTC) - timedelta(days=30)
    return issued(server, "expired", server.pki.authority(), past)


def issued(server: RunningServer, name: str, authority: Authority, now: datetime) -> ssl.SSLContext:
    written = server.pki.files(name)
    if not written.cert.exists():
        made = authority.issue(name, Purpose.CLIENT, now, days=1)
        files.write_key(written.key, made.key)
        files.write_certificate(written.cert, made.certificate)
    return server.context(name)


REFUSALS = {
    "no certificate": Refusal(
        nobody, "CERTIFICATE_REQUIRED", reason_in_1_2="ALERT_HANDSHAKE_FAILURE"
    ),
    "unknown authority": Refusal(stranger, "ALERT_UNKNOWN_CA"),
    "expired certificate": Refusal(expired, "ALERT_CERTIFICATE_EXPIRED"),
    "bad request": Refusal(anybody, "INVALID_MESSAGE", b"\x42\x00\x78\x02" + MUCH),
}


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return ssl.TLSVersion[request.param]


def told(port: int, context: ssl.SSLContext, data: bytes) -> str:
    """The reason that a client sees who sends its requests and then reads."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as stream,
        ):
            stream.sendall(data)
            answer = read_message(stream)
    except ssl.SSLError as error:
        return str(error.reason)
    except OSError as error:
        return type(error).__name__
    if not answer:
        return "closed"
    [item] = decode_response(answer)[0].batch_items
    return f"{item.result_reason.name}: {item.result_message}"


def reasons(
    server: RunningServer, context: ssl.SSLContext, version: ssl.TLSVersion, data: bytes
) -> list[str]:
    context.minimum_version = context.maximum_version = version
    return [told(server.port, context, data) for _ in range(TRIES)]


@pytest.mark.parametrize("name", REFUSALS)
def test_the_reason_arrives(server: RunningServer, version: ssl.TLSVersion, name: str) -> None:
    refusal = REFUSALS[name]
    expected = refusal.reason
    if version is ssl.TLSVersion.TLSv1_2 and refusal.reason_in_1_2:
        expected = refusal.reason_in_1_2
    found = reasons(server, refusal.context(server), version, refusal.data)
    assert [reason for reason in found if expected not in reason] == []


def configured(server: RunningServer, tmp_path: Path, text: str) -> RunningServer:
    config = tmp_path / "kms.toml"
    config.write_text(text)
    server.arguments = ("--config", str(config))
    return server.start()


def test_a_certificate_that_names_nobody_is_answered(
    own_server: RunningServer, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    server = configured(own_server, tmp_path, '[identity]\nsource = "san"\n')
    found = reasons(server, server.context(), version, MUCH)
    assert len(set(found)) == 1
    assert found[0].startswith("AUTHENTICATION_NOT_SUCCESSFUL: ")
    assert "Alternative" in found[0]
    with server.client() as client, pytest.raises(OperationFailed, match="Alternative"):
        client.query()


@contextmanager
def kept_busy(stream: ssl.SSLSocket) -> Iterator[None]:
    """A client that is never silent long enough to make room for another one."""
    end = threading.Event()
    begun = threading.Event()

    def work() -> None:
        while not end.is_set():
            assert exchange(stream, QUERY)
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        assert begun.wait(ANSWER_TIMEOUT)
        try:
            yield
        finally:
            end.set()
        done.result(ANSWER_TIMEOUT)


def test_one_connection_too_many_is_told_so(
    own_server: RunningServer, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    server = configured(own_server, tmp_path, "[limits]\nconnections = 1\n")
    with server.raw() as stream, kept_busy(stream):  # the one that is served
        found = reasons(server, server.context(), version, MUCH)
        assert [reason for reason in found if "ALERT_INTERNAL_ERROR" not in reason] == []
        with (
            server.client() as client,
            pytest.raises(ConnectionFailed, match="accepts no more connections"),
        ):
            client.query()


def test_a_time_out_closes_and_does_not_reset(
    own_server: RunningServer, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    server = configured(own_server, tmp_path, "[limits]\nmessage_timeout = 0.01\n")
    context = server.context()
    context.minimum_version = context.maximum_version = version
    with ThreadPoolExecutor(TRIES) as pool:  # the server looks at its clock once a second
        found = pool.map(lambda _: told(server.port, context, QUERY[:50]), range(TRIES))
    assert set(found) == {"closed"}
