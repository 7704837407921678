"""What the server says of its own certificate, and to clients whose certificates have no name."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from certificate_family import CA, Template, issue, key, key_pem, pem, root
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from kmipkit_certs import files, keypairs
from kmipkit_certs.authority import Purpose
from kmipkit_certs.passwords import VARIABLE
from kmipkit_certs.revocation_files import RevocationFiles
from kmipkit_client import Client, OperationFailed
from kmipkit_server.net.tls import TLSFiles, TLSSettings
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.spec.enums import ResultReason

HOST = (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
OWN = key("p256", "server")
MIDDLE = issue(
    Template("intermediate", key("p256", "intermediate"), (CA,)),
    "root p256 v3",
    key("p256", "root"),
)
BELOW = issue(Template("kms", OWN, (HOST,)), "intermediate", key("p256", "intermediate"))


Chain = tuple[x509.Certificate, ...]


def usage(*oids: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage(oids), False


def own(*extensions: tuple[x509.ExtensionType, bool], **changes: Any) -> Chain:
    """A certificate by a root of its own."""
    template = Template("kms", changes.pop("key", OWN), extensions, **changes)
    return (issue(template, "root p256 v3", key("p256", "root")),)


FAULTS: dict[str, tuple[Chain, Chain, str]] = {
    "expired": (own(HOST, end=timedelta(hours=-1)), (root(),), "expired on"),
    "soon expired": (own(HOST, end=timedelta(days=9)), (root(),), "expires on"),
    "not yet valid": (own(HOST, start=timedelta(days=1)), (root(),), "not valid before"),
    "client only": (
        own(HOST, usage(Usage.CLIENT_AUTH)), (root(),), "permits client, but not server",
    ),
    "any": (
        own(HOST, usage(Usage.ANY_EXTENDED_KEY_USAGE)), (root(),), "permits any, but not server",
    ),
    "no names": (own(), (root(),), "no alternative names"),
    "odd curve": (own(HOST, key=key("k256")), (root(),), "secp256k1"),
    "without its chain": (
        (BELOW,), (root(), MIDDLE),
        "the intermediate authority 'CN=intermediate' of 'CN=kms' is not in the file",
    ),
    "issuer unknown": (
        (BELOW,), (root(),), "the issuer 'CN=intermediate' of 'CN=kms' is not in the file",
    ),
    "trusts an intermediate only": ((BELOW, MIDDLE), (MIDDLE,), "but it is not a root"),
    "trusts an expired root": (
        (BELOW, MIDDLE), (root(), root(form="expired")), "'CN=root p256 expired' expired on",
    ),
}  # fmt: skip
GOOD: dict[str, tuple[Chain, Chain]] = {
    "issued by a root": (own(HOST), (root(),)),
    "both sides": (own(HOST, usage(Usage.SERVER_AUTH, Usage.CLIENT_AUTH)), (root(),)),
    "with its chain": ((BELOW, MIDDLE), (root(),)),
    "self-signed": ((issue(Template("home", OWN, (HOST, CA)), "home", OWN),), (root(),)),
}


def write(folder: Path, chain: Chain, trusted: Chain) -> list[str]:
    """The files, and the options that name them."""
    private = key("k256") if chain[0].public_key() == key("k256").public_key() else OWN
    (folder / "kms.pem").write_bytes(pem(chain) + key_pem(private))
    (folder / "ca.pem").write_bytes(pem(trusted))
    return ["--tls-cert", str(folder / "kms.pem"), "--tls-ca", str(folder / "ca.pem")]


def check_config(
    folder: Path, *options: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kmipkit", "serve", "--data-dir", str(folder / "data")]
    return subprocess.run(
        [*command, *options, "--check-config"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_check_config_warns_of_certificates_that_clients_refuse(tmp_path: Path, fault: str) -> None:
    chain, trusted, words = FAULTS[fault]
    done = check_config(tmp_path, *write(tmp_path, chain, trusted))
    assert done.returncode == 0, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("warning: ")
    assert done.stdout == "the configuration is valid\n"


@pytest.mark.parametrize("form", GOOD)
def test_a_good_certificate_has_no_warning(tmp_path: Path, form: str) -> None:
    chain, trusted = GOOD[form]
    done = check_config(tmp_path, *write(tmp_path, chain, trusted))
    assert (done.returncode, done.stderr) == (0, "")


def test_serve_logs_the_same_warnings_at_start_and_reload(tmp_path: Path) -> None:
    options = ("--workers", "2", *write(tmp_path, *FAULTS["expired"][:2]))
    server = RunningServer(tmp_path / "data", options).start()
    try:
        lines = [line for line in server.lines() if "WARNING" in line and "expired on" in line]
        assert len(lines) == 1, "workers have the same files, and one of them warns"
        write(tmp_path, *FAULTS["client only"][:2])
        server.signal(signal.SIGHUP)
        server.wait_for_line("permits client, but not server")
    finally:
        server.end()


@pytest.mark.parametrize("form", ["encrypted PEM", "PKCS #12"])
def test_an_encrypted_key_needs_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """From the environment, from a file on the command line, and from one in the configuration."""
    monkeypatch.delenv(VARIABLE, raising=False)
    chain, trusted = GOOD["issued by a root"]
    options = write(tmp_path, chain, trusted)
    secret = BestAvailableEncryption(b"secret")
    data = (
        pem(chain) + OWN.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
        if form == "encrypted PEM"
        else pkcs12.serialize_key_and_certificates(b"kms", OWN, chain[0], None, secret)
    )
    (tmp_path / "kms.pem").write_bytes(data)
    (tmp_path / "password").write_text("secret\n")
    without = check_config(tmp_path, *options)
    assert without.returncode == 1
    assert "is encrypted and there is no password" in without.stderr
    assert check_config(tmp_path, *options, **{VARIABLE: "secret"}).returncode == 0
    wrong = check_config(tmp_path, *options, **{VARIABLE: "wrong"})
    assert "the password is wrong" in wrong.stderr
    file = ["--key-password-file", str(tmp_path / "password")]
    assert check_config(tmp_path, *options, *file).returncode == 0
    config = tmp_path / "kms.toml"
    config.write_text('[tls]\ncert = "kms.pem"\nca = "ca.pem"\nkey_password_file = "password"\n')
    assert check_config(tmp_path, "--config", str(config)).returncode == 0
    server = RunningServer(tmp_path / "data", ["--config", str(config)]).start()
    try:
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with (
            socket.create_connection(("127.0.0.1", server.port), ANSWER_TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as stream,
        ):
            assert stream.version() == "TLSv1.3"
    finally:
        server.end()


@pytest.fixture
def nameless(server: RunningServer, tmp_path: Path) -> Path:
    """Certificate and key of a client with an alternative name only."""
    private = keypairs.generate()
    certificate = server.pki.authority().certify(
        x509.Name([]), private.public_key(), Purpose.CLIENT, datetime.now(UTC), 9,
        [x509.DNSName("array7.example")],
    )  # fmt: skip
    (tmp_path / "client.pem").write_bytes(pem([certificate]) + key_pem(private))
    return tmp_path / "client.pem"


def test_a_client_without_the_name_gets_an_answer(server: RunningServer, nameless: Path) -> None:
    with (
        Client(port=server.port, ca=server.pki.ca, cert=nameless) as client,
        pytest.raises(OperationFailed, match=r"identity\.source") as refusal,
    ):
        client.locate()
    assert refusal.value.reason is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL


@pytest.mark.parametrize(
    ("request_bytes", "words"),
    [
        (b"GET / HTTP/1.1\r\nHost: kms\r\n\r\n", b"HTTP/1.1 404"),
        (
            b"POST /kmip HTTP/1.1\r\nHost: kms\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n",
            b"HTTP/1.1 100",
        ),
        (
            b"POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Length: 8\r\n\r\nnot KMIP",
            b"no Common Name",
        ),
        (bytes.fromhex("4200780100000008") + b"not KMIP", b"no Common Name"),
    ],
)
def test_whatever_such_a_client_sends_it_gets_an_answer(
    server: RunningServer, nameless: Path, request_bytes: bytes, words: bytes
) -> None:
    context = ssl.create_default_context(cafile=server.pki.ca)
    context.load_cert_chain(nameless)
    with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as stream:
        stream.sendall(request_bytes)
        data = b""
        while words not in data and (more := stream.recv(65536)):
            data += more
    assert words in data


@pytest.mark.parametrize("source", ["san", "cn-or-san"])
def test_an_alternative_name_can_be_the_account(tmp_path: Path, source: str) -> None:
    config = tmp_path / "kms.toml"
    config.write_text(f'[identity]\nsource = "{source}"\n')
    server = RunningServer(tmp_path / "data", ["--config", str(config)]).start()
    try:
        private = keypairs.generate()
        certificate = server.pki.authority().certify(
            x509.Name([]), private.public_key(), Purpose.CLIENT, datetime.now(UTC), 9,
            [x509.DNSName("array7.example")],
        )  # fmt: skip
        files.write_key(tmp_path / "k", private)
        files.write_certificate(tmp_path / "c", certificate)
        with Client(
            port=server.port, ca=server.pki.ca, cert=tmp_path / "c", key=tmp_path / "k"
        ) as client:
            assert client.locate().ids == ()
    finally:
        server.end()


def test_a_certificate_that_expires_while_the_server_runs_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, own(HOST, end=timedelta(days=40)), (root(),))
    files = TLSFiles(((tmp_path / "kms.pem", None),), tmp_path / "ca.pem")
    start = trio.testing.MockClock(autojump_threshold=0)

    async def run() -> None:
        began = trio.current_time()
        now = lambda: datetime.now(UTC) + timedelta(seconds=trio.current_time() - began)  # noqa: E731
        settings = TLSSettings.load(files, RevocationFiles(), now)
        assert caplog.text == ""
        with trio.move_on_after(timedelta(days=15).total_seconds()):
            await settings.watch()

    trio.run(run, clock=start)
    assert 4 <= caplog.text.count("expires on") <= 6


def test_the_password_is_asked_for_before_the_server_leaves_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And remembered, so that it can read the key again on SIGHUP."""
    monkeypatch.delenv(VARIABLE, raising=False)
    chain, trusted = GOOD["issued by a root"]
    options = write(tmp_path, chain, trusted)
    secret = BestAvailableEncryption(b"secret")
    encrypted = OWN.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
    (tmp_path / "kms.pem").write_bytes(pem(chain) + encrypted)
    command = [sys.executable, "-m", "kmipkit", "serve", "--data-dir", str(tmp_path / "data")]
    master, terminal = os.openpty()
    question = f"Password of {tmp_path / 'kms.pem'}: ".encode()
    asked = b""
    with subprocess.Popen(
        [*command, "--port", "0", *options, "--detach"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        while question not in asked and (more := process.stderr.read1()):
            asked += more
        os.write(master, b"secret\n")
        output, errors = process.communicate(timeout=ANSWER_TIMEOUT)
    os.close(master)
    os.close(terminal)
    assert question in asked
    match = re.search(rb"process (\d+)", output)
    assert match is not None, errors
    log = tmp_path / "data" / "server.log"
    os.kill(int(match[1]), signal.SIGHUP)
    deadline = time.monotonic() + ANSWER_TIMEOUT
    while "certificates reloaded" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert subprocess.run([*command, "--stop"], capture_output=True).returncode == 0
