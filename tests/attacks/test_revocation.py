"""A revoked certificate opens nothing: not now, not on an open connection, not in another form."""

import signal
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.credentials import load_certificates
from kmipkit_certs.directory import Directory
from kmipkit_certs.revocation import text_line
from kmipkit_certs.revocation_files import RevocationFiles
from kmipkit_client import calls, messages
from kmipkit_server.cli import serve
from kmipkit_server.config import ConfigError
from kmipkit_server.net.revocation import Revocations, Revoked
from servers import ANSWER_TIMEOUT, RunningServer, exchange

from kmipkit.model.codec import encode
from kmipkit.spec.versions import V1_4

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUERY = encode(messages.request(V1_4, [calls.discover_versions()]), V1_4)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass
class Company:
    """An authority with two clients, and a clock that is moved by hand."""

    pki: Directory
    now: datetime = NOW
    clients: dict[str, x509.Certificate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pki.init("company CA", "ecdsa-p256", NOW)
        for name in ("thief", "honest"):
            self.pki.issue(name, Purpose.CLIENT, NOW)
            self.clients[name] = load_certificates(self.pki.files(name).cert)[0]

    def clock(self) -> datetime:
        return self.now

    @property
    def authorities(self) -> list[bytes]:
        return [self.pki.authority().certificate.public_bytes(Encoding.DER)]

    def revoke(self, name: str, days: int = 30) -> None:
        self.pki.revoke([self.clients[name]], self.now, days=days)

    def load(self, **options: object) -> Revocations:
        sources = {"crls": (self.pki.revocation_list,), **options}
        return Revocations.load(RevocationFiles(**sources), self.authorities, self.clock)  # type: ignore[arg-type]  # fields of several types

    def admits(self, revocations: Revocations, name: str) -> bool:
        try:
            revocations.require_valid(self.clients[name].public_bytes(Encoding.DER))
        except Revoked:
            return False
        return True


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(Directory(tmp_path / "pki"))


def test_who_is_revoked_is_refused_and_nobody_else(company: Company) -> None:
    company.revoke("thief")
    revocations = company.load()
    assert company.admits(revocations, "honest")
    with pytest.raises(Revoked, match="'CN=thief' was revoked on 2026-11-23"):
        revocations.require_valid(company.clients["thief"].public_bytes(Encoding.DER))


def twin(certificate: x509.Certificate) -> bytes:
    """The certificate with its signature (r, n - s), which is valid as well."""
    r, s = decode_dss_signature(certificate.signature)
    signature = encode_dss_signature(r, P256_ORDER - s)
    der = certificate.public_bytes(Encoding.DER)
    tbs = certificate.tbs_certificate_bytes
    start = der.index(tbs) + len(tbs)
    algorithm = der[start : start + 2 + der[start + 1]]
    bits = b"\x03" + bytes([len(signature) + 1]) + b"\x00" + signature
    content = tbs + algorithm + bits
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def test_a_certificate_with_a_changed_signature_stays_revoked(
    company: Company, tmp_path: Path
) -> None:
    """Whoever has an ECDSA-signed certificate can give it another fingerprint."""
    own = tmp_path / "revoked.txt"
    own.write_text(text_line(company.clients["thief"], NOW) + "\n")
    revocations = company.load(crls=(), revoked=own)
    changed = twin(company.clients["thief"])
    assert changed != company.clients["thief"].public_bytes(Encoding.DER)
    x509.load_der_x509_certificate(changed).verify_directly_issued_by(
        company.pki.authority().certificate
    )
    with pytest.raises(Revoked, match="in the server's list"):
        revocations.require_valid(changed)
    assert company.admits(revocations, "honest")


def test_an_expired_list_refuses_its_authority_or_warns_once_a_day(
    company: Company, caplog: pytest.LogCaptureFixture
) -> None:
    company.revoke("thief", days=7)
    strict, lenient = company.load(), company.load(refuses_expired=False)
    company.now += timedelta(days=8)
    with pytest.raises(Revoked, match=r"'CN=company CA' expired on 2026-11-30 12:00 UTC"):
        strict.require_valid(company.clients["honest"].public_bytes(Encoding.DER))
    assert company.admits(lenient, "honest")
    assert not company.admits(lenient, "thief")

    async def refresh() -> list[bool]:
        return [await lenient.refresh() for _ in range(3)]

    assert trio.run(refresh) == [True, False, False]
    company.now += timedelta(days=1)
    trio.run(refresh)
    warnings = [record for record in caplog.records if "ca.crl" in record.getMessage()]
    assert [record.levelname for record in warnings] == ["WARNING", "WARNING"]


def test_a_fresh_list_of_another_key_does_not_excuse_an_expired_one(
    company: Company, tmp_path: Path
) -> None:
    """Two authorities of one name, such as before and after a change of its key."""
    company.revoke("thief", days=7)
    successor = Company(Directory(tmp_path / "successor"))
    successor.revoke("thief", days=365)
    company.now += timedelta(days=8)
    crls = (company.pki.revocation_list, successor.pki.revocation_list)
    both = [*company.authorities, *successor.authorities]
    revocations = Revocations.load(RevocationFiles(crls), both, company.clock)
    assert not company.admits(revocations, "honest")


def test_an_intermediate_authority_that_is_revoked_takes_its_clients_along(
    company: Company,
) -> None:
    root = company.pki.authority()
    issuer = Authority.create("site CA", "ecdsa-p256", NOW)
    intermediate = root.certify(
        issuer.certificate.subject, issuer.key.public_key(), Purpose.BOTH, NOW, 30
    )
    company.clients["branch"] = Authority(intermediate, issuer.key).issue(
        "branch", Purpose.CLIENT, NOW
    ).certificate  # fmt: skip
    authorities = [*company.authorities, intermediate.public_bytes(Encoding.DER)]
    company.pki.revoke([intermediate], NOW)
    sources = RevocationFiles((company.pki.revocation_list,))
    revocations = Revocations.load(sources, authorities, company.clock)
    assert company.admits(revocations, "honest")
    assert not company.admits(revocations, "branch")


def forged(company: Company) -> bytes:
    other = Authority.create("company CA", "ecdsa-p256", NOW)
    return other.sign_revocation_list([], 9, NOW).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("fault", ["forged", "junk", "missing"])
def test_a_faulty_list_stops_the_start_and_later_changes_nothing(
    company: Company, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty list in place of the true one would bring the thief back."""
    company.revoke("thief")
    revocations = company.load()
    if fault == "missing":
        company.pki.revocation_list.unlink()
    else:
        company.pki.revocation_list.write_bytes(forged(company) if fault == "forged" else b"junk")
    with pytest.raises(ConfigError, match=r"ca\.crl"):
        company.load()

    async def reload() -> None:
        assert not await revocations.refresh()
        assert not await revocations.refresh(), "the same fault is not logged again"
        with pytest.raises(ConfigError):
            await revocations.reload(company.authorities)

    trio.run(reload)
    assert not company.admits(revocations, "thief")
    errors = [record for record in caplog.records if "not reloaded" in record.getMessage()]
    assert len(errors) == 1


def test_a_list_that_is_optional_must_stay_once_it_is_there(company: Company) -> None:
    """That of the development PKI: it may come later, but not go."""
    optional = company.pki.revocation_list
    revocations = company.load(crls=(), optional_crl=optional)
    assert company.admits(revocations, "thief")

    async def change() -> None:
        company.revoke("thief")
        assert await revocations.refresh()
        assert not company.admits(revocations, "thief")
        optional.unlink()
        assert not await revocations.refresh()
        with pytest.raises(ConfigError, match="no longer exists"):
            await revocations.reload(company.authorities)

    trio.run(change)
    assert not company.admits(revocations, "thief")


def test_a_change_of_the_files_is_noticed_without_a_signal(company: Company) -> None:
    company.revoke("thief")
    revocations = company.load()
    changes: list[bool] = []

    async def watch() -> None:
        async with trio.open_nursery() as nursery:

            def note() -> None:
                changes.append(company.admits(revocations, "honest"))
                nursery.cancel_scope.cancel()

            company.revoke("honest")
            nursery.start_soon(revocations.watch, note)

    trio.run(watch, clock=trio.testing.MockClock(autojump_threshold=0))
    assert changes == [False]


def answer(server: RunningServer, name: str) -> bytes:
    with server.raw(name) as stream:
        return exchange(stream, QUERY)


def test_over_tls_a_revocation_ends_open_connections_and_refuses_new_ones(
    own_server: RunningServer,
) -> None:
    server = own_server.start()
    with server.raw("thief") as open_one, server.raw("honest") as other:
        assert exchange(open_one, QUERY)
        assert exchange(other, QUERY)
        server.pki.revoke([load_certificates(server.pki.files("thief").cert)[0]], now())
        server.signal(signal.SIGHUP)
        open_one.settimeout(ANSWER_TIMEOUT)
        assert open_one.recv(1) == b"", "ended by the server"
        assert exchange(other, QUERY), "who was connected stays so"
    assert b"was revoked on" in answer(server, "thief")
    assert b"was revoked on" not in answer(server, "honest")
    server.stop()
    assert (
        len([line for line in server.lines() if "closed: the certificate of 'CN=thief'" in line])
        == 1
    )
    assert len([line for line in server.lines() if "client refused: the certificate" in line]) == 1


def now() -> datetime:
    return datetime.now(UTC)


def wait_until_refused(server: RunningServer, reason: str) -> None:
    """Wait until a thief is refused for a reason: each worker reads a changed file by itself."""
    end = time.monotonic() + ANSWER_TIMEOUT
    while reason.encode() not in answer(server, "thief"):
        assert time.monotonic() < end


def test_over_tls_a_list_of_ones_own_is_read_when_it_changes(
    own_server: RunningServer, tmp_path: Path
) -> None:
    revoked, config = tmp_path / "revoked.txt", tmp_path / "kms.toml"
    revoked.write_text("# nobody yet\n")
    config.write_text('[tls]\nrevoked = "revoked.txt"\n')
    own_server.arguments = ("--config", str(config))
    server = own_server.start()
    assert b"server's list" not in answer(server, "thief")
    cert = load_certificates(server.pki.files("thief").cert)[0]
    revoked.write_text(text_line(cert, now()) + "\n")
    wait_until_refused(server, "server's list")
    changed = tmp_path / "twin.crt"
    changed.write_bytes(x509.load_der_x509_certificate(twin(cert)).public_bytes(Encoding.PEM))
    context = ssl.create_default_context(cafile=server.pki.ca)
    context.load_cert_chain(changed, server.pki.files("thief").key)
    server.context = lambda identity="admin": context  # type: ignore[method-assign]  # replaced for this test
    wait_until_refused(server, "server's list")  # in its other form as well


def test_check_config_reads_the_lists(company: Company, tmp_path: Path) -> None:
    issued = company.pki.issue("kms", Purpose.SERVER, NOW, alternative=["localhost"])
    company.pki.revocation_list.write_bytes(forged(company))
    config = tmp_path / "kms.toml"
    config.write_text(
        f'[tls]\ncert = "{issued.cert}"\nkey = "{issued.key}"\nca = "{company.pki.ca}"\n'
        f'crl = ["{company.pki.revocation_list}"]\n'
    )
    result = CliRunner().invoke(serve, ["--config", str(config), "--check-config"])
    assert result.exit_code == 1
    assert "not signed by the trusted authority 'CN=company CA'" in result.output
    company.pki.revocation_list.unlink()
    company.revoke("thief")
    result = CliRunner().invoke(serve, ["--config", str(config), "--check-config"])
    assert (result.exit_code, result.output) == (0, "the configuration is valid\n")
