"""Revoking certificates: what is revoked stays so, and nobody revokes what is not theirs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs import files, keypairs, revocation
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.check import Check, reasons
from kmipkit_certs.cli import certs
from kmipkit_certs.credentials import load_certificates
from kmipkit_certs.directory import Directory
from kmipkit_certs.errors import CertificateError

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def pki(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path / "pki")
    directory.init("laboratory CA", "ecdsa-p256", NOW)
    for name in ("lost", "stolen", "good"):
        directory.issue(name, Purpose.CLIENT, NOW)
    return directory


def certificate(pki: Directory, name: str) -> x509.Certificate:
    return load_certificates(pki.files(name).cert)[0]


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(certs, [str(each) for each in arguments])
    return result.exit_code, str(result.exception or "") + result.output


def serials(pki: Directory) -> dict[int, str]:
    [crl] = files.read_revocation_lists(pki.revocation_list)
    return revocation.entries(crl)


def test_a_revocation_adds_to_the_list_and_keeps_what_is_in_it(pki: Directory) -> None:
    lost, stolen = certificate(pki, "lost"), certificate(pki, "stolen")
    compromise = x509.ReasonFlags.key_compromise
    assert pki.revoke([lost], NOW) == 1
    later = NOW + timedelta(days=1)
    assert pki.revoke([stolen, lost], later, reason=compromise) == 1
    assert pki.revoke([], later) == 0, "renewed"
    assert serials(pki) == {
        lost.serial_number: "2026-11-23",
        stolen.serial_number: "2026-11-24 (key-compromise)",
    }
    [crl] = files.read_revocation_lists(pki.revocation_list)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    assert crl.is_signature_valid(pki.authority().certificate.public_key())  # type: ignore[arg-type]
    assert sorted(pki.path.glob(".*")) == [], "no temporary file is left"


def test_an_authority_revokes_only_what_it_has_issued(pki: Directory, tmp_path: Path) -> None:
    other = Directory(tmp_path / "other")
    other.init("laboratory CA", "ecdsa-p256", NOW)  # the same name, another key
    with pytest.raises(CertificateError, match="--list"):
        other.revoke([certificate(pki, "lost")], NOW)
    assert not other.revocation_list.exists()


def test_a_list_that_somebody_else_has_signed_is_not_signed_again(
    pki: Directory, tmp_path: Path
) -> None:
    """An old or planted list in the directory would otherwise get the authority's signature."""
    other = Authority.create("laboratory CA", "ecdsa-p256", NOW)
    crl = other.sign_revocation_list([], 1, NOW)
    pki.revocation_list.write_bytes(crl.public_bytes(Encoding.PEM))
    with pytest.raises(CertificateError, match="not signed by"):
        pki.revoke([certificate(pki, "lost")], NOW)


def check(pki: Directory, name: str, **changes: object) -> list[str]:
    arguments = {
        "chain": [certificate(pki, name)],
        "trusted": [pki.authority().certificate],
        "purpose": Purpose.CLIENT,
        "now": NOW,
        **changes,
    }
    return reasons(Check(**arguments))  # type: ignore[arg-type]


