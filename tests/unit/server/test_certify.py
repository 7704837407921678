"""The server as a certificate authority, and its verdict on chains."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from certificate_family import weak_request
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_client import OperationFailed, calls, crypto_calls
from laboratory import START, Laboratory

from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.objects import Certificate, CertificateRequest
from kmipkit.model.payloads.certify import (
    CertifyRequest,
    ReCertifyRequest,
    ValidateRequest,
)
from kmipkit.spec.enums import (
    CertificateRequestType,
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    LinkType,
    NameType,
    ObjectClass,
    Operation,
    ResultReason,
    RevocationReasonCode,
    ValidityIndicator,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_2, V2_1, V3_0

SYSTEM_OBJECTS = {"Object Class": ObjectClass.SYSTEM}
SIGN, VERIFY = CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


@pytest.fixture
def pair(laboratory: Laboratory) -> tuple[str, str]:
    made = laboratory.ask(
        crypto_calls.create_key_pair(
            CryptographicAlgorithm.ECDSA, 256, None, (SIGN, VERIFY), (None, None), None
        )
    )
    return made.private, made.public


def fetch(laboratory: Laboratory, identifier: str) -> Any:
    return laboratory.ask(calls.get(identifier, None, None, None))


def certificate(laboratory: Laboratory, identifier: str) -> x509.Certificate:
    return x509.load_der_x509_certificate(fetch(laboratory, identifier).certificate_value)


def named(name: str) -> Attributes:
    value = Name(name_value=name, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    return Attributes.of((Tag.NAME, value))


def certify(laboratory: Laboratory, **fields: Any) -> str:
    call = calls.raw(Operation.CERTIFY, CertifyRequest(**fields))
    return str(laboratory.ask(call).unique_identifier)


def links(laboratory: Laboratory, identifier: str) -> set[tuple[LinkType, str]]:
    found = laboratory.ask(calls.get_attributes(identifier, (Tag.LINK,)))
    return {(one.link_type, one.linked_object_identifier) for one in found.all(Tag.LINK)}


def signed_request(laboratory: Laboratory, private: str, subject: str) -> bytes:
    get = calls.get(private, KeyFormatType.PKCS_8, None, None)
    block = laboratory.ask(get).key_block
    key = load_der_private_key(block.key_value.key_material, None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    alternative = x509.SubjectAlternativeName([x509.DNSName("tape.example")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    made = builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return made.public_bytes(Encoding.DER)


def test_a_public_key_gets_a_certificate_and_both_are_linked(
    laboratory: Laboratory, pair: tuple[str, str]
) -> None:
    made = certify(laboratory, unique_identifier=pair[1], attributes=named("Bandarchiv 7"))
    found = certificate(laboratory, made)
    assert found.subject.rfc4514_string() == "CN=Bandarchiv 7"
    assert found.not_valid_before_utc <= START < found.not_valid_after_utc
    assert (LinkType.PUBLIC_KEY_LINK, pair[1]) in links(laboratory, made)
    assert (LinkType.CERTIFICATE_LINK, made) in links(laboratory, pair[1])
    own = authority(laboratory)
    found.verify_directly_issued_by(own)
    assert own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def authority(laboratory: Laboratory) -> x509.Certificate:
    """The authority's certificate, which administrators find among the server's objects."""
    call = calls.locate("certificate authority", None, SYSTEM_OBJECTS, None, None, None)
    found = laboratory.ask(call, version=V3_0, identity="administrator").ids
    value = laboratory.ask(
        calls.get(found[0], None, None, None), version=V3_0, identity="administrator"
    )
    return x509.load_der_x509_certificate(value.certificate_value)


def test_a_request_decides_about_the_names(laboratory: Laboratory, pair: tuple[str, str]) -> None:
    der = signed_request(laboratory, pair[0], "библиотека")
    made = certify(
        laboratory,
        unique_identifier=pair[1],
        certificate_request_type=CertificateRequestType.PKCS_10,
        certificate_request=der,
        attributes=named("something else"),
    )
    found = certificate(laboratory, made)
    assert found.subject.rfc4514_string() == "CN=библиотека"
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["tape.example"]


def test_a_request_object_can_be_certified(laboratory: Laboratory, pair: tuple[str, str]) -> None:
    value = CertificateRequest(
        certificate_request_type=CertificateRequestType.PKCS_10,
        certificate_request_value=signed_request(laboratory, pair[0], "array"),
    )
    kept = laboratory.ask(calls.register(value, None, None, None))
    made = certificate(laboratory, certify(laboratory, unique_identifier=kept))
    assert made.subject.rfc4514_string() == "CN=array"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda der: der[:-1] + bytes([der[-1] ^ 1]), ResultReason.INVALID_CSR),
        (lambda der: b"not a request", ResultReason.INVALID_CSR),
    ],
    ids=["forged", "not one"],
)
def test_a_bad_request_is_refused(
    laboratory: Laboratory, pair: tuple[str, str], change: Any, reason: ResultReason
) -> None:
    der = change(signed_request(laboratory, pair[0], "array"))
    with pytest.raises(OperationFailed) as error:
        certify(
            laboratory,
            unique_identifier=pair[1],
            certificate_request_type=CertificateRequestType.PKCS_10,
            certificate_request=der,
        )
    assert error.value.reason is reason


def test_a_request_for_another_key_is_refused(
    laboratory: Laboratory, pair: tuple[str, str]
) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thief")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(other, hashes.SHA256())
    with pytest.raises(OperationFailed) as error:
        certify(
            laboratory,
            unique_identifier=pair[1],
            certificate_request_type=CertificateRequestType.PKCS_10,
            certificate_request=made.public_bytes(Encoding.DER),
        )
    assert error.value.reason is ResultReason.INVALID_CSR


def test_a_renewed_certificate_takes_over_name_and_key(
    laboratory: Laboratory, pair: tuple[str, str]
) -> None:
    old = certify(laboratory, unique_identifier=pair[1], attributes=named("array"))
    laboratory.pass_time(days=300)
    call = calls.raw(Operation.RE_CERTIFY, ReCertifyRequest(unique_identifier=old))
    new = laboratory.ask(call).unique_identifier
    before, after = certificate(laboratory, old), certificate(laboratory, new)
    assert after.subject == before.subject
    assert after.public_key() == before.public_key()
    assert after.not_valid_after_utc > before.not_valid_after_utc
    assert (LinkType.REPLACED_OBJECT_LINK, old) in links(laboratory, new)
    assert (LinkType.REPLACEMENT_OBJECT_LINK, new) in links(laboratory, old)
    assert (LinkType.CERTIFICATE_LINK, new) in links(laboratory, pair[1])
    found = laboratory.ask(calls.locate("array", None, None, None, None, None))
    assert found.ids == (new,)


def test_the_authority_is_made_once_and_its_key_never_leaves(
    laboratory: Laboratory, pair: tuple[str, str]
) -> None:
    for _ in range(2):
        certify(laboratory, unique_identifier=pair[1])
    call = calls.locate("certificate authority key", None, SYSTEM_OBJECTS, None, None, None)
    [key] = laboratory.ask(call, version=V3_0, identity="administrator").ids
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(calls.get(key, None, None, None), version=V2_1, identity="administrator")
    assert error.value.reason is ResultReason.NOT_EXTRACTABLE
    with pytest.raises(OperationFailed):
        laboratory.ask(calls.get(key, None, None, None), version=V1_2)


# --- Validate ------------------------------------------------------------------------------------


def verdict(laboratory: Laboratory, *certificates: x509.Certificate, **fields: Any) -> Any:
    values = tuple(
        Certificate(
            certificate_type=CertificateType.X_509,
            certificate_value=one.public_bytes(Encoding.DER),
        )
        for one in certificates
    )
    request = ValidateRequest(certificates=values, **fields)
    return laboratory.ask(calls.raw(Operation.VALIDATE, request)).validity_indicator


def test_a_chain_is_valid_that_ends_at_an_authority_of_the_server(
    laboratory: Laboratory, pair: tuple[str, str]
) -> None:
    made = certificate(laboratory, certify(laboratory, unique_identifier=pair[1]))
    own = authority(laboratory)
    assert verdict(laboratory, made) is ValidityIndicator.VALID
    assert verdict(laboratory, own, made) is ValidityIndicator.VALID, "any order"
    late = START + timedelta(days=5000)
    assert verdict(laboratory, made, validity_date=late) is ValidityIndicator.INVALID


def test_a_chain_that_ends_elsewhere_is_unknown_and_one_that_breaks_is_invalid(
    laboratory: Laboratory,
) -> None:
    one, other = (Authority.create(name, "ecdsa-p256", START) for name in ("one", "other"))
    leaf = one.issue("leaf", Purpose.CLIENT, START).certificate
    assert verdict(laboratory, leaf, one.certificate) is ValidityIndicator.UNKNOWN
    assert verdict(laboratory, leaf, other.certificate) is ValidityIndicator.INVALID
    signed_by_leaf = one.issue("x", Purpose.CLIENT, START)
    forged = Authority(signed_by_leaf.certificate, signed_by_leaf.key)
    below = forged.issue("victim", Purpose.SERVER, START).certificate
    chain = (below, signed_by_leaf.certificate, one.certificate)
    assert verdict(laboratory, *chain) is ValidityIndicator.INVALID, "a leaf is no authority"


def test_a_revoked_certificate_of_the_server_is_invalid(
    laboratory: Laboratory, pair: tuple[str, str]
) -> None:
    made = certify(laboratory, unique_identifier=pair[1])
    fields: dict[str, Any] = {"unique_identifiers": (made,)}
    assert verdict(laboratory, **fields) is ValidityIndicator.VALID
    laboratory.ask(calls.activate(made))

    laboratory.ask(calls.revoke(made, RevocationReasonCode.KEY_COMPROMISE, None, None))
    assert verdict(laboratory, **fields) is ValidityIndicator.INVALID


def test_the_reason_for_an_old_hash_is_the_hash(laboratory: Laboratory) -> None:
    """SHA-1 with RSA is verified, for old clients; MD5 is not, and the answer says so."""

    def ask(der: bytes) -> str:
        return certify(
            laboratory,
            certificate_request_type=CertificateRequestType.PKCS_10,
            certificate_request=der,
        )

    sha_1 = weak_request(hashes.SHA1(), "06092a864886f70d010105")
    assert certificate(laboratory, ask(sha_1)).subject.rfc4514_string() == "CN=array"
    for der, words in (
        (weak_request(hashes.MD5(), "06092a864886f70d010104"), "signed with MD5"),
        (sha_1[:-1] + bytes([sha_1[-1] ^ 1]), "not signed with its own key"),
    ):
        with pytest.raises(OperationFailed, match=words) as error:
            ask(der)
        assert error.value.reason is ResultReason.INVALID_CSR
