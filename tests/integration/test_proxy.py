"""The proxy between real clients and a real server: nothing is lost, and no key is recorded."""

import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from kmipkit_client import Client, ConnectionFailed, symmetric_key
from kmipkit_client.calls import discover_versions
from kmipkit_client.messages import request
from kmipkit_client.tls import tls_context
from kmipkit_client.values import material
from kmipkit_proxy.cli import proxy as command
from kmipkit_proxy.live import Live
from kmipkit_proxy.relay import RelayLimits
from proxying import RunningProxy, entries, proxy, settings_for

from kmipkit.captures import CLIENT, SERVER
from kmipkit.decode import decode, read_messages
from kmipkit.model.codec import encode
from kmipkit.spec.versions import V1_4
from kmipkit.testing import KeyServer, key_server, shared_pki
from kmipkit.ttlv.limits import Limits

KEY = os.urandom(32)


@pytest.fixture(scope="module")
def kms() -> Iterator[KeyServer]:
    with key_server() as server:
        yield server


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return tmp_path / "capture.jsonl"


def client_of(running: RunningProxy) -> Client:
    files = shared_pki().client()
    return Client("127.0.0.1", running.port, ca=files.ca, cert=files.cert, key=files.key)


def tls_socket(running: RunningProxy) -> ssl.SSLSocket:
    files = shared_pki().client()
    context = tls_context(files.ca, files.cert, files.key)
    plain = socket.create_connection(("127.0.0.1", running.port), timeout=60)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def register_and_get(running: RunningProxy) -> str:
    with client_of(running) as client:
        identifier = client.register(symmetric_key(KEY), usage=None, name=os.urandom(8).hex())
        assert material(client.get(identifier)) == KEY
    return identifier