def test_check_names_revoked_certificates_and_expired_lists(pki: Directory) -> None:
    pki.revoke([certificate(pki, "lost")], NOW, days=30)
    crls = files.read_revocation_lists(pki.revocation_list)
    assert check(pki, "good", revocation_lists=crls) == []
    [reason] = check(pki, "lost", revocation_lists=crls)
    assert reason == "revocation: the certificate of 'CN=lost' was revoked on 2026-11-23"
    [reason] = check(pki, "good", revocation_lists=crls, now=NOW + timedelta(days=31))
    assert "expired on 2026-12-23" in reason
    own = frozenset({revocation.signed_hash(certificate(pki, "good"))})
    [reason] = check(pki, "good", revoked=own)
    assert "'CN=good' is in the server's list of revoked ones" in reason
    stranger = Authority.create("a stranger", "ecdsa-p256", NOW).sign_revocation_list([], 1, NOW)
    [reason] = check(pki, "good", revocation_lists=[stranger])
    assert "not among the trusted authorities" in reason


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        (x509.DeltaCRLIndicator(1), "delta"),
        (
            x509.IssuingDistributionPoint(
                full_name=None,
                relative_name=None,
                only_contains_user_certs=False,
                only_contains_ca_certs=False,
                only_some_reasons=None,
                indirect_crl=True,
                only_contains_attribute_certs=False,
            ),
            "indirect",
        ),
    ],
)
def test_lists_that_say_less_than_they_seem_to_are_refused(
    extension: x509.ExtensionType, message: str
) -> None:
    authority = Authority.create("CA", "ecdsa-p256", NOW)
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + timedelta(days=1))
        .add_extension(extension, critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    with pytest.raises(CertificateError, match=message):
        revocation.signer(crl, [authority.certificate])


def test_a_key_that_may_not_sign_lists_signs_none() -> None:
    authority = Authority.create("CA", "ecdsa-p256", NOW)
    key = keypairs.generate()
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    limited = (
        x509.CertificateBuilder()
        .subject_name(authority.certificate.subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    crl = Authority(limited, key).sign_revocation_list([], 1, NOW)
    with pytest.raises(CertificateError, match="does not permit"):
        revocation.signer(crl, [authority.certificate, limited])


def test_names_are_equal_whatever_their_case_and_kind_of_string() -> None:
    """OpenSSL accepts an issuer that is written in another way; its revocations must still match."""
    cn = x509.NameOID.COMMON_NAME
    names = [
        x509.Name([x509.NameAttribute(cn, "Storage  CA")]),
        x509.Name([x509.NameAttribute(cn, " storage ca", x509.name._ASN1Type.PrintableString)]),
    ]
    assert len({revocation.name_key(name) for name in names}) == 1
    other = x509.Name([x509.NameAttribute(cn, "storageca")])
    assert revocation.name_key(other) != revocation.name_key(names[0])


def test_the_command_line_revokes_shows_and_checks(pki: Directory) -> None:
    lost, good = pki.files("lost").cert, pki.files("good").cert
    assert run("revoke", pki.path, lost, "--reason", "key-compromise") == (
        0,
        f"revocation list: {pki.revocation_list}, certificates added: 1\n",
    )
    shown = json.loads(run("show", pki.revocation_list, "--json")[1])
    serial = f"{certificate(pki, 'lost').serial_number:x}"
    assert len(shown[0]["revoked"]) == 1
    assert shown[0]["revoked"][0].startswith(f"{serial}: ")
    assert "key-compromise" in run("show", pki.revocation_list)[1]
    against = ("--ca", pki.ca, "--crl", pki.revocation_list)
    assert run("check", good, *against)[0] == 0
    code, output = run("check", lost, *against)
    assert code == 1
    assert "was revoked on" in output


def test_a_list_of_ones_own_has_a_line_for_each_certificate(pki: Directory, tmp_path: Path) -> None:
    own = tmp_path / "revoked.txt"
    lost, good = pki.files("lost").cert, pki.files("good").cert
    assert run("revoke", "--list", own, lost, lost)[1] == f"list: {own}, certificates added: 1\n"
    assert run("revoke", "--list", own, lost)[1] == f"list: {own}, certificates added: 0\n"
    [line] = own.read_text().splitlines()
    assert line.startswith("signed-sha256:")
    assert "# CN=lost, 20" in line
    assert files.read_revoked(own) == {revocation.signed_hash(certificate(pki, "lost"))}
    against = ("--ca", pki.ca, "--revoked", own)
    assert run("check", good, *against)[0] == 0
    assert run("check", lost, *against)[0] == 1


@pytest.mark.parametrize("line", ["ab" * 32, "AB:" * 31 + "AB", "signed-sha256:12", "tape"])
def test_a_line_that_would_revoke_nothing_is_an_error(line: str) -> None:
    """Above all the usual fingerprint: who is revoked could change that of their certificate."""
    with pytest.raises(CertificateError, match=r"line 2 is not .* --list"):
        revocation.parse_lines(f"# stolen\n{line}\n")


@pytest.mark.parametrize(
    "data", [b"", b"junk", b"-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n"]
)
def test_what_is_no_revocation_list_is_an_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "ca.crl").write_bytes(data)
    with pytest.raises(CertificateError, match=r"ca\.crl"):
        files.read_revocation_lists(tmp_path / "ca.crl")
