"""Who belongs to which tenant: never to two, and not by a name that anybody can choose."""

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_certs.authority import Authority, Purpose, distinguished_name
from kmipkit_certs.keypairs import generate
from kmipkit_server.tenants.book import Book, ClaimedTwice
from kmipkit_server.tenants.claims import keys_of, overlap
from kmipkit_server.tenants.tenant import Tenant, TenantError, TenantLimits

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@cache
def authority(name: str, copy: int = 0) -> Authority:
    return Authority.create(name, "ecdsa-p256", NOW)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def issued(by: Authority, subject: x509.Name) -> bytes:
    key = generate().public_key()
    return der(by.certify(subject, key, Purpose.CLIENT, NOW, 30))


ACME = Tenant("acme", authorities=(der(authority("acme CA").certificate),))
UNIT = Tenant("unit", units=("Storage",))
NAMED = Tenant("named", accounts=("db*", "backup"))


def subject(name: str, unit: str | None = None) -> x509.Name:
    attributes = [*distinguished_name(name)]
    if unit is not None:
        attributes.append(x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(attributes)


def test_a_certificate_belongs_to_the_tenant_that_claims_it() -> None:
    book = Book((ACME, UNIT, NAMED))
    other = authority("other CA")
    assert book.owner(issued(authority("acme CA"), subject("x")), "x") == "tenant:acme:x"
    assert book.owner(issued(other, subject("x", "Storage")), "x") == "tenant:unit:x"
    assert book.owner(issued(other, subject("db1")), "db1") == "tenant:named:db1"
    assert book.owner(issued(other, subject("backup")), "backup") == "tenant:named:backup"
    assert book.owner(issued(other, subject("x", "storage")), "x") == "x"


def test_an_authority_of_the_same_name_is_another_one() -> None:
    """Its holder could otherwise reach the keys of the tenant."""
    impostor = authority("acme CA", 2)
    assert Book((ACME,)).owner(issued(impostor, subject("x")), "x") == "x"


def test_a_certificate_that_two_tenants_claim_is_of_neither() -> None:
    book = Book((ACME, UNIT))
    certificate = issued(authority("acme CA"), subject("x", "Storage"))
    for _ in range(2):
        with pytest.raises(ClaimedTwice, match=r"\(acme, unit\)"):
            book.owner(certificate, "x")


@pytest.mark.parametrize(
    ("tenant", "text"),
    [
        (
            Tenant("b", authorities=ACME.authorities),
            "acme and b both claim the authority CN=acme CA",
        ),
        (
            Tenant("b", units=("Storage",)),
            "unit and b both claim the organizational unit 'Storage'",
        ),
        (Tenant("b", accounts=("*1",)), r"named and b both claim accounts \('db\*', '\*1'\)"),
        (Tenant("b", accounts=("backup",)), "named and b both claim the account 'backup'"),
        (Tenant("b", authorities=(b"x",)), "malformed"),
        (
            Tenant("b", authorities=(issued(authority("x"), subject("y")),)),
            "not the certificate of an",
        ),
        (Tenant("B"), "cannot be the name of a tenant"),
        (Tenant("a:b"), "cannot be the name of a tenant"),
        (Tenant("b", units=("",)), "empty or repeated"),
        (Tenant("b", administrators=("x", "x")), "empty or repeated"),
        (
            Tenant("b", limits=TenantLimits(workers=0)),
            "workers of the tenant b must be more than 0",
        ),
    ],
)
def test_what_is_ambiguous_or_useless_is_refused(tenant: Tenant, text: str) -> None:
    with pytest.raises(TenantError, match=text):
        Book((ACME, UNIT, NAMED)).with_tenant(tenant)


def test_a_tenant_may_change_its_own_claims() -> None:
    book = Book((ACME, UNIT, NAMED))
    changed = Book(book.with_tenant(NAMED.changed(accounts=("db1", "db*"))))
    assert list(changed.tenants) == ["acme", "unit", "named"]


PATTERNS = st.text("ab*", max_size=6)


@given(PATTERNS, st.text("ab", max_size=6))
def test_patterns_match_as_those_of_a_shell(pattern: str, name: str) -> None:
    owner = Book((Tenant("t", accounts=(pattern,)),)).owner(b"", name)
    assert (owner != name) is fnmatchcase(name, pattern)


@given(PATTERNS, PATTERNS, st.text("ab", max_size=12))
def test_patterns_that_a_name_meets_overlap(first: str, second: str, name: str) -> None:
    if fnmatchcase(name, first) and fnmatchcase(name, second):
        assert overlap(first, second)


@given(PATTERNS, PATTERNS)
def test_patterns_that_overlap_have_a_name_in_common(first: str, second: str) -> None:
    names = {""}
    for _ in range(8):
        names |= {name + char for name in names for char in "ab"}
    common = any(fnmatchcase(name, first) and fnmatchcase(name, second) for name in names)
    assert overlap(first, second) is common


def test_an_authority_below_that_of_a_tenant_does_not_lead_out_of_it() -> None:
    """Its holder could make certificates of any name, of other tenants or of administrators."""
    below = authority("below")
    chain = keys_of((der(below.certificate), der(authority("acme CA").certificate), b"unreadable"))
    assert len(chain) == 2
    certificate = issued(below, subject("root"))
    assert Book((ACME,)).owner(certificate, "root", chain) == "tenant:acme:root"
    with pytest.raises(ClaimedTwice):
        Book((ACME, UNIT)).owner(issued(below, subject("x", "Storage")), "x", chain)
