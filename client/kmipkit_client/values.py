"""Python values for what requests take and answers give, so that simple things stay simple."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kmipkit.errors import Cause, LocalProtocolError
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, custom
from kmipkit.model.attributes import Name
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentSymmetricKey
from kmipkit.model.objects import (
    Certificate,
    ManagedObject,
    OpaqueObject,
    PrivateKey,
    PublicKey,
    SecretData,
    SymmetricKey,
)
from kmipkit.spec.attributes import BY_NAME
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    NameType,
    OpaqueDataType,
    SecretDataType,
)
from kmipkit.spec.tags import Tag

AttributeLike = AttributeKey | str
"""A tag, a vendor's name, the standard's name ("Contact Information") or a custom one ("x-Owner")."""
AttributesLike = Attributes | Mapping[Any, Any]
"""Attributes, or a mapping from :data:`AttributeLike` to a value or a list of values."""


class Located(NamedTuple):
    """What Locate found."""

    ids: tuple[str, ...]
    total: int | None
    """How many there are beyond the page, where the server says so (KMIP 1.3 and later)."""


class KeyPair(NamedTuple):
    """The Unique Identifiers of two keys that belong together."""

    private: str
    public: str


class Encrypted(NamedTuple):
    """What Encrypt gave: all that Decrypt needs."""

    data: bytes
    iv: bytes | None
    tag: bytes | None
    """Of authenticated encryption."""


def attribute_key(key: AttributeLike) -> AttributeKey:
    """The key of an attribute by any of its names."""
    if not isinstance(key, str):
        return key
    row = BY_NAME.get(key)
    return row.tag if row is not None else custom(key)


def attributes(given: AttributesLike | None, *, name: str | None = None) -> Attributes:
    """Attributes of a request; ``name`` adds a Name as most clients give it."""
    items = tuple(given) if isinstance(given, Attributes) else tuple(_instances(given or {}))
    if name is not None:
        items = (Attribute(Tag.NAME, text_name(name)), *items)
    return Attributes(items)


def _instances(given: Mapping[Any, Any]) -> Iterator[Attribute]:
    for label, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            yield attribute(label, one)


def attribute(key: AttributeLike, value: Any, index: int | None = None) -> Attribute:
    """One attribute; a plain text for Name becomes an uninterpreted text string."""
    found = attribute_key(key)
    if found is Tag.NAME and isinstance(value, str):
        value = text_name(value)
    return Attribute(found, value, index)


def text_name(value: str) -> Name:
    """A Name of type Uninterpreted Text String."""
    return Name(name_value=value, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def keys(names: Iterable[AttributeLike]) -> tuple[AttributeKey, ...]:
    """The keys of several attributes."""
    return tuple(attribute_key(name) for name in names)


def symmetric_key(
    data: bytes, algorithm: CryptographicAlgorithm = CryptographicAlgorithm.AES
) -> SymmetricKey:
    """A symmetric key of these bytes, to be registered."""
    return SymmetricKey(key_block=_block(KeyFormatType.RAW, data, algorithm, len(data) * 8))


def secret_data(
    data: bytes | str, secret_type: SecretDataType = SecretDataType.PASSWORD
) -> SecretData:
    """A password or another secret, to be registered; text becomes UTF-8."""
    raw = data.encode() if isinstance(data, str) else data
    return SecretData(secret_data_type=secret_type, key_block=_block(KeyFormatType.OPAQUE, raw))


def certificate(der: bytes) -> Certificate:
    """An X.509 certificate in DER, to be registered."""
    return Certificate(certificate_type=CertificateType.X_509, certificate_value=der)


def opaque_object(data: bytes, data_type: int = 0x80000000) -> OpaqueObject:
    """Bytes that the server need not understand; the standard names no data type, vendors may."""
    return OpaqueObject(opaque_data_type=OpaqueDataType(data_type), opaque_data_value=data)


def private_key(
    der: bytes,
    algorithm: CryptographicAlgorithm,
    bits: int,
    key_format: KeyFormatType = KeyFormatType.PKCS_8,
) -> PrivateKey:
    """A private key in DER, to be registered."""
    return PrivateKey(key_block=_block(key_format, der, algorithm, bits))


def public_key(
    der: bytes,
    algorithm: CryptographicAlgorithm,
    bits: int,
    key_format: KeyFormatType = KeyFormatType.X_509,
) -> PublicKey:
    """A public key in DER, to be registered."""
    return PublicKey(key_block=_block(key_format, der, algorithm, bits))


def _block(
    key_format: KeyFormatType,
    data: bytes,
    algorithm: CryptographicAlgorithm | None = None,
    bits: int | None = None,
) -> KeyBlock:
    return KeyBlock(
        key_format_type=key_format,
        key_value=KeyValue(key_material=data),
        cryptographic_algorithm=algorithm,
        cryptographic_length=bits,
    )


def material(value: ManagedObject) -> bytes:
    """The bytes of an object as Get returned it: key, secret, certificate, opaque data.

    A wrapped key gives its wrapped bytes.

    Raises:
        LocalProtocolError: the object has no such bytes, like most transparent keys and templates.
    """
    if isinstance(value, Certificate):
        return value.certificate_value
    if isinstance(value, OpaqueObject):
        return value.opaque_data_value
    block = getattr(value, "key_block", None)
    key_value = block.key_value if isinstance(block, KeyBlock) else None
    inner = key_value.key_material if isinstance(key_value, KeyValue) else key_value
    if isinstance(inner, TransparentSymmetricKey):
        return inner.key
    if isinstance(inner, bytes):
        return inner
    message = (
        f"a {type(value).__name__} in this form has no bytes of its own; ask for another format"
    )
    raise LocalProtocolError(message, cause=Cause.BAD_VALUE)
