"""Properties of X.509 certificates, as the attributes of KMIP show them.

KMIP 1.4 §3.8 to §3.15, KMIP 2.1 §4.6 (Certificate Attributes) and §4.58. Names have three forms,
because versions differ: text by RFC 4514, DER, and single fields.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from kmipkit.keys._border import FAILURES, foreign_errors
from kmipkit.keys._der import (
    BIT_STRING,
    CONTEXT_0,
    CONTEXT_3,
    MAX_ELEMENTS,
    SEQUENCE,
    Element,
    elements,
    integer,
    object_identifier,
    require_nested,
    sequence,
)
from kmipkit.keys.contents import read_subject_public_key
from kmipkit.keys.describe import KeyFacts, public_key_facts
from kmipkit.spec.enums import CertificateType, DigitalSignatureAlgorithm, ResultReason
from kmipkit.spec.tags import Tag

NAME_FIELDS: Mapping[x509.ObjectIdentifier, str] = MappingProxyType(
    {
        NameOID.COMMON_NAME: "CN",
        NameOID.ORGANIZATION_NAME: "O",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
        NameOID.EMAIL_ADDRESS: "Email",
        NameOID.COUNTRY_NAME: "C",
        NameOID.STATE_OR_PROVINCE_NAME: "ST",
        NameOID.LOCALITY_NAME: "L",
        NameOID.USER_ID: "UID",
        NameOID.SERIAL_NUMBER: "Serial Number",
        NameOID.TITLE: "Title",
        NameOID.DOMAIN_COMPONENT: "DC",
        NameOID.DN_QUALIFIER: "DN Qualifier",
    }
)
"""Fields of a name that have attributes in KMIP 2.1 §4.6, and the last part of those names."""

_OID = SignatureAlgorithmOID
_SIGNATURE = DigitalSignatureAlgorithm
SIGNATURE_ALGORITHMS: Mapping[x509.ObjectIdentifier, DigitalSignatureAlgorithm] = MappingProxyType(
    {
        _OID.RSA_WITH_MD5: _SIGNATURE.MD5_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA1: _SIGNATURE.SHA_1_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA224: _SIGNATURE.SHA_224_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA256: _SIGNATURE.SHA_256_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA384: _SIGNATURE.SHA_384_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA512: _SIGNATURE.SHA_512_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA3_256: _SIGNATURE.SHA3_256_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA3_384: _SIGNATURE.SHA3_384_WITH_RSA_ENCRYPTION,
        _OID.RSA_WITH_SHA3_512: _SIGNATURE.SHA3_512_WITH_RSA_ENCRYPTION,
        _OID.RSASSA_PSS: _SIGNATURE.RSASSA_PSS,
        _OID.DSA_WITH_SHA1: _SIGNATURE.DSA_WITH_SHA_1,
        _OID.DSA_WITH_SHA224: _SIGNATURE.DSA_WITH_SHA224,
        _OID.DSA_WITH_SHA256: _SIGNATURE.DSA_WITH_SHA256,
        _OID.ECDSA_WITH_SHA1: _SIGNATURE.ECDSA_WITH_SHA_1,
        _OID.ECDSA_WITH_SHA224: _SIGNATURE.ECDSA_WITH_SHA224,
        _OID.ECDSA_WITH_SHA256: _SIGNATURE.ECDSA_WITH_SHA256,
        _OID.ECDSA_WITH_SHA384: _SIGNATURE.ECDSA_WITH_SHA384,
        _OID.ECDSA_WITH_SHA512: _SIGNATURE.ECDSA_WITH_SHA512,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFacts:
    """A distinguished name, and the alternative names."""

    text: str
    """The text by RFC 4514, last field first."""
    der: bytes
    fields: tuple[tuple[str, str], ...]
    """(name of :data:`NAME_FIELDS`, value), in the order of the certificate; without others."""
    alternative: tuple[bytes, ...]
    """Each alternative name in DER (a GeneralName)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """The properties of a certificate."""

    certificate_type: CertificateType
    length: int
    """Certificate Length: bytes of the DER (KMIP 1.4 §3.9)."""
    key: KeyFacts
    """The facts of its public key, whose length is the Cryptographic Length of the certificate."""
    subject: NameFacts
    issuer: NameFacts
    serial: bytes
    """In DER: an INTEGER with its tag and length, as in the official cases."""
    serial_text: str
    """Hexadecimal, in upper case, without a leading zero byte."""
    signature_algorithm: DigitalSignatureAlgorithm | None
    """``None`` for an algorithm that KMIP has no value for, such as Ed25519."""


