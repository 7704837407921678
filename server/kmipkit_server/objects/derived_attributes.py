"""Attributes that follow from an object itself: algorithm, length, digest, names of a certificate.

There is one function per class of object. Of a wrapped or opaque key, only the digest can be
computed (KMIP 1.4 §3.4, §3.5, §3.17).
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from kmipkit.errors import LocalProtocolError, OperationError
from kmipkit.keys import certificates, contents, costs, formats, transparent
from kmipkit.keys.contents import Contents
from kmipkit.keys.transparent import is_transparent
from kmipkit.model.attributes import (
    CertificateIdentifier,
    CertificateIssuer,
    CertificateSubject,
    X509CertificateIdentifier,
    X509CertificateIssuer,
    X509CertificateSubject,
)
from kmipkit.model.codec import to_tree
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import (
    OBJECT_TYPE_OF,
    Certificate,
    CertificateRequest,
    ManagedObject,
    OpaqueObject,
    PGPKey,
    PrivateKey,
    PublicKey,
    SecretData,
    SplitKey,
    SymmetricKey,
)
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import CertificateType, KeyFormatType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit.ttlv import binary
from kmipkit_server.objects.creation import digest
from kmipkit_server.objects.managed import STORED_VERSIONS

KeyObject = SymmetricKey | SecretData | SplitKey | PGPKey | PrivateKey | PublicKey

Derived = Iterator[tuple[Tag, Any]]
"""Attributes and their values."""

_BYTE_FORMATS: Mapping[KeyFormatType, tuple[KeyFormatType, Callable[..., bytes]]] = (
    MappingProxyType(
        {
            KeyFormatType.TRANSPARENT_RSA_PRIVATE_KEY: (
                KeyFormatType.PKCS_1,
                formats.dump_private_key,
            ),
            KeyFormatType.TRANSPARENT_RSA_PUBLIC_KEY: (
                KeyFormatType.PKCS_1,
                formats.dump_public_key,
            ),
            KeyFormatType.TRANSPARENT_EC_PRIVATE_KEY: (
                KeyFormatType.ECPRIVATEKEY,
                formats.dump_private_key,
            ),
            KeyFormatType.TRANSPARENT_EC_PUBLIC_KEY: (KeyFormatType.X_509, formats.dump_public_key),
        }
    )
)
"""The usual byte format of each transparent format. The key has a digest for it as well, since
clients most likely retrieve the key in this format."""


def _other_digests(block: KeyBlock) -> Derived:
    """For a transparent key, the digest of its usual byte format (KMIP 1.4 §3.17)."""
    value, row = block.key_value, _BYTE_FORMATS.get(block.key_format_type)
    if row is None or not isinstance(value, KeyValue) or not is_transparent(value.key_material):
        return
    byte_format, dump = row
    try:
        data = dump(transparent.load(value.key_material), byte_format)
    except OperationError:
        return  # the numbers form no valid key; the server stores them unchanged
    yield Tag.DIGEST, digest(data, byte_format)


def digested_bytes(block: KeyBlock) -> bytes | None:
    """The bytes over which a key's digest is computed (KMIP 1.4 §3.17); None without a value."""
    value = block.key_value
    if value is None or isinstance(value, bytes):
        return value
    material = value.key_material
    if isinstance(material, bytes):
        return material
    if isinstance(material, Structure):
        return binary.encode(_tree(value))
    return binary.encode(material)


def _tree(value: KeyValue) -> Any:
    """The encoded Key Material structure of a transparent key."""
    material = value.key_material
    assert isinstance(material, Structure)
    for version in STORED_VERSIONS:
        try:
            return to_tree(material, version, tag=Tag.KEY_MATERIAL)
        except LocalProtocolError:
            continue
    raise OperationError(
        ResultReason.INVALID_FIELD, "the key has values of different versions of KMIP"
    )


def _key_block(value: KeyObject) -> Derived:
    block = value.key_block
    algorithm, length = block.cryptographic_algorithm, block.cryptographic_length
    if algorithm is None or length is None:
        shown = _contents(value)
        algorithm = shown.algorithm if algorithm is None else algorithm
        length = shown.length if length is None else length
    yield Tag.CRYPTOGRAPHIC_ALGORITHM, algorithm
    yield Tag.CRYPTOGRAPHIC_LENGTH, length
    data = digested_bytes(block)
    if data is not None:
        yield Tag.DIGEST, digest(data, block.key_format_type)
        yield from _other_digests(block)
    yield Tag.KEY_VALUE_PRESENT, block.key_value is not None
    # The attribute is new in 2.0, which also dropped some formats: these have no value for it.
    if block.key_format_type.known_in(V2_1):
        yield Tag.KEY_FORMAT_TYPE, block.key_format_type


