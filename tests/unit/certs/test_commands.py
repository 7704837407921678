"""``kmipkit certs`` where devices want something special: PKCS #12, encrypted keys, old requests."""

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificate_family import weak_request
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from kmipkit_certs import files, keypairs
from kmipkit_certs.authority import SKEW, Authority, Purpose, distinguished_name
from kmipkit_certs.cli import certs
from kmipkit_certs.credentials import load_certificates, load_credentials
from kmipkit_certs.directory import Directory
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import VARIABLE, KeyPassword

NOW = datetime.now(UTC)
OLD_ALGORITHM = bytes.fromhex("060a2a864886f70d010c0103")
"""pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 appendix C)."""


@pytest.fixture
def pki(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path / "pki")
    directory.init("laboratory", "ecdsa-p256", NOW)
    return directory


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret\n")
    return path


def run(*arguments: object) -> str:
    """The output of a command that succeeds; CertificateError if it fails."""
    result = CliRunner().invoke(certs, list(map(str, arguments)))
    if isinstance(result.exception, CertificateError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("options", [(), ("--pkcs12-old",)])
@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-2048"])
def test_issue_makes_pkcs12_for_devices(
    pki: Directory, password: Path, options: tuple[str, ...], algorithm: str
) -> None:
    """The file has everything, is encrypted, and works as it is as a client's certificate."""
    output = run(
        "issue", pki.path, "array7", "--algorithm", algorithm,
        "--pkcs12", "--pkcs12-password-file", password, *options,
    )  # fmt: skip
    path = pki.path / "array7.p12"
    assert str(path) in output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    store = pkcs12.load_pkcs12(data, b"secret")
    assert store.cert is not None
    assert store.cert.friendly_name == b"array7"
    assert store.cert.certificate == load_certificates(pki.files("array7").cert)[0]
    assert [each.certificate for each in store.additional_certs] == load_certificates(pki.ca)
    assert (OLD_ALGORITHM in data) is bool(options)
    loaded = load_credentials(path, None, KeyPassword("secret"))
    loaded.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    check = ("check", path, "--ca", pki.ca, "--key-password-file", password)
    assert "valid as a client certificate" in run(*check)


@pytest.mark.parametrize("name", ["kms1,kms2", "kms 1", "kms.example.org:5696", "kms/1", ""])
def test_a_name_that_no_client_can_ask_for_is_refused(pki: Directory, name: str) -> None:
    """Otherwise the certificate would look right, and every client would refuse it."""
    with pytest.raises(CertificateError, match=r"is not a (host|valid alternative) name"):
        run("issue", pki.path, "kms", "--server", "--san", name)
    assert not pki.files("kms").key.exists()


@pytest.mark.parametrize(
    ("until", "left"),
    [
        ("90s", timedelta(seconds=90)),
        ("12h", timedelta(hours=12)),
        ((NOW + timedelta(days=40)).isoformat(), timedelta(days=40)),
    ],
    ids=["seconds", "hours", "a date"],
)
def test_a_certificate_ends_at_the_time_that_is_named(
    pki: Directory, until: str, left: timedelta
) -> None:
    """A contractor's certificate ends with the contract, and not with a day or a year."""
    run("issue", pki.path, "contractor", "--until", until)
    [certificate] = load_certificates(pki.files("contractor").cert)
    found = certificate.not_valid_after_utc - certificate.not_valid_before_utc - SKEW
    assert abs(found - left) < timedelta(minutes=30)
    run("renew", pki.path, "contractor", "--until", "30d")
    [renewed] = load_certificates(pki.files("contractor").cert)
    assert renewed.not_valid_after_utc > datetime.now(UTC) + timedelta(days=29)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--until", "2020-01-01"), "'2020-01-01' is not between now and 36500 days from now"),
        (("--until", "0s"), "is not between now"),
        (("--until", "soon"), "'soon' is not a time such as"),
        (("--until", "2h", "--days", "3"), "one of --days and --until"),
    ],
)
def test_an_end_that_cannot_be_is_refused(
    pki: Directory, options: tuple[str, ...], message: str
) -> None:
    result = CliRunner().invoke(certs, ["issue", str(pki.path), "contractor", *options])
    assert result.exit_code == 2
    assert message in result.output
    assert not pki.files("contractor").cert.exists()


def test_without_a_password_nothing_is_made(pki: Directory, tmp_path: Path) -> None:
    before = sorted(pki.path.iterdir())
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(CertificateError, match="--pkcs12-password-file"):
        run("issue", pki.path, "array7", "--pkcs12")
    run("issue", pki.path, "array8")
    with pytest.raises(CertificateError, match="must not be empty"):
        run(
            "export", pki.files("array8").cert, pki.path / "x.p12",
            "--key", pki.files("array8").key, "--pkcs12-password-file", tmp_path / "empty",
        )  # fmt: skip
    assert sorted(pki.path.iterdir()) == sorted([*before, *pki.path.glob("array8.*")])