_NOT_X_509 = "Certificate Value is not an X.509 certificate in DER"

_MALFORMED = (
    *FAILURES,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for a certificate that it cannot read."""


def load_certificate(data: bytes) -> x509.Certificate:
    """An X.509 certificate from DER, whose names and extensions can be read.

    The library reads these only when they are first used. Here it reads them at once, so that a
    malformed one is refused in one place.

    Raises:
        OperationError: Invalid Field if ``data`` is not an X.509 certificate;
            Unsupported Cryptographic Parameters for an algorithm that the library does not support.
    """
    with foreign_errors(
        _NOT_X_509,
        ResultReason.INVALID_FIELD,
        # TypeError: a name has a BIT STRING in a field that must hold text.
        failures=(*_MALFORMED, TypeError),
    ):
        certificate = x509.load_der_x509_certificate(data)
        for part in ("subject", "issuer", "extensions"):
            getattr(certificate, part)
        return certificate


_UNSUPPORTED_KEY: tuple[type[Exception], ...] = (UnsupportedAlgorithm, *FAILURES)
"""What the library raises for a public key that it does not support."""


class _Parts(NamedTuple):
    """The parts of a certificate in DER (RFC 5280 §4.1), read without the library."""

    serial: bytes
    issuer: bytes
    subject: bytes
    public_key: bytes
    signature_algorithm: str
    extensions: Mapping[str, bytes]
    """Object identifier -> value, for those of Alternative Names."""


def describe_certificate(data: bytes) -> CertificateFacts:
    """The facts of a certificate in DER; those that cannot be read are empty or ``None``.

    The library lacks some algorithms, curves and forms of names, with which a certificate is valid
    nevertheless.

    Raises:
        OperationError: Invalid Field if ``data`` is not an X.509 certificate.
    """
    with foreign_errors(_NOT_X_509, ResultReason.INVALID_FIELD):
        parts = _parts(data)
    certificate = _readable(data)
    with foreign_errors(_NOT_X_509, ResultReason.INVALID_FIELD):
        return CertificateFacts(
            certificate_type=CertificateType.X_509,
            length=len(data),
            key=_key(certificate, parts.public_key),
            subject=_name(certificate.subject, parts, _SUBJECT_NAMES),
            issuer=_name(certificate.issuer, parts, _ISSUER_NAMES),
            serial=parts.serial,
            serial_text=_hexadecimal(certificate.serial_number),
            signature_algorithm=SIGNATURE_ALGORITHMS.get(
                x509.ObjectIdentifier(parts.signature_algorithm)
            ),
        )


def _parts(data: bytes) -> _Parts:
    require_nested(data)
    body, algorithm, signature = sequence(data)
    if (body.tag, algorithm.tag, signature.tag) != (SEQUENCE, SEQUENCE, BIT_STRING):
        raise ValueError("not a Certificate")
    fields = list(elements(body.content))
    if fields[0].tag == CONTEXT_0:
        [version] = elements(fields.pop(0).content)
        if integer(version) not in range(3):
            raise ValueError("not a version of X.509")
    serial, _algorithm, issuer, validity, subject, key, *more = fields
    integer(serial)
    if {issuer.tag, validity.tag, subject.tag, key.tag} != {SEQUENCE}:
        raise ValueError("not a TBSCertificate")
    return _Parts(
        serial=serial.encoded,
        issuer=issuer.encoded,
        subject=subject.encoded,
        public_key=key.encoded,
        signature_algorithm=object_identifier(next(elements(algorithm.content))),
        extensions=dict(_alternative_names(more)),
    )


_SUBJECT_NAMES, _ISSUER_NAMES = "2.5.29.17", "2.5.29.18"


def _alternative_names(fields: list[Element]) -> Iterator[tuple[str, bytes]]:
    for field in fields:
        if field.tag != CONTEXT_3:
            continue
        [extensions] = elements(field.content)
        for extension in elements(extensions.content):
            identifier, *_critical, value = elements(extension.content)
            name = object_identifier(identifier)
            if name in (_SUBJECT_NAMES, _ISSUER_NAMES):
                yield name, value.content


def _readable(data: bytes) -> x509.Certificate:
    """The certificate, also if it has alternative names of a kind that the library lacks.

    A certificate that the library rejects because it violates RFC 5280 is not valid.
    """
    with foreign_errors(_NOT_X_509, ResultReason.INVALID_FIELD, failures=(*_MALFORMED, TypeError)):
        certificate = x509.load_der_x509_certificate(data)
        for part in ("subject", "issuer"):
            getattr(certificate, part)
        with suppress(x509.UnsupportedGeneralNameType):
            len(certificate.extensions)
        return certificate


def _key(certificate: x509.Certificate, public_key: bytes) -> KeyFacts:
    """The facts of the public key, as far as they are known."""
    try:
        return public_key_facts(certificate.public_key())
    except _UNSUPPORTED_KEY:
        pass
    found = read_subject_public_key(public_key)
    return KeyFacts(found.algorithm, found.length or 0)


def certificate_key(data: bytes) -> CertificatePublicKeyTypes:
    """The public key of an X.509 certificate. OperationError: Invalid Field if not supported."""
    with foreign_errors(
        "the certificate has no supported public key",
        ResultReason.INVALID_FIELD,
        failures=_MALFORMED,
    ):
        return x509.load_der_x509_certificate(data).public_key()


def certificate_attributes(data: bytes) -> Iterator[tuple[Tag, Any]]:
    """The attributes of plain type that follow from a certificate in DER, with their values.

    A field that a name has several times is yielded several times (KMIP 2.1 §4.6). Errors are those
    of :func:`describe_certificate`.
    """
    facts = describe_certificate(data)
    if facts.key.algorithm is not None:
        yield Tag.CRYPTOGRAPHIC_ALGORITHM, facts.key.algorithm
    if facts.key.length:
        yield Tag.CRYPTOGRAPHIC_LENGTH, facts.key.length
    if facts.signature_algorithm is not None:
        yield Tag.DIGITAL_SIGNATURE_ALGORITHM, facts.signature_algorithm
    for side, name in (("SUBJECT", facts.subject), ("ISSUER", facts.issuer)):
        for field, value in name.fields:
            yield Tag[f"CERTIFICATE_{side}_{field.upper().replace(' ', '_')}"], value


def _name(name: x509.Name, parts: _Parts, alternative: str) -> NameFacts:
    fields = (
        (NAME_FIELDS[attribute.oid], attribute.value)
        for attribute in name
        if attribute.oid in NAME_FIELDS
    )
    return NameFacts(
        text=name.rfc4514_string(),
        der=parts.issuer if alternative == _ISSUER_NAMES else parts.subject,
        fields=tuple((field, value) for field, value in fields if isinstance(value, str)),
        alternative=_general_names(parts.extensions.get(alternative)),
    )


def _general_names(extension: bytes | None) -> tuple[bytes, ...]:
    if extension is None:
        return ()
    return tuple(element.encoded for element in sequence(extension, MAX_ELEMENTS))


def _hexadecimal(number: int) -> str:
    digits = f"{abs(number):X}"
    return digits.rjust(len(digits) + len(digits) % 2, "0")