def test_each_request_and_answer_is_recorded_without_the_key(kms: KeyServer, capture: Path) -> None:
    with proxy(settings_for(kms.port, capture)) as running:
        register_and_get(running)
    messages = [entry for entry in running.entries() if entry.message]
    assert [entry.sender for entry in messages] == [CLIENT, SERVER] * (len(messages) // 2)
    assert {entry.version for entry in messages} >= {"2.1"}
    assert sum(entry.redacted for entry in messages) == 2
    assert KEY.hex() not in capture.read_text().lower()
    assert stat.S_IMODE(capture.stat().st_mode) == 0o600
    assert running.outcome is not None
    assert running.outcome.messages == len(messages)


def test_the_key_is_recorded_if_asked_for(kms: KeyServer, capture: Path) -> None:
    with proxy(settings_for(kms.port, capture, keep_secrets=True)) as running:
        register_and_get(running)
    assert capture.read_text().count(KEY.hex()) == 2


def test_decode_reads_a_capture(kms: KeyServer, capture: Path) -> None:
    with proxy(settings_for(kms.port, capture)) as running:
        register_and_get(running)
    messages = [entry for entry in running.entries() if entry.message]
    shown = CliRunner().invoke(decode, [str(capture)])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("Message\n") == len(messages)
    assert "<redacted>" in shown.output
    assert len(list(read_messages(capture.read_bytes()))) == len(messages)


def test_bytes_that_are_no_message_pass_unchanged(kms: KeyServer, capture: Path) -> None:
    """A client that speaks HTTP gets what the server answers to HTTP."""
    request = b"GET /nothing HTTP/1.1\r\nHost: kms\r\nConnection: close\r\n\r\n"
    with proxy(settings_for(kms.port, capture)) as running, tls_socket(running) as connection:
        connection.sendall(request)
        assert connection.recv(4096)
    assert "look like an HTTP request (at offset 0); passed on" in running.notes()
    assert not any(entry.message for entry in running.entries())


def test_a_malformed_message_passes_unchanged_and_is_noted(kms: KeyServer, capture: Path) -> None:
    secret = os.urandom(16)
    malformed = bytes.fromhex("42007801000000184200430900000010") + secret
    with proxy(settings_for(kms.port, capture)) as running, tls_socket(running) as connection:
        connection.sendall(malformed)
        answer = connection.recv(4096)
    assert answer.startswith(bytes.fromhex("42007b01"))
    assert f"a malformed message of {len(malformed)} bytes from the client" in running.notes()
    assert secret.hex() not in capture.read_text()


def test_a_message_above_the_limit_passes_unrecorded(kms: KeyServer, capture: Path) -> None:
    limits = RelayLimits(messages=Limits(max_message=64))
    with proxy(settings_for(kms.port, capture, limits=limits)) as running:
        register_and_get(running)
    assert "the limit is 64 (at offset 4); passed on" in running.notes()


def test_a_client_that_closes_its_side_first_gets_its_answer(kms: KeyServer, capture: Path) -> None:
    with proxy(settings_for(kms.port, capture)) as running, tls_socket(running) as connection:
        connection.sendall(_discover_versions())
        connection.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            connection.unwrap()  # sends close_notify; that of the other side comes later
        connection.settimeout(60)
        assert connection.recv(4096).startswith(bytes.fromhex("42007b01"))
        assert connection.recv(4096) == b""
    assert running.entries()[-1].note == "closed"


def _discover_versions() -> bytes:
    return encode(request(V1_4, [discover_versions()]), V1_4)


def test_a_target_that_cannot_be_reached_is_named(capture: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with (
            proxy(settings_for(port, capture)) as running,
            client_of(running) as client,
            pytest.raises(ConnectionFailed),
        ):
            client.query()
    assert f"cannot connect to 127.0.0.1:{port}: Connection refused" in running.notes()


def test_a_client_without_a_certificate_is_refused_and_noted(kms: KeyServer, capture: Path) -> None:
    with proxy(settings_for(kms.port, capture)) as running:
        context = tls_context(shared_pki().ca, None, None)
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # 1.3 would tell with the first read only
        with (
            socket.create_connection(("127.0.0.1", running.port), timeout=60) as plain,
            pytest.raises(ssl.SSLError),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
    assert "TLS handshake with the client failed" in running.notes()


def test_a_full_capture_is_said_and_clients_are_served_on(kms: KeyServer, capture: Path) -> None:
    with proxy(settings_for(kms.port, capture, max_capture=600)) as running:
        register_and_get(running)
    assert capture.stat().st_size <= 600
    assert running.outcome is not None
    assert "the capture is full" in running.outcome.problem


def test_connections_beyond_the_limit_make_room_or_are_refused(
    kms: KeyServer, capture: Path
) -> None:
    limits = RelayLimits(connections=1)
    with (
        proxy(settings_for(kms.port, capture, limits=limits)) as running,
        tls_socket(running),
        suppress(OSError),
        tls_socket(running) as second,
    ):
        second.recv(1)
    assert "1 connections from 127.0.0.1" in running.notes()


def test_a_silent_connection_ends(kms: KeyServer, capture: Path) -> None:
    limits = RelayLimits(idle=0.05)
    with (
        proxy(settings_for(kms.port, capture, limits=limits)) as running,
        tls_socket(running) as connection,
    ):
        assert connection.recv(1) == b""
    assert running.entries()[-1].note == "closed by the proxy: time-out"


def test_clients_are_served_on_when_nobody_reads_what_is_shown(
    kms: KeyServer, capture: Path, tmp_path: Path
) -> None:
    process = _command(kms.port, tmp_path, capture)
    assert process.stdout is not None
    ready = process.stdout.readline()
    process.stdout.close()
    running = RunningProxy(int(ready.split(",")[0].rpartition(":")[2]), capture)
    register_and_get(running)
    process.terminate()
    process.wait(timeout=60)
    assert len([entry for entry in entries(capture) if entry.message]) >= 4


def test_a_tls_session_is_not_resumed(kms: KeyServer, capture: Path) -> None:
    """A client whose certificate has expired meanwhile does not come back."""
    files = shared_pki().client()
    context = tls_context(files.ca, files.cert, files.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its sessions are there after the handshake
    session = None
    with proxy(settings_for(kms.port, capture)) as running:
        for _ in range(2):
            plain = socket.create_connection(("127.0.0.1", running.port), timeout=60)
            with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as tls:
                assert not tls.session_reused
                session = tls.session
    assert session is not None


def _command(port: int, folder: Path, capture: Path) -> "subprocess.Popen[str]":
    files, own = shared_pki().client(), shared_pki().server()
    options = {
        "--listen": "127.0.0.1:0", "--target": f"127.0.0.1:{port}", "--capture": capture,
        "--ca": files.ca, "--cert": files.cert, "--key": files.key,
        "--tls-ca": own.ca, "--tls-cert": own.cert, "--tls-key": own.key,
    }  # fmt: skip
    arguments = [str(part) for option in options.items() for part in option]
    program = "from kmipkit_proxy.cli import proxy; proxy()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_process_leaves_a_readable_capture(
    kms: KeyServer, capture: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C ends it cleanly; a kill in the middle of a connection loses nothing before it."""
    process = _command(kms.port, tmp_path, capture)
    assert process.stdout is not None
    with process:
        ready = process.stdout.readline()
        running = RunningProxy(int(ready.split(",")[0].rpartition(":")[2]), capture)
        with client_of(running) as client:
            client.query()
            process.send_signal(number)
            output, _ = process.communicate(timeout=60)
    assert process.returncode == (0 if number == signal.SIGINT else -number)
    assert [entry.sender for entry in entries(capture) if entry.message][-1] == SERVER
    assert ("1 connection, " in output) == (number == signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--target", "https://kms/kmip"], "HTTPS is not supported"),
        (["--target", "kms:x"], "is not an address"),
        (["--target", "kms", "--keep-secrets"], "--keep-secrets needs --capture FILE"),
        (["--target", "kms", "--show-secrets"], "--show-secrets needs --verbose"),
    ],
)
def test_wrong_usage_is_said(arguments: list[str], problem: str, tmp_path: Path) -> None:
    arguments += ["--data-dir", str(tmp_path), "--listen", "127.0.0.1:0"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert problem in result.output
    assert not list(tmp_path.iterdir())


def test_what_a_client_sends_cannot_command_the_terminal(
    kms: KeyServer, capture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = replace(settings_for(kms.port, capture), live=Live(verbose=True))
    with proxy(settings) as running, client_of(running) as client:
        client.locate(name="\x1b[2J\u202egnirts")
    shown = capfd.readouterr().out
    assert "\\x1b[2J\\u202egnirts" in shown
    assert "\x1b" not in shown + capture.read_text()