def _contents(value: KeyObject) -> Contents:
    """What an asymmetric key that is not wrapped says about itself."""
    key = value.key_block.key_value
    if not isinstance(value, PrivateKey | PublicKey) or not isinstance(key, KeyValue):
        return Contents()
    return contents.read(
        key.key_material, value.key_block.key_format_type, OBJECT_TYPE_OF[type(value)]
    )


def _certificate(value: Certificate) -> Derived:
    data = value.certificate_value
    yield Tag.CERTIFICATE_TYPE, value.certificate_type
    yield Tag.CERTIFICATE_LENGTH, len(data)
    yield Tag.DIGEST, digest(data, KeyFormatType.X_509 if _is_x509(value) else None)
    if _is_x509(value):
        yield Tag.KEY_FORMAT_TYPE, KeyFormatType.X_509
        yield from _x509(data)


def _x509(data: bytes) -> Derived:
    """Names, serial number and key of a certificate, in the forms of all versions."""
    certificate = certificates.describe_certificate(data)
    yield from certificates.certificate_attributes(data)
    subject, issuer = certificate.subject, certificate.issuer
    yield (
        Tag.X_509_CERTIFICATE_IDENTIFIER,
        X509CertificateIdentifier(
            issuer_distinguished_name=issuer.der, certificate_serial_number=certificate.serial
        ),
    )
    yield (
        Tag.X_509_CERTIFICATE_SUBJECT,
        X509CertificateSubject(
            subject_distinguished_name=subject.der, subject_alternative_names=subject.alternative
        ),
    )
    yield (
        Tag.X_509_CERTIFICATE_ISSUER,
        X509CertificateIssuer(
            issuer_distinguished_name=issuer.der, issuer_alternative_names=issuer.alternative
        ),
    )
    # The same as text, which is all that clients of 1.0 know.
    yield (
        Tag.CERTIFICATE_IDENTIFIER,
        CertificateIdentifier(issuer=issuer.text, serial_number=certificate.serial_text),
    )
    yield Tag.CERTIFICATE_SUBJECT, CertificateSubject(distinguished_name=subject.text)
    yield Tag.CERTIFICATE_ISSUER, CertificateIssuer(distinguished_name=issuer.text)


def _is_x509(value: Certificate) -> bool:
    return value.certificate_type == CertificateType.X_509


def _opaque(value: OpaqueObject) -> Derived:
    yield Tag.OPAQUE_DATA_TYPE, value.opaque_data_type
    yield Tag.DIGEST, digest(value.opaque_data_value, None)


def _request(value: CertificateRequest) -> Derived:
    yield Tag.DIGEST, digest(value.certificate_request_value, None)


DERIVATIONS: Mapping[type, Callable[[Any], Derived]] = MappingProxyType(
    {
        SymmetricKey: _key_block,
        SecretData: _key_block,
        SplitKey: _key_block,
        PGPKey: _key_block,
        PrivateKey: _key_block,
        PublicKey: _key_block,
        Certificate: _certificate,
        CertificateRequest: _request,
        OpaqueObject: _opaque,
    }
)


def derivation_cost(value: ManagedObject) -> float:
    """About how many milliseconds :func:`derived_attributes` takes for an object of a client.

    A transparent private key is validated if its digests follow from its content.
    """
    if isinstance(value, Certificate):
        return costs.symmetric(len(value.certificate_value))
    if not isinstance(value, PrivateKey) or not isinstance(value.key_block.key_value, KeyValue):
        return 0.0
    modulus = getattr(value.key_block.key_value.key_material, "modulus", None)
    return costs.rsa_validation(modulus.bit_length()) if isinstance(modulus, int) else 0.0


def derived_attributes(value: ManagedObject) -> list[tuple[Tag, Any]]:
    """Attributes that follow from the object, with their values; None for an unknown value."""
    derive = DERIVATIONS.get(type(value))
    return list(derive(value)) if derive is not None else []
