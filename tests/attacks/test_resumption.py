"""A resumed session opens no more than its certificate does now.

A loss: whoever has stolen a certificate keeps its access after it was revoked or has expired, or gets
into another account with the session of one.
"""

import signal
import socket
import ssl
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from kmipkit_certs import contexts
from kmipkit_certs.authority import Purpose
from kmipkit_certs.credentials import load_certificates, load_credentials
from kmipkit_certs.directory import Directory
from kmipkit_certs.revocation import text_line
from kmipkit_client import calls, messages
from kmipkit_server.net import transport
from kmipkit_server.net.tls_failures import HandshakeFailure
from kmipkit_server.net.transport import TLSFailure, TLSStream
from servers import ANSWER_TIMEOUT, RunningServer, exchange

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.versions import V1_4

ONE_WORKER = ("--workers", "1")
"""A session is resumed by the worker that has made it; a client that is quick comes to another one."""
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def _message(call: calls.Call[object]) -> bytes:
    return encode(messages.request(V1_4, [call]), V1_4)


QUERY = _message(calls.discover_versions())


class Client:
    """A client that resumes its last session."""

    def __init__(self, server: RunningServer, name: str, version: ssl.TLSVersion) -> None:
        self.server = server
        self.context = server.context(name)
        self.context.minimum_version = self.context.maximum_version = version
        self.session: ssl.SSLSession | None = None
        self.was_resumed = False

    def ask(self, request: bytes) -> bytes:
        """The response on a new connection; no bytes if the server closes it."""
        with self.context.wrap_socket(
            self.server.connect(), server_hostname="127.0.0.1", session=self.session
        ) as stream:
            try:
                answer = exchange(stream, request)
            except OSError:
                answer = b""
            self.was_resumed = bool(stream.session_reused)
            self.session = stream.session
            with suppress(OSError):
                stream.unwrap()  # OpenSSL forgets the session of a connection that just ends
        return answer


def located(answer: bytes) -> int:
    response, _ = decode_response(answer)
    return len(response.batch_items[0].response_payload.unique_identifiers)  # type: ignore[union-attr]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_resumed_session_is_that_of_its_account(
    own_server: RunningServer, version: ssl.TLSVersion
) -> None:
    own_server.arguments = ONE_WORKER
    server = own_server.start()
    name = f"the key of {version.name}"
    with server.client("thief") as owner:
        owner.create(name=name)
    request = _message(calls.locate(name, None, None, None, None, None))
    owner_client, other = Client(server, "thief", version), Client(server, "honest", version)
    assert located(owner_client.ask(request)) == 1
    other.ask(request)
    for _ in range(2):
        assert located(owner_client.ask(request)) == 1
        assert owner_client.was_resumed
        assert located(other.ask(request)) == 0
        assert other.was_resumed


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_revoked_certificate_resumes_nothing(
    own_server: RunningServer, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    revoked, config = tmp_path / "revoked.txt", tmp_path / "kms.toml"
    revoked.write_text("# nobody yet\n")
    config.write_text('[tls]\nrevoked = "revoked.txt"\n')
    own_server.arguments = (*ONE_WORKER, "--config", str(config))
    server = own_server.start()
    thief = Client(server, "thief", version)
    thief.ask(QUERY)
    thief.ask(QUERY)
    assert thief.was_resumed
    cert = load_certificates(server.pki.files("thief").cert)[0]
    revoked.write_text(text_line(cert, datetime.now(UTC)) + "\n")
    end = time.monotonic() + ANSWER_TIMEOUT
    while b"server's list" not in thief.ask(QUERY):
        assert time.monotonic() < end
    assert b"server's list" in thief.ask(QUERY), "also with the session of the refused connection"


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_reload_ends_all_sessions(own_server: RunningServer, version: ssl.TLSVersion) -> None:
    """So an authority that is no longer trusted lets nobody in."""
    own_server.arguments = ONE_WORKER
    server = own_server.start()
    client = Client(server, "honest", version)
    client.ask(QUERY)
    client.ask(QUERY)
    assert client.was_resumed
    server.signal(signal.SIGHUP)
    end = time.monotonic() + ANSWER_TIMEOUT
    while client.was_resumed:
        assert client.ask(QUERY)
        assert time.monotonic() < end


@pytest.fixture
def pki(tmp_path: Path) -> Directory:
    pki = Directory(tmp_path / "pki")
    now = datetime.now(UTC)
    pki.init("company CA", "ecdsa-p256", now)
    pki.issue("kms", Purpose.SERVER, now, alternative=["localhost"])
    pki.issue("honest", Purpose.CLIENT, now)
    return pki


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None
) -> ssl.SSLSession | None:
    """The session after a handshake. TLSFailure if the server refuses it."""
    near, far = socket.socketpair()
    near.setblocking(False)

    def connect() -> ssl.SSLSession | None:
        with client.wrap_socket(far, server_hostname="localhost", session=session) as stream:
            with suppress(OSError):  # the server has refused the session
                stream.recv(1)
            assert stream.session_reused is (session is not None)
            return stream.session

    async def serve() -> ssl.SSLSession | None:
        sessions: list[ssl.SSLSession | None] = []

        async def run() -> None:
            sessions.append(await trio.to_thread.run_sync(connect))

        failures: list[TLSFailure] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            async with TLSStream(near, server) as stream:
                try:
                    await stream.do_handshake()
                    await stream.send_all(b"x")
                except TLSFailure as failure:
                    failures.append(failure)
        for failure in failures:
            raise failure
        return sessions[0]

    with closing(near), closing(far):
        return trio.run(serve)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_an_expired_certificate_resumes_nothing(
    pki: Directory, monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion
) -> None:
    files = {name: pki.files(name) for name in ("kms", "honest")}
    own, mine = (load_credentials(each.cert, each.key) for each in files.values())
    trusted = load_certificates(pki.ca)
    server = contexts.server_context([own], trusted)
    client = contexts.client_context(mine, trusted)
    client.minimum_version = client.maximum_version = version
    session = handshake(server, client, None)
    session = handshake(server, client, session)
    end = load_certificates(files["honest"].cert)[0].not_valid_after_utc
    monkeypatch.setattr(transport.time, "time", lambda: end.timestamp() + 1)
    with pytest.raises(TLSFailure, match="certificate has expired") as failure:
        handshake(server, client, session)
    assert failure.value.kind is HandshakeFailure.CERTIFICATE_EXPIRED