def test_export_packs_what_exists(pki: Directory, password: Path, tmp_path: Path) -> None:
    pair = pki.issue("array7", Purpose.CLIENT, NOW)
    target = tmp_path / "array7.p12"
    options = ("--pkcs12-password-file", password)
    run("export", pair.cert, target, "--key", pair.key, "--ca", pki.ca, *options)
    with pytest.raises(CertificateError, match="already exists"):
        run("export", pair.cert, target, "--key", pair.key, *options)
    # From PKCS #12 to PKCS #12: with another password.
    again = tmp_path / "again.p12"
    run("export", target, again, "--key-password-file", password, *options)
    store = pkcs12.load_pkcs12(again.read_bytes(), b"secret")
    assert store.key is not None
    assert len(store.additional_certs) == 1
    with pytest.raises(CertificateError, match="interchanged"):
        run("export", pair.key, tmp_path / "n.p12", "--key", pair.cert, *options)
    assert not (tmp_path / "n.p12").exists()


def test_an_encrypted_key_of_the_authority_needs_its_password(
    pki: Directory, password: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pki.files("ca").key
    encrypted = files.read_key(path).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    path.write_bytes(encrypted)
    monkeypatch.delenv(VARIABLE, raising=False)
    request = tmp_path / "x.csr"
    builder = x509.CertificateSigningRequestBuilder().subject_name(distinguished_name("x"))
    request.write_bytes(
        builder.sign(keypairs.generate(), hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    for command in (
        ("issue", pki.path, "a"),
        ("sign", pki.path, request),
        ("revoke", pki.path),
    ):
        with pytest.raises(CertificateError, match=r"ca\.key: the private key is encrypted"):
            run(*command)
        run(*command, "--key-password-file", password)
    monkeypatch.setenv(VARIABLE, "secret")
    run("issue", pki.path, "b")
    assert not list(pki.path.glob("*.new"))


def test_a_request_with_an_old_hash_gets_the_true_reason(pki: Directory, tmp_path: Path) -> None:
    """The signature fits the key: "not signed by the key in it" would be untrue."""
    request = tmp_path / "array.csr"
    for digest, oid, name in (
        (hashes.SHA1(), "06092a864886f70d010105", "SHA-1"),
        (hashes.MD5(), "06092a864886f70d010104", "MD5"),
    ):
        request.write_bytes(weak_request(digest, oid))
        with pytest.raises(CertificateError, match=f"signed with {name}.*SHA-256"):
            run("sign", pki.path, request)
    good = weak_request(hashes.SHA256(), "06092a864886f70d01010b")
    request.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(CertificateError, match="not signed by the key in it"):
        run("sign", pki.path, request)
    request.write_bytes(good)
    assert "array" in run("sign", pki.path, request)


def test_check_takes_the_part_of_the_certificate_that_the_server_takes(
    pki: Directory, tmp_path: Path
) -> None:
    private = keypairs.generate()
    certificate = pki.authority().certify(
        x509.Name([]), private.public_key(), Purpose.CLIENT, NOW, 9, [x509.DNSName("array7")]
    )
    files.write_certificate(tmp_path / "c", certificate)
    check = ("check", str(tmp_path / "c"), "--ca", str(pki.ca), "--json")
    refused = CliRunner().invoke(certs, check)
    assert refused.exit_code == 1
    verdict = json.loads(refused.output)
    assert verdict["openssl"] is None
    assert verdict["reasons"][0].startswith("identity: ")
    for source in ("san", "cn-or-san", "fingerprint"):
        assert json.loads(run(*check, "--identity", source))["accepted"] is True
    assert CliRunner().invoke(certs, [*check, "--identity", "subject"]).exit_code == 1


def test_another_date_is_checked_by_our_rules(pki: Directory) -> None:
    """OpenSSL compares with its own clock; everything else of its verdict holds at any date."""
    pair = pki.issue("array", Purpose.CLIENT, NOW, days=30)
    check = ("check", str(pair.cert), "--ca", str(pki.ca))
    assert "valid as a client" in run(*check, "--at", f"{NOW:%Y-%m-%dT%H:%M:%S}")
    late = CliRunner().invoke(certs, [*check, "--at", "2090-01-01"])
    assert late.exit_code == 1
    assert "expired on" in late.output
    other = Authority.create("elsewhere", "ecdsa-p256", NOW)
    files.write_certificate(pki.path / "other.crt", other.certificate)
    wrong = ["check", str(pair.cert), "--ca", str(pki.path / "other.crt"), "--at", "2090-01-01"]
    refused = CliRunner().invoke(certs, wrong).output
    assert "not among the trusted" in refused
    assert "(OpenSSL: unable to get local issuer certificate)" in refused


def test_a_certificate_for_both_sides_is_issued(tmp_path: Path) -> None:
    """For one who calls and is called, such as a vCenter of the laboratory."""
    pki = tmp_path / "pki"
    run("init", pki)
    run("issue", pki, "vcenter", "--both")
    certificate = x509.load_pem_x509_certificate((pki / "vcenter.crt").read_bytes())
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["vcenter"]
