"""Simple Python values for the fields of requests and responses."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kmipkit.errors import Cause, LocalProtocolError
from kmipkit.model.attribute import Attribute, AttributeKey, Attributes, attribute_key
from kmipkit.model.attributes import CryptographicParameters, Name
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
from kmipkit.spec.enums import (
    BlockCipherMode,
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    NameType,
    OpaqueDataType,
    SecretDataType,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item

ENCRYPT_AND_DECRYPT = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
SIGN_AND_VERIFY = (CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY)
"""Of a private key and of its public key."""

GCM = CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, tag_length=16)
"""AES in Galois/Counter Mode with the full tag of 16 bytes, for Encrypt and Decrypt."""

AttributeLike = AttributeKey | str
"""A tag, a vendor's name, the standard's name ("Contact Information") or a custom one ("x-Owner")."""
AttributesLike = Attributes | Mapping[Any, Any]
"""Attributes, or a mapping from :data:`AttributeLike` to a value or a list of values."""


class Located(NamedTuple):
    """The result of Locate."""

    ids: tuple[str, ...]
    total: int | None
    """The number of all matching objects, if the server reports it (KMIP 1.3 and later)."""


class KeyPair(NamedTuple):
    """The Unique Identifiers of the two keys of a pair."""

    private: str
    public: str


class Encrypted(NamedTuple):
    """The result of Encrypt, with all that Decrypt needs."""

    data: bytes
    iv: bytes | None
    tag: bytes | None
    """The tag of authenticated encryption."""


def attributes(source: AttributesLike | None, *, name: str | None = None) -> Attributes:
    """Attributes of a request; ``name`` adds a Name of the usual type."""
    items = tuple(source) if isinstance(source, Attributes) else tuple(_instances(source or {}))
    if name is not None:
        items = (Attribute(Tag.NAME, text_name(name)), *items)
    return Attributes(items)


def optional_attributes(source: AttributesLike | None) -> Attributes | None:
    """Attributes of a request that need not have any."""
    return None if source is None else attributes(source)


def adjustment(value: int | None) -> Item | None:
    """The Adjustment Value of Adjust Attribute (KMIP 2.1 §6.1.3)."""
    return None if value is None else Item(Tag.ADJUSTMENT_VALUE, ItemType.INTEGER, value)


def _instances(mapping: Mapping[Any, Any]) -> Iterator[Attribute]:
    for key, value in mapping.items():
        for instance in value if isinstance(value, list) else [value]:
            yield attribute(key, instance)


def attribute(key: AttributeLike, value: Any, index: int | None = None) -> Attribute:
    """One attribute; a plain text for Name becomes an uninterpreted text string."""
    full_key = attribute_key(key)
    if full_key is Tag.NAME and isinstance(value, str):
        value = text_name(value)
    return Attribute(full_key, value, index)


def text_name(value: str) -> Name:
    """A Name of type Uninterpreted Text String."""
    return Name(name_value=value, name_type=NameType.UNINTERPRETED_TEXT_STRING)


def keys(names: Iterable[AttributeLike]) -> tuple[AttributeKey, ...]:
    """The keys of several attributes."""
    return tuple(attribute_key(name) for name in names)


def symmetric_key(
    data: bytes, algorithm: CryptographicAlgorithm = CryptographicAlgorithm.AES
) -> SymmetricKey:
    """A symmetric key with these bytes, for Register."""
    return SymmetricKey(key_block=_block(KeyFormatType.RAW, data, algorithm, len(data) * 8))


def secret_data(
    data: bytes | str, secret_type: SecretDataType = SecretDataType.PASSWORD
) -> SecretData:
    """A password or another secret, for Register; text is encoded as UTF-8."""
    raw = data.encode() if isinstance(data, str) else data
    return SecretData(secret_data_type=secret_type, key_block=_block(KeyFormatType.OPAQUE, raw))


def certificate(der: bytes) -> Certificate:
    """An X.509 certificate in DER, for Register."""
    return Certificate(certificate_type=CertificateType.X_509, certificate_value=der)


def opaque_object(data: bytes, data_type: int = 0x80000000) -> OpaqueObject:
    """Bytes that the server does not interpret. Only vendors define data types (KMIP 1.4 §2.2.8)."""
    return OpaqueObject(opaque_data_type=OpaqueDataType(data_type), opaque_data_value=data)


def private_key(
    der: bytes,
    algorithm: CryptographicAlgorithm,
    bits: int,
    key_format: KeyFormatType = KeyFormatType.PKCS_8,
) -> PrivateKey:
    """A private key in DER, for Register."""
    return PrivateKey(key_block=_block(key_format, der, algorithm, bits))


def public_key(
    der: bytes,
    algorithm: CryptographicAlgorithm,
    bits: int,
    key_format: KeyFormatType = KeyFormatType.X_509,
) -> PublicKey:
    """A public key in DER, for Register."""
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
    """The bytes of an object that Get returned: key, secret, certificate or opaque data.

    For a wrapped key, these are the wrapped bytes.

    Raises:
        LocalProtocolError: the object has no bytes, such as most transparent keys and templates.
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
        f"a {type(value).__name__} in this Key Format Type has no bytes; request another format"
    )
    raise LocalProtocolError(message, cause=Cause.BAD_VALUE)
