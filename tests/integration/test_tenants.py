"""Tenants over TLS: a change reaches connections that are open, and who is of two tenants is refused."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kmipkit_certs.authority import Authority, Purpose, distinguished_name
from kmipkit_certs.credentials import NO_PASSWORD
from kmipkit_certs.directory import Directory
from kmipkit_certs.keypairs import PrivateKey, generate
from kmipkit_client import Client, OperationFailed
from kmipkit_server.admin.connection import AdminConnection, connect
from servers import RunningServer

from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason

AES = CryptographicAlgorithm.AES


@pytest.fixture
def administration(own_server: RunningServer) -> Iterator[AdminConnection]:
    server = own_server.start()
    files = server.credentials()
    address = f"127.0.0.1:{server.port}"
    with connect(address, files["ca"], files["cert"], files["key"], NO_PASSWORD) as connection:
        yield connection


def test_a_change_reaches_open_connections(
    own_server: RunningServer, administration: AdminConnection
) -> None:
    with own_server.client("lab-1") as kms, own_server.client("db01") as other:
        key = kms.create(AES, 256)
        kept = other.create(AES, 256)
        made = administration.send("POST", "/tenants", name="lab", accounts=["lab-*"])
        assert made["to_move"] == ["lab-1"]
        with pytest.raises(OperationFailed) as error:
            kms.get_attributes(key)
        assert error.value.reason is ResultReason.OBJECT_NOT_FOUND
        moved = administration.send("POST", "/tenants-moves", account="lab-1", target="lab")
        assert moved["objects"] == 1
        assert kms.get_attributes(key)
        limits = {"objects": 1}
        administration.send("PATCH", "/tenants/lab", limits=limits)
        with pytest.raises(OperationFailed) as error:
            kms.create(AES, 256)
        assert error.value.reason is ResultReason.SERVER_LIMIT_EXCEEDED
        assert other.get_attributes(kept)
        [row] = administration.get("/tenants")["tenants"]
        assert row["connections"] == 1


def certificate_of_two(server: RunningServer, folder: Path) -> dict[str, Path]:
    """The files of a client whose account is of one tenant, and whose unit is of another."""
    key = generate()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "lab-2"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Storage"),
        ]
    )
    authority = server.pki.authority()
    now = datetime.now(UTC)
    certificate = authority.certify(subject, key.public_key(), Purpose.CLIENT, now, 30)
    cert, private = folder / "two.crt", folder / "two.key"
    cert.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    return {"ca": server.pki.ca, "cert": cert, "key": private}


def test_a_client_of_two_tenants_is_refused_and_only_the_log_says_which(
    own_server: RunningServer, administration: AdminConnection, tmp_path: Path
) -> None:
    administration.send("POST", "/tenants", name="lab", accounts=["lab-*"])
    administration.send("POST", "/tenants", name="storage", units=["Storage"])
    files = certificate_of_two(own_server, tmp_path)
    with (
        pytest.raises(OperationFailed) as error,
        Client(port=own_server.port, **files) as kms,
    ):
        kms.create(AES, 256)
    assert error.value.reason is ResultReason.AUTHENTICATION_NOT_SUCCESSFUL
    assert "cannot tell to whom the certificate belongs" in str(error.value)
    assert "storage" not in str(error.value)
    own_server.stop()  # then the log is whole
    [line] = [line for line in own_server.lines() if "belongs to several tenants" in line]
    assert "'lab-2' belongs to several tenants (lab, storage); change what they claim" in line


def certificate_authority(
    name: str, issuer: tuple[x509.Certificate, PrivateKey] | None = None
) -> tuple[x509.Certificate, PrivateKey]:
    """An authority that may have others below it."""
    key, now = generate(), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key if issuer is None else issuer[1], SHA256())  # type: ignore[arg-type]
    )
    return certificate, key


def write_pem(path: Path, *certificates: x509.Certificate, key: PrivateKey | None = None) -> Path:
    text = b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
    if key is not None:
        text += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(text)
    path.chmod(0o600)
    return path


def test_the_authority_of_a_tenant_makes_no_administrator_of_the_server(tmp_path: Path) -> None:
    """Not even with another authority below it, which is none that the tenant claims."""
    pki = Directory(tmp_path / "pki")
    now = datetime.now(UTC)
    pki.init("server CA", "ecdsa-p256", now)
    pki.issue("kms", Purpose.SERVER, now, alternative=("127.0.0.1",))
    root = pki.issue("root", Purpose.CLIENT, now)
    acme = certificate_authority("Acme CA")
    below = certificate_authority("below Acme", acme)
    key = generate()
    leaf = Authority(*below).certify(
        distinguished_name("root"), key.public_key(), Purpose.CLIENT, now, 30
    )
    claimed = write_pem(tmp_path / "acme.pem", acme[0])
    accepted = write_pem(tmp_path / "clients.pem", pki.authority().certificate, acme[0])
    forged = write_pem(tmp_path / "root.pem", leaf, below[0], key=key)
    config = tmp_path / "kms.toml"
    config.write_text(
        f'[tls]\ncert = "{pki.files("kms").cert}"\nkey = "{pki.files("kms").key}"\n'
        f'ca = "{accepted}"\n[identity]\nadministrators = ["root"]\n'
    )
    # A session is resumed by the worker that has made it.
    options = ("--config", str(config), "--workers", "1")
    server = RunningServer(tmp_path / "data", options).start()
    try:
        address = f"127.0.0.1:{server.port}"
        with connect(address, pki.ca, root.cert, root.key, NO_PASSWORD) as connection:
            connection.send("POST", "/tenants", name="acme", authorities=[claimed.read_text()])
            with (
                connect(address, pki.ca, forged, None, NO_PASSWORD) as thief,
                pytest.raises(click.ClickException, match="'tenant:acme:root' is not an admin"),
            ):
                thief.get("/tenants")
        context = ssl.create_default_context(cafile=str(pki.ca))
        context.load_cert_chain(forged)
        _, session = asked_for_tenants(context, server, None)
        answer, _ = asked_for_tenants(context, server, session)
        assert b" 403 " in answer
        assert b"tenant:acme:root" in answer
    finally:
        server.end()


def asked_for_tenants(
    context: ssl.SSLContext, server: RunningServer, session: ssl.SSLSession | None
) -> tuple[bytes, ssl.SSLSession | None]:
    """The answer on a connection that resumes a session, if there is one; and its own session."""
    with context.wrap_socket(
        server.connect(), server_hostname="127.0.0.1", session=session
    ) as stream:
        stream.sendall(b"GET /admin/v1/tenants HTTP/1.1\r\nHost: kms\r\n\r\n")
        answer = b""
        while b"}" not in answer:
            data = stream.recv(65536)
            assert data, answer
            answer += data
        assert stream.session_reused is (session is not None)
        made = stream.session
        stream.unwrap()  # OpenSSL forgets the session of a connection that just ends
    return answer, made


def test_an_administrator_who_comes_to_be_of_two_tenants_learns_it_at_the_next_request(
    own_server: RunningServer, administration: AdminConnection, tmp_path: Path
) -> None:
    administration.send(
        "POST", "/tenants", name="lab", accounts=["lab-2"], administrators=["lab-2"]
    )
    files = certificate_of_two(own_server, tmp_path)
    address = f"127.0.0.1:{own_server.port}"
    with connect(address, files["ca"], files["cert"], files["key"], NO_PASSWORD) as lab:
        [row] = lab.get("/tenants")["tenants"]
        assert row["name"] == "lab"
        administration.send("POST", "/tenants", name="storage", units=["Storage"])
        with pytest.raises(click.ClickException, match="cannot tell to whom"):
            lab.get("/tenants")
