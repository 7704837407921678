"""Facts of certificates, each from one made for the test."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kmipkit.errors import OperationError
from kmipkit.keys.certificates import NAME_FIELDS, certificate_attributes, describe_certificate
from kmipkit.keys.describe import KeyFacts
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    DigitalSignatureAlgorithm,
    RecommendedCurve,
    ResultReason,
)
from kmipkit.spec.tags import Tag

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
SUBJECT = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Büro, GmbH"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
        x509.NameAttribute(NameOID.PSEUDONYM, "no attribute for this"),
        x509.NameAttribute(NameOID.COMMON_NAME, "kms.example"),
    ]
)
ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an issuer")])


def certificate(key, algorithm, *, serial: int = 0x80) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(SUBJECT)
        .issuer_name(ISSUER)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("kms.example"), x509.RFC822Name("a@b.c")]),
            critical=False,
        )
    )
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def test_names_dates_and_numbers() -> None:
    data = certificate(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    facts = describe_certificate(data)
    assert facts.certificate_type == CertificateType.X_509
    assert facts.length == len(data)
    assert facts.subject.text.startswith("CN=kms.example,")
    assert facts.subject.text.endswith("O=Büro\\, GmbH,C=CH")
    assert facts.subject.der == SUBJECT.public_bytes()
    assert facts.subject.fields == (
        ("C", "CH"),
        ("O", "Büro, GmbH"),
        ("OU", "one"),
        ("OU", "two"),
        ("CN", "kms.example"),
    )
    assert facts.subject.alternative == (b"\x82\x0bkms.example", b"\x81\x05a@b.c")
    assert facts.issuer.text == "CN=an issuer"
    assert facts.issuer.alternative == ()
    assert facts.serial == b"\x02\x02\0\x80"
    assert facts.serial_text == "80"


def test_attributes() -> None:
    data = certificate(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    assert list(certificate_attributes(data)) == [
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.ECDSA),
        (Tag.CRYPTOGRAPHIC_LENGTH, 256),
        (Tag.DIGITAL_SIGNATURE_ALGORITHM, DigitalSignatureAlgorithm.ECDSA_WITH_SHA256),
        (Tag.CERTIFICATE_SUBJECT_C, "CH"),
        (Tag.CERTIFICATE_SUBJECT_O, "Büro, GmbH"),
        (Tag.CERTIFICATE_SUBJECT_OU, "one"),
        (Tag.CERTIFICATE_SUBJECT_OU, "two"),
        (Tag.CERTIFICATE_SUBJECT_CN, "kms.example"),
        (Tag.CERTIFICATE_ISSUER_CN, "an issuer"),
    ]


@pytest.mark.parametrize("side", ["SUBJECT", "ISSUER"])
@pytest.mark.parametrize("field", list(NAME_FIELDS.values()))
def test_every_field_has_an_attribute(side: str, field: str) -> None:
    assert f"CERTIFICATE_{side}_{field.upper().replace(' ', '_')}" in Tag.__members__


@pytest.mark.parametrize(
    ("make", "algorithm", "key", "signature"),
    [
        (
            lambda: rsa.generate_private_key(65537, 1024),
            hashes.SHA256(),
            KeyFacts(CryptographicAlgorithm.RSA, 1024),
            DigitalSignatureAlgorithm.SHA_256_WITH_RSA_ENCRYPTION,
        ),
        (
            lambda: ec.generate_private_key(ec.SECP384R1()),
            hashes.SHA384(),
            KeyFacts(CryptographicAlgorithm.ECDSA, 384, RecommendedCurve.P_384),
            DigitalSignatureAlgorithm.ECDSA_WITH_SHA384,
        ),
        (
            ed25519.Ed25519PrivateKey.generate,
            None,
            KeyFacts(CryptographicAlgorithm.ED25519, 256),
            None,
        ),
    ],
)
def test_keys_and_signatures(make, algorithm, key, signature) -> None:
    facts = describe_certificate(certificate(make(), algorithm))
    assert facts.key == key
    assert facts.signature_algorithm == signature


@pytest.mark.parametrize("change", [lambda _: b"", lambda data: data[:-1], lambda _: b"\x30\x00"])
def test_what_is_no_certificate(change) -> None:
    data = certificate(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    with pytest.raises(OperationError, match=r"not an X\.509 certificate") as caught:
        describe_certificate(change(data))
    assert caught.value.reason == ResultReason.INVALID_FIELD
