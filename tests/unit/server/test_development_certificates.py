"""The development server has certificates of both kinds, so that every mandatory suite works."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from kmipkit_certs import development
from kmipkit_server.net.tls import TLSFiles

MANDATORY = ("AES256-SHA256", "AES128-SHA256")
"""TLS_RSA_WITH_AES_256_CBC_SHA256 and TLS_RSA_WITH_AES_128_CBC_SHA256 (KMIP profiles 2.1 §3.1.2)."""

PERMITTED = (
    "AES128-SHA",
    "AES256-SHA",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
)


def ensure(folder: Path) -> development.Development:
    now = datetime.now(UTC)
    return development.ensure(folder, hosts=("127.0.0.1",), clients=("admin",), clock=lambda: now)


def server_context(paths: development.Development) -> ssl.SSLContext:
    pairs = ((paths.server_cert, paths.server_key), (paths.rsa_cert, paths.rsa_key))
    return TLSFiles(pairs, paths.ca).load().server_context()


def handshake(server: ssl.SSLContext, folder: Path, ciphers: str | None) -> ssl.SSLObject:
    """The client's end after a handshake; with TLS 1.3 if no ciphers of TLS 1.2 are given."""
    client = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    client.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    if ciphers is not None:
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        client.set_ciphers(ciphers)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    own = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    ends = [own, server.wrap_bio(to_server, to_client, server_side=True)]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    return own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pki")
    ensure(path)
    return path


def kind(connection: ssl.SSLObject) -> type:
    certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    key = x509.load_der_x509_certificate(certificate).public_key()
    return ec.EllipticCurvePublicKey if isinstance(key, ec.EllipticCurvePublicKey) else type(key)


@pytest.mark.parametrize("suite", [*MANDATORY, *PERMITTED])
def test_a_client_with_one_suite_of_tls_1_2_can_connect(folder: Path, suite: str) -> None:
    connection = handshake(server_context(ensure(folder)), folder, suite)
    cipher = connection.cipher()
    assert cipher is not None
    assert cipher[0] == suite
    is_ecdsa = kind(connection) is ec.EllipticCurvePublicKey
    assert is_ecdsa == ("ECDSA" in suite)


def test_others_get_the_certificate_on_a_curve(folder: Path) -> None:
    connection = handshake(server_context(ensure(folder)), folder, None)
    assert connection.version() == "TLSv1.3"
    assert kind(connection) is ec.EllipticCurvePublicKey


def test_an_old_directory_gets_the_second_certificate(tmp_path: Path) -> None:
    first = ensure(tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.iterdir() if "rsa" not in path.name}
    first.rsa_cert.unlink()
    first.rsa_key.unlink()
    second = ensure(tmp_path)
    assert {path: path.read_bytes() for path in kept} == kept
    key = x509.load_pem_x509_certificate(second.rsa_cert.read_bytes()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    handshake(server_context(second), tmp_path, MANDATORY[0])
