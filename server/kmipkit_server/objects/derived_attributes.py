"""Attributes that follow from an object itself: algorithm, length, digest, names of a certificate.

There is one function per class of object. Of a wrapped or opaque key, only the digest can be
computed (KMIP 1.4 §3.4, §3.5, §3.17).
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

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
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentSymmetricKey
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

_F = KeyFormatType

_BYTE_FORMATS: Mapping[KeyFormatType, KeyFormatType] = MappingProxyType(
    {
        _F.TRANSPARENT_RSA_PRIVATE_KEY: _F.PKCS_1,
        _F.TRANSPARENT_RSA_PUBLIC_KEY: _F.PKCS_1,
        _F.TRANSPARENT_EC_PRIVATE_KEY: _F.ECPRIVATEKEY,
        _F.TRANSPARENT_EC_PUBLIC_KEY: _F.X_509,
    }
)
"""The usual byte format of each transparent format. The key has a digest for it as well, since
clients of 1.x most likely retrieve the key in this format."""

_DEFAULTS: Mapping[tuple[type, type], KeyFormatType] = MappingProxyType(
    {
        (PrivateKey, rsa.RSAPrivateKey): _F.PKCS_1,
        (PublicKey, rsa.RSAPublicKey): _F.PKCS_1,
        (PrivateKey, ec.EllipticCurvePrivateKey): _F.TRANSPARENT_EC_PRIVATE_KEY,
        (PublicKey, ec.EllipticCurvePublicKey): _F.TRANSPARENT_EC_PUBLIC_KEY,
        (PrivateKey, dsa.DSAPrivateKey): _F.TRANSPARENT_DSA_PRIVATE_KEY,
        (PublicKey, dsa.DSAPublicKey): _F.TRANSPARENT_DSA_PUBLIC_KEY,
    }
)
"""The default formats (KMIP 2.1 §4.26, Table 81), by class of the object and of the library's key."""


_LARGEST = 16_384
"""The largest key that is converted for its digests, in bytes."""


def _other_digests(value: KeyObject) -> Derived:
    """Digests of the key in its default format, and its usual byte format (KMIP 2.1 §4.21).

    Only of a key that can be converted: the server has no other access to the bytes.
    """
    block = value.key_block
    key_value = block.key_value
    if not isinstance(key_value, KeyValue) or block.key_wrapping_data is not None:
        return
    material = key_value.key_material
    if isinstance(material, TransparentSymmetricKey):
        yield Tag.DIGEST, digest(material.key, _F.RAW)
    if not isinstance(value, PrivateKey | PublicKey):
        return
    # A format that 2.0 dropped is that of a client which knows no other.
    if not block.key_format_type.known_in(V2_1) or len(digested_bytes(block) or b"") > _LARGEST:
        return
    try:
        key = _load(value, material)
    except OperationError:
        return  # the library cannot read the key; the server stores it unchanged
    defaults = (each for (kind, cls), each in _DEFAULTS.items() if _is(value, kind, key, cls))
    formats_ = dict.fromkeys([*defaults, *_usual_format(block)])
    for key_format in formats_:
        if key_format == block.key_format_type:
            continue
        try:
            data = _dumped(key, value, key_format)
        except OperationError:
            continue  # the format has no value for its curve
        yield Tag.DIGEST, digest(data, key_format)


def _is(value: object, kind: type, key: object, cls: type) -> bool:
    return isinstance(value, kind) and isinstance(key, cls)


def _usual_format(block: KeyBlock) -> list[KeyFormatType]:
    usual = _BYTE_FORMATS.get(block.key_format_type)
    return [] if usual is None else [usual]


def _load(value: PrivateKey | PublicKey, material: Any) -> Any:
    """The key, whose numbers were compared when it was supplied, or which this server generated."""
    if is_transparent(material):
        return transparent.load(material, is_validated=True)
    block = value.key_block
    if not isinstance(material, bytes):
        return None
    if isinstance(value, PublicKey):
        return formats.load_public_key(
            material, block.key_format_type, block.cryptographic_algorithm
        )
    return formats.load_private_key(
        material, block.key_format_type, block.cryptographic_algorithm, is_validated=True
    )


def _dumped(key: Any, value: PrivateKey | PublicKey, key_format: KeyFormatType) -> bytes:
    """The bytes over which the digest of a key in a format is computed."""
    if key_format in transparent.FORMATS:
        return binary.encode(_tree(KeyValue(key_material=transparent.dump(key, key_format))))
    dump = formats.dump_public_key if isinstance(value, PublicKey) else formats.dump_private_key
    return dump(key, key_format)


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
        yield from _other_digests(value)
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
    """About how many milliseconds :func:`derived_attributes` takes for an object of a client."""
    if isinstance(value, Certificate):
        return costs.symmetric(len(value.certificate_value))
    return 0.0


def derived_attributes(value: ManagedObject) -> list[tuple[Tag, Any]]:
    """Attributes that follow from the object, with their values; None for an unknown value."""
    derive = DERIVATIONS.get(type(value))
    return list(derive(value)) if derive is not None else []
