"""What a revocation, or a certificate in another encoding, means for tickets, users and accounts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.revocation import signed_hash
from kmipkit_client import calls, messages
from kmipkit_server.config import ConfigError, load
from kmipkit_server.identity.certificate import IdentityRule
from kmipkit_server.net.revocation import RevocationFiles, Revocations
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.codec import encode
from kmipkit.model.credentials import Credential, Ticket, TicketCredential
from kmipkit.model.envelope import decode_response
from kmipkit.model.objects import Certificate
from kmipkit.model.payloads.accounts import CreateCredentialRequest, CreateUserRequest
from kmipkit.model.payloads.certify import ValidateRequest
from kmipkit.model.payloads.session import LoginRequest
from kmipkit.spec.enums import (
    CertificateType,
    CredentialType,
    NameType,
    Operation,
    ResultReason,
    ValidityIndicator,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, V3_0

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
AUTHORITY = Authority.create("ca", "ecdsa-p256", START)


def issue(name: str = "holder") -> x509.Certificate:
    return AUTHORITY.issue(name, Purpose.CLIENT, START).certificate


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


# --- another encoding of the same certificate ----------------------------------------------------


@pytest.mark.parametrize("source", ["fingerprint", "cn", "subject"])
def test_a_certificate_has_one_account(source: str) -> None:
    """Its holder would otherwise have any number of accounts, each with a quota of its own."""
    certificate = issue()
    rule = IdentityRule(source)
    der = certificate.public_bytes(Encoding.DER)
    other = twin(certificate)
    assert other != der
    assert rule.identify(der) == rule.identify(other)


def test_certificates_of_one_name_have_accounts_of_their_own_by_fingerprint() -> None:
    first, second = (issue().public_bytes(Encoding.DER) for _ in range(2))
    rule = IdentityRule("fingerprint")
    assert rule.identify(first).name != rule.identify(second).name


def test_the_fingerprint_is_that_of_the_lists_of_revoked_certificates() -> None:
    """An administrator reads it off with one command, for the configuration and for a revocation."""
    certificate = issue()
    expected = f"signed-sha256:{signed_hash(certificate).hex()}"
    der = certificate.public_bytes(Encoding.DER)
    assert IdentityRule("fingerprint").identify(der).name == expected
    assert IdentityRule("fingerprint", {expected: "vcenter"}).identify(der).name == "vcenter"


def test_a_fingerprint_of_the_whole_certificate_is_not_taken(tmp_path: Path) -> None:
    """It would lead to no account, which the administrator learns at the start."""
    file = tmp_path / "kms.toml"
    file.write_text(
        '[identity]\nsource = "fingerprint"\naccounts = { "sha256:00ff" = "vcenter" }\n'
    )
    with pytest.raises(ConfigError, match="signed-sha256"):
        load(file)


def test_a_user_is_known_by_every_encoding(laboratory: Laboratory) -> None:
    """A holder whose user is locked would otherwise be the account of the common name again."""
    certificate = issue("vcenter")
    value = Certificate(
        certificate_type=CertificateType.X_509,
        certificate_value=certificate.public_bytes(Encoding.DER),
    )
    credential = laboratory.ask(
        calls.raw(
            Operation.CREATE_CREDENTIAL,
            CreateCredentialRequest(
                credential_type=CredentialType.CERTIFICATE,
                attributes=Attributes(),
                credential=value,
            ),
        ),
        V3_0,
        identity="administrator",
    ).unique_identifier
    name = Name(name_value="array", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    attributes = Attributes.of((Tag.NAME, name), (Tag.CREDENTIAL_LINK, [credential]))
    user = calls.raw(Operation.CREATE_USER, CreateUserRequest(attributes=attributes))
    laboratory.ask(user, V3_0, identity="administrator")
    rule = IdentityRule("cn")
    for der in (certificate.public_bytes(Encoding.DER), twin(certificate)):
        admitted = trio.run(laboratory.dispatcher.admit, rule.identify(der))
        assert admitted.name == "user:array"
    another = issue("vcenter").public_bytes(Encoding.DER)
    assert trio.run(laboratory.dispatcher.admit, rule.identify(another)).name == "vcenter"


# --- revocation ----------------------------------------------------------------------------------


class Company:
    """A laboratory with revocation lists, and clients with certificates."""

    def __init__(self, folder: Path) -> None:
        self.list = folder / "ca.crl"
        self.now = START
        self.revoke()
        authorities = [AUTHORITY.certificate.public_bytes(Encoding.DER)]
        files = RevocationFiles((self.list,))
        self.authorities = authorities
        self.revocations = Revocations.load(files, authorities, lambda: self.now)
        self.laboratory = Laboratory(
            folder / "data", anchors=tuple(authorities), revocation=self.revocations.validity
        )
        self.laboratory.dispatcher.accounts.revocation = self.revocations.reason

    def revoke(self, *certificates: x509.Certificate) -> None:
        """A new list, which names these certificates."""
        builder = x509.CertificateRevocationListBuilder()
        builder = (
            builder.issuer_name(AUTHORITY.certificate.subject)
            .last_update(self.now)
            .next_update(self.now + timedelta(days=30))
            .add_extension(x509.CRLNumber(int(self.now.timestamp()) + len(certificates)), False)
        )
        for certificate in certificates:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(self.now).build())
        crl = builder.sign(AUTHORITY.key, SHA256())  # type: ignore[arg-type]  # an EC key
        self.list.write_bytes(crl.public_bytes(Encoding.PEM))

    def reload(self) -> None:
        trio.run(self.revocations.reload, self.authorities)

    def ask(
        self, certificate: x509.Certificate, call: calls.Call[Any], ticket: Ticket | None = None
    ) -> Any:
        """The batch item of a response to a client with this certificate."""
        shown = None
        if ticket is not None:
            value = TicketCredential(ticket=ticket)
            shown = Credential(credential_type=CredentialType.TICKET, credential_value=value)
        request = encode(messages.request(V2_1, [call], shown), V2_1)
        identity = IdentityRule("cn").identify(certificate.public_bytes(Encoding.DER))

        async def work() -> bytes:
            async with self.laboratory.serving():
                account = await self.laboratory.dispatcher.admit(identity)
                return (await self.laboratory.dispatcher.respond(request, account)).data

        [item] = decode_response(trio.run(work))[0].batch_items
        return item


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    company = Company(tmp_path)
    yield company
    company.laboratory.close()


LOGIN = calls.raw(Operation.LOGIN, LoginRequest())


def test_a_ticket_ends_with_the_certificate_of_its_login(company: Company) -> None:
    """The thief of a certificate logs in, and shows the ticket with another certificate."""
    thief, honest = issue("vcenter"), issue("vcenter")
    stolen = company.ask(thief, LOGIN).response_payload.ticket
    own = company.ask(honest, LOGIN).response_payload.ticket
    renewed = company.ask(honest, LOGIN, stolen).response_payload.ticket
    for ticket in (stolen, own, renewed):
        assert company.ask(honest, LOGIN, ticket).response_payload
    company.revoke(thief)
    company.reload()
    for ticket in (stolen, renewed, stolen):
        item = company.ask(honest, LOGIN, ticket)
        assert item.result_reason is ResultReason.INVALID_TICKET
    assert company.ask(honest, LOGIN, own).response_payload


def test_a_ticket_of_a_revoked_certificate_does_not_come_back(company: Company) -> None:
    """A certificate that is put on hold, and later released, must log in again."""
    holder, other = issue("vcenter"), issue("vcenter")
    ticket = company.ask(holder, LOGIN).response_payload.ticket
    company.revoke(holder)
    company.reload()
    assert company.ask(other, LOGIN, ticket).result_reason is ResultReason.INVALID_TICKET
    company.now += timedelta(seconds=5)
    company.revoke()
    company.reload()
    assert company.ask(other, LOGIN, ticket).result_reason is ResultReason.INVALID_TICKET


def validity(
    company: Company, *chain: x509.Certificate, date: datetime | None = None
) -> ValidityIndicator:
    certificates = tuple(
        Certificate(
            certificate_type=CertificateType.X_509,
            certificate_value=each.public_bytes(Encoding.DER),
        )
        for each in chain
    )
    request = ValidateRequest(certificates=certificates, validity_date=date)
    result = company.laboratory.ask(calls.raw(Operation.VALIDATE, request))
    return ValidityIndicator(result.validity_indicator)


def test_validate_uses_the_revocation_lists(company: Company) -> None:
    """A client asks the server about a peer, and would believe one that the server itself refuses."""
    peer, other = issue("peer"), issue("other")
    assert validity(company, peer) is ValidityIndicator.VALID
    company.revoke(peer)
    company.reload()
    assert validity(company, peer) is ValidityIndicator.INVALID
    assert validity(company, peer, AUTHORITY.certificate) is ValidityIndicator.INVALID
    assert validity(company, peer, date=START + timedelta(1)) is ValidityIndicator.INVALID
    assert validity(company, other) is ValidityIndicator.VALID


def test_validate_does_not_know_what_an_expired_list_hides(company: Company) -> None:
    peer = issue("peer")
    company.now += timedelta(days=31)
    assert validity(company, peer) is ValidityIndicator.UNKNOWN
    strange = Authority.create("strange", "ecdsa-p256", START).issue("x", Purpose.CLIENT, START)
    assert validity(company, strange.certificate) is ValidityIndicator.UNKNOWN
