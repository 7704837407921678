"""The certificates package: what it makes works in TLS, and what it refuses it explains."""

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from kmipkit_certs import development, files, keypairs
from kmipkit_certs.authority import Authority, Purpose, distinguished_name
from kmipkit_certs.check import Check, reasons
from kmipkit_certs.cli import certs
from kmipkit_certs.credentials import load_certificates
from kmipkit_certs.directory import Directory
from kmipkit_certs.errors import CertificateError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Prüf-CA №1", "ecdsa-p256", NOW)


def ask(authority: Authority, certificate: x509.Certificate, **changes: object) -> list[str]:
    arguments = {
        "chain": [certificate],
        "trusted": [authority.certificate],
        "purpose": Purpose.CLIENT,
        "now": NOW,
        **changes,
    }
    return reasons(Check(**arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", keypairs.ALGORITHMS)
def test_a_handshake_with_mutual_authentication_works(tmp_path: Path, algorithm: str) -> None:
    now = datetime.now(UTC)
    paths = development.ensure(
        tmp_path / "pki",
        hosts=("localhost", "127.0.0.1"),
        clients=("admin",),
        clock=lambda: now,
        algorithm=algorithm,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(paths.server_cert, paths.server_key)
    server.load_verify_locations(paths.ca)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(paths.ca))
    client.load_cert_chain(tmp_path / "pki/admin.crt", tmp_path / "pki/admin.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass


def test_a_second_start_keeps_what_is_there_and_finishes_what_was_cut_short(tmp_path: Path) -> None:
    def start() -> development.Development:
        return development.ensure(tmp_path, hosts=("h",), clients=("admin",), clock=lambda: NOW)

    first = start()
    before = first.ca.read_bytes()
    (tmp_path / "admin.crt").unlink()  # as if the power had gone between key and certificate
    start()
    assert first.ca.read_bytes() == before
    assert load_certificates(tmp_path / "admin.crt")[0].public_key() == (
        files.read_key(tmp_path / "admin.key").public_key()
    )


def test_private_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    development.ensure(tmp_path, hosts=("h",), clients=("a", "b"), clock=lambda: NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.key")}
    names = ["ca.key", "server.key", "server-rsa.key", "a.key", "b.key"]
    assert modes == dict.fromkeys(names, 0o600)


def test_a_key_file_never_has_a_wider_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    real = files.os.fdopen

    def spy(handle: int, *args: str) -> object:
        modes.append(stat.S_IMODE(files.os.fstat(handle).st_mode))
        assert files.os.fstat(handle).st_size == 0
        return real(handle, *args)

    monkeypatch.setattr(files.os, "fdopen", spy)
    files.write_key(tmp_path / "k", keypairs.generate())
    assert modes == [0o600]


def test_good_certificates_are_accepted(authority: Authority) -> None:
    client = authority.issue("backup", Purpose.CLIENT, NOW)
    assert ask(authority, client.certificate, key=client.key) == []
    server = authority.issue(
        "kms", Purpose.SERVER, NOW, alternative=["*.example.org", "::1", "bücher.example"]
    ).certificate
    for host in ("kms.example.org", "KMS.Example.org.", "::1", "0:0:0:0:0:0:0:1"):
        assert ask(authority, server, purpose=Purpose.SERVER, host=host) == []
    for host in ("example.org", "a.b.example.org", "::2"):
        assert "name" in ask(authority, server, purpose=Purpose.SERVER, host=host)[0]


def leaf(authority: Authority, key: object, **changes: object) -> x509.Certificate:
    """A certificate made with another key or hash than ours would be."""
    signer = changes.get("signer", authority.key)
    hashing = changes.get("hashing", hashes.SHA256())
    return (
        x509.CertificateBuilder()
        .subject_name(distinguished_name("leaf"))
        .issuer_name(changes.get("issuer", authority.certificate.subject))  # type: ignore[arg-type]
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .public_key(key)  # type: ignore[arg-type]
        .sign(signer, hashing)  # type: ignore[arg-type]
    )


def test_each_fault_is_named_in_plain_words(authority: Authority) -> None:
    other = Authority.create("Prüf-CA №1", "ecdsa-p256", NOW)
    third = Authority.create("elsewhere", "ecdsa-p256", NOW)
    own = authority.issue("x", Purpose.CLIENT, NOW)
    p256 = ec.generate_private_key(ec.SECP256R1())
    not_authority = leaf(
        authority, own.key.public_key(), signer=own.key, issuer=own.certificate.subject
    )
    faults = {
        "was probably recreated": ask(other, own.certificate),
        "not among the trusted": ask(third, own.certificate),
        "do not make it an authority": ask(
            authority, not_authority, chain=[not_authority, own.certificate]
        ),
        "expired on 2029": ask(authority, own.certificate, now=NOW + timedelta(days=2000)),
        "is not valid before": ask(authority, own.certificate, now=NOW - timedelta(days=1)),
        "permits client, but not server": ask(authority, own.certificate, purpose=Purpose.SERVER),
        "no alternative names": ask(
            authority,
            authority.issue("x", Purpose.SERVER, NOW).certificate,
            purpose=Purpose.SERVER,
            host="kms",
        ),
        "RSA with 1024": ask(
            authority, leaf(authority, rsa.generate_private_key(65537, 1024).public_key())
        ),
        "DSA, which": ask(authority, leaf(authority, dsa.generate_private_key(1024).public_key())),
        "secp256k1": ask(
            authority, leaf(authority, ec.generate_private_key(ec.SECP256K1()).public_key())
        ),
        "does not belong": ask(authority, own.certificate, key=p256),
        "is self-signed": ask(third, authority.certificate),
    }
    for message, problems in faults.items():
        assert any(message in problem for problem in problems), (message, problems)


def test_intermediate_authorities_sent_with_the_certificate_count(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    deep = authority.issue("x", Purpose.CLIENT, NOW)
    intermediate = (
        x509.CertificateBuilder()
        .subject_name(distinguished_name("intermediate"))
        .issuer_name(authority.certificate.subject)
        .serial_number(9)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority.key, hashes.SHA256())  # type: ignore[arg-type]
    )
    below = leaf(authority, deep.key.public_key(), signer=key, issuer=intermediate.subject)
    root = Authority.create("r", "ecdsa-p256", NOW)
    # Our own root allows no authority below it (path length 0), and the check must say so.
    (reason,) = ask(authority, below, chain=[below, intermediate])
    assert "permits 0 authorities below it" in reason
    assert any("intermediate certificate" in reason for reason in ask(root, below))


def test_a_request_keeps_its_names_and_gets_no_rights_it_asked_for(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(distinguished_name("vcenter"))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("vc.example.org")]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    signed = authority.sign(request, Purpose.CLIENT, NOW)
    assert ask(authority, signed) == []
    constraints = signed.extensions.get_extension_for_class(x509.BasicConstraints)
    assert not constraints.value.ca
    names = signed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["vc.example.org"]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(certs, arguments)
    return result.exit_code, str(result.exception or "") + result.output


def test_the_command_line_from_init_to_check(tmp_path: Path) -> None:
    pki = str(tmp_path / "pki")
    assert run("init", pki, "--algorithm", "rsa-2048")[0] == 0
    assert run("issue", pki, "Straße 7 €")[0] == 0
    assert run("issue", pki, "kms.example.org", "--server")[0] == 0
    good = ("check", f"{pki}/kms.example.org.crt", "--ca", f"{pki}/ca.crt")
    assert run(*good, "--host", "kms.example.org") == (
        0,
        f"{pki}/kms.example.org.crt: valid as a server certificate\n",
    )
    code, output = run(*good, "--json")
    assert code == 1
    assert json.loads(output[output.index("{") :])["reasons"] == [
        "usage: the extended key usage permits server, but not client;"
        " issue a certificate with the usage client"
    ]
    shown = json.loads(run("show", f"{pki}/Straße 7 €.crt", "--json")[1])
    assert shown[0]["subject"] == "CN=Straße 7 €"


def test_wrong_use_is_explained_and_overwrites_nothing(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.init("a", "ecdsa-p256", NOW)
    before = directory.ca.read_bytes()
    for attempt in (
        lambda: directory.init("b", "ecdsa-p256", NOW),
        lambda: directory.issue("../outside", Purpose.CLIENT, NOW),
        lambda: directory.issue("n" * 65, Purpose.CLIENT, NOW),
        lambda: directory.issue("s", Purpose.SERVER, NOW, alternative=["a..b"]),
        lambda: Directory(tmp_path / "none").authority(),
        lambda: load_certificates(tmp_path / "ca.key"),
        lambda: files.read_key(directory.ca),
        lambda: files.read_request(directory.ca),
        lambda: load_certificates(tmp_path / "missing"),
    ):
        with pytest.raises(CertificateError):
            attempt()
    assert directory.ca.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.crt", "ca.key"]


def test_a_key_with_a_passphrase_says_so(tmp_path: Path) -> None:
    pem = keypairs.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "k").write_bytes(pem)
    with pytest.raises(CertificateError, match=r"encrypted.*--key-password-file"):
        files.read_key(tmp_path / "k")
