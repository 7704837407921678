"""A certificate gets new dates before it ends, and everybody who knew it or its authority goes on."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from kmipkit_certs import cli, development, files, renewal
from kmipkit_certs.authority import AUTHORITY_DAYS, LEAF_DAYS, Purpose
from kmipkit_certs.check import Check, reasons
from kmipkit_certs.credentials import load_certificates
from kmipkit_certs.directory import CA, Directory
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.show import alternative_names

NOW = datetime(2026, 3, 1, tzinfo=UTC)
END = NOW + timedelta(days=LEAF_DAYS)


@pytest.fixture
def pki(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path / "pki")
    directory.init("CA", "ecdsa-p256", NOW)
    directory.issue("kms", Purpose.BOTH, NOW, alternative=("kms.example.org", "192.0.2.7"))
    directory.issue("tape", Purpose.CLIENT, NOW, days=90)
    return directory


def loaded(directory: Directory, name: str) -> x509.Certificate:
    return load_certificates(directory.files(name).cert)[0]


def accepted(leaf: x509.Certificate, authority: x509.Certificate, now: datetime) -> bool:
    return not reasons(Check([leaf], [authority], Purpose.CLIENT, now, is_present=False))


def test_all_but_the_dates_stays(pki: Directory) -> None:
    old, key = loaded(pki, "kms"), pki.files("kms").key.read_bytes()
    later = END + timedelta(days=3)  # it has ended already
    renewal.renew(pki, "kms", later, alternative=("kms2", "192.0.2.7"))
    new = loaded(pki, "kms")
    assert pki.files("kms").key.read_bytes() == key
    assert new.public_key() == old.public_key()
    assert new.subject == old.subject
    assert new.serial_number != old.serial_number
    assert list(alternative_names(new)) == ["kms.example.org", "kms2", "192.0.2.7"]
    assert new.not_valid_after_utc == later + timedelta(days=LEAF_DAYS)
    for extension in (x509.ExtendedKeyUsage, x509.KeyUsage):
        values = [each.extensions.get_extension_for_class(extension).value for each in (old, new)]
        assert values[0] == values[1]
    assert accepted(new, loaded(pki, CA), later)


def test_the_time_is_that_of_the_old_one_or_that_of_the_option(pki: Directory) -> None:
    assert renewal.renew(pki, "tape", NOW).not_valid_after_utc == NOW + timedelta(days=90)
    new = renewal.renew(pki, "tape", NOW, days=7)
    assert new.not_valid_after_utc == NOW + timedelta(days=7)


def test_clients_go_on_with_the_old_certificate_of_a_renewed_authority(pki: Directory) -> None:
    old, later = loaded(pki, CA), NOW + timedelta(days=AUTHORITY_DAYS - 300)
    new = renewal.renew(pki, CA, later)
    assert new.not_valid_after_utc == later + timedelta(days=AUTHORITY_DAYS)
    renewed = renewal.renew(pki, "kms", later)
    fresh = pki.issue("array", Purpose.CLIENT, later)
    for leaf in (renewed, load_certificates(fresh.cert)[0]):
        assert accepted(leaf, old, later)
        assert accepted(leaf, new, later)
        assert accepted(leaf, new, old.not_valid_after_utc + timedelta(days=1))


def test_a_revoked_certificate_does_not_come_back(pki: Directory) -> None:
    before = pki.files("tape").cert.read_bytes()
    pki.revoke([loaded(pki, "tape")], NOW)
    with pytest.raises(CertificateError, match="the certificate of tape is revoked"):
        renewal.renew(pki, "tape", NOW)
    assert pki.files("tape").cert.read_bytes() == before


def test_a_certificate_of_another_authority_is_not_signed(pki: Directory, tmp_path: Path) -> None:
    other = Directory(tmp_path / "other")
    other.init("CA", "ecdsa-p256", NOW)
    other.issue("tape", Purpose.CLIENT, NOW)
    pki.files("tape").cert.write_bytes(other.files("tape").cert.read_bytes())
    with pytest.raises(CertificateError, match="cannot renew it"):
        renewal.renew(pki, "tape", NOW)


def test_a_reader_sees_the_old_file_or_the_new_one(
    pki: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pki.files("kms").cert.read_bytes()

    def full_disk(*_: object) -> None:
        raise CertificateError("No space left on device")

    monkeypatch.setattr(files, "write_new", full_disk)
    with pytest.raises(CertificateError, match="No space"):
        renewal.renew(pki, "kms", NOW)
    assert pki.files("kms").cert.read_bytes() == before


def test_the_development_pki_is_renewed_in_time_and_only_then(tmp_path: Path) -> None:
    now = [NOW]

    def start(*required: str) -> list[str]:
        development.ensure(tmp_path, hosts=("h",), clients=("admin",), clock=lambda: now[0])
        renewed = development.renew(
            tmp_path, required=required, hosts=("machine",), clock=lambda: now[0]
        )
        return [each.path.name for each in renewed]

    servers = ["server.crt", "server-rsa.crt"]
    assert start("h") == []
    now[0] = END - renewal.MARGIN
    assert start("h") == []
    now[0] += timedelta(minutes=1)
    assert start("h") == servers
    assert start("h") == []
    assert start("h", "other.example.org") == servers, "what --san names"
    assert start("h", "other.example.org") == []
    names = list(alternative_names(load_certificates(tmp_path / "server.crt")[0]))
    assert names == ["h", "other.example.org", "machine"]
    now[0] = NOW + timedelta(days=AUTHORITY_DAYS) - renewal.AUTHORITY_MARGIN + timedelta(minutes=1)
    assert start("h") == ["ca.crt", *servers]
    assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600


def test_names_do_not_grow_without_end(pki: Directory) -> None:
    for number in range(12):
        many = tuple(f"h{number}-{each}" for each in range(20))
        new = renewal.renew(pki, "kms", NOW, alternative=many)
    names = list(alternative_names(new))
    assert len(names) == renewal.MAX_NAMES
    assert names[0] == "kms.example.org", "which may be the name of an account"
    assert set(many) <= set(names), "what was asked for last is there"


def test_the_command_renews_what_ends_soon(pki: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def renew(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli.certs, ["renew", str(pki.path), *arguments])
        return result.exit_code, result.output

    monkeypatch.setattr(cli, "system_clock", lambda: NOW + timedelta(days=65))
    path = pki.files("tape").cert
    assert renew() == (0, f"renewed: {path}, valid until 2026-08-03\n")
    assert renew() == (0, "nothing ends within 30 days\n")
    assert renew("tape", "--days", "1") == (0, f"renewed: {path}, valid until 2026-05-06\n")
    assert "needs the NAME" in renew("--san", "kms2")[1]
    assert "there are certificates of: ca, " in renew("nobody")[1]
    pki.revoke([loaded(pki, "tape")], NOW)
    code, text = renew("tape", "kms", "--san", "kms3")
    assert code == 1
    assert "not renewed: tape: the certificate of tape is revoked" in text
    assert "kms3" in alternative_names(loaded(pki, "kms"))
    assert renew("nobody")[0] == 1
