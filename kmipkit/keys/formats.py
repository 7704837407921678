"""Key Format Types whose Key Material is a byte string, and conversions between them.

KMIP 1.4 §2.1.2 and §9.1.3.2.3. A conversion reads a key into an object of the library and writes it
in the other format; two tables say how, with one row per object type and format. Transparent formats
are structures, see `transparent`. Opaque bytes are not converted.

================  ==================================================================
Raw               the bytes of a symmetric key; RFC 8032 and RFC 7748 keys as defined there
PKCS#1            RSA, RFC 8017 §A.1: RSAPrivateKey or RSAPublicKey
PKCS#8            private keys, RFC 5958, not encrypted
ECPrivateKey      RFC 5915 (SEC 1 §C.4)
X.509             public keys: the SubjectPublicKeyInfo of RFC 5280 §4.1
================  ==================================================================
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from kmipkit.errors import OperationError
from kmipkit.keys._border import foreign_errors
from kmipkit.keys._der import INTEGER, OCTET_STRING, SEQUENCE, shape
from kmipkit.spec.enums import CryptographicAlgorithm, KeyFormatType, ObjectType, ResultReason

_RAW, _OPAQUE, _PKCS_1 = KeyFormatType.RAW, KeyFormatType.OPAQUE, KeyFormatType.PKCS_1
_PKCS_8, _X_509, _SEC_1 = KeyFormatType.PKCS_8, KeyFormatType.X_509, KeyFormatType.ECPRIVATEKEY
_DER, _NO_ENCRYPTION = serialization.Encoding.DER, serialization.NoEncryption()

_RAW_KEYS: Mapping[CryptographicAlgorithm, tuple[Any, Any]] = {
    CryptographicAlgorithm.ED25519: (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey),
    CryptographicAlgorithm.ED448: (ed448.Ed448PrivateKey, ed448.Ed448PublicKey),
}
_WITH_RAW_PRIVATE = (
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
    x25519.X25519PrivateKey,
    x448.X448PrivateKey,
)
_WITH_RAW_PUBLIC = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    x25519.X25519PublicKey,
    x448.X448PublicKey,
)


class _PrivateFormat(NamedTuple):
    first_tags: tuple[int, ...]
    """Tags of the first elements. The library reads all three formats, whichever is expected."""
    key_types: tuple[type, ...] | None
    """Types of keys that the format supports; ``None`` for all."""
    library_format: serialization.PrivateFormat


class _PublicFormat(NamedTuple):
    first_tags: tuple[int, ...]
    key_types: tuple[type, ...] | None
    library_format: serialization.PublicFormat


_PRIVATE_FORMATS: Mapping[KeyFormatType, _PrivateFormat] = MappingProxyType(
    {
        _PKCS_1: _PrivateFormat(
            (INTEGER, INTEGER), (rsa.RSAPrivateKey,), serialization.PrivateFormat.TraditionalOpenSSL
        ),
        _PKCS_8: _PrivateFormat((INTEGER, SEQUENCE), None, serialization.PrivateFormat.PKCS8),
        _SEC_1: _PrivateFormat(
            (INTEGER, OCTET_STRING),
            (ec.EllipticCurvePrivateKey,),
            serialization.PrivateFormat.TraditionalOpenSSL,
        ),
    }
)

_PUBLIC_FORMATS: Mapping[KeyFormatType, _PublicFormat] = MappingProxyType(
    {
        _PKCS_1: _PublicFormat(
            (INTEGER, INTEGER), (rsa.RSAPublicKey,), serialization.PublicFormat.PKCS1
        ),
        _X_509: _PublicFormat((SEQUENCE,), None, serialization.PublicFormat.SubjectPublicKeyInfo),
    }
)


def load_private_key(
    data: bytes,
    key_format: KeyFormatType,
    algorithm: CryptographicAlgorithm | None = None,
    *,
    is_validated: bool = False,
) -> PrivateKeyTypes:
    """Read a private key; Raw needs ``algorithm``, because the bytes do not contain it.

    ``is_validated`` says that these bytes were read before without an error: then an RSA key is not
    validated again, which takes hundreds of times as long as to use it.

    Raises:
        OperationError: Key Format Type Not Supported for a format of another kind; Invalid Field for
            bytes that are not in the format, and for encrypted PKCS#8.
    """
    if key_format == _RAW:
        with foreign_errors(*_not_valid("private", key_format)):
            loaded: PrivateKeyTypes = _raw_classes(algorithm)[0].from_private_bytes(data)
            return loaded
    row = _PRIVATE_FORMATS.get(key_format)
    if row is None:
        raise _not_supported(key_format, "private keys")
    _check_shape(data, row.first_tags, "private", key_format)
    with foreign_errors(*_not_valid("private", key_format)):
        return serialization.load_der_private_key(
            data, None, unsafe_skip_rsa_key_validation=is_validated
        )


def load_public_key(
    data: bytes, key_format: KeyFormatType, algorithm: CryptographicAlgorithm | None = None
) -> PublicKeyTypes:
    """Read a public key; like :func:`load_private_key`."""
    if key_format == _RAW:
        with foreign_errors(*_not_valid("public", key_format)):
            loaded: PublicKeyTypes = _raw_classes(algorithm)[1].from_public_bytes(data)
            return loaded
    row = _PUBLIC_FORMATS.get(key_format)
    if row is None:
        raise _not_supported(key_format, "public keys")
    _check_shape(data, row.first_tags, "public", key_format)
    with foreign_errors(*_not_valid("public", key_format)):
        return serialization.load_der_public_key(data)


def dump_private_key(key: PrivateKeyTypes, key_format: KeyFormatType) -> bytes:
    """Write a private key, unencrypted.

    Raises:
        OperationError: Key Format Type Not Supported if the format does not support the key.
    """
    if key_format == _RAW and isinstance(key, _WITH_RAW_PRIVATE):
        return key.private_bytes_raw()
    row = _PRIVATE_FORMATS.get(key_format)
    if row is None or not (row.key_types is None or isinstance(key, row.key_types)):
        raise _not_supported(key_format, f"a private key of {_algorithm_name(key)}")
    return key.private_bytes(_DER, row.library_format, _NO_ENCRYPTION)


def dump_public_key(key: PublicKeyTypes, key_format: KeyFormatType) -> bytes:
    """Write a public key; like :func:`dump_private_key`."""
    if key_format == _RAW and isinstance(key, _WITH_RAW_PUBLIC):
        return key.public_bytes_raw()
    row = _PUBLIC_FORMATS.get(key_format)
    if row is None or not (row.key_types is None or isinstance(key, row.key_types)):
        raise _not_supported(key_format, f"a public key of {_algorithm_name(key)}")
    return key.public_bytes(_DER, row.library_format)


_CONVERSIONS: Mapping[
    ObjectType,
    Callable[[bytes, KeyFormatType, KeyFormatType, CryptographicAlgorithm | None], bytes],
] = MappingProxyType(
    {
        ObjectType.PRIVATE_KEY: lambda data, source, target, algorithm: dump_private_key(
            load_private_key(data, source, algorithm), target
        ),
        ObjectType.PUBLIC_KEY: lambda data, source, target, algorithm: dump_public_key(
            load_public_key(data, source, algorithm), target
        ),
    }
)


def convert(
    data: bytes,
    source: KeyFormatType,
    target: KeyFormatType,
    object_type: ObjectType,
    algorithm: CryptographicAlgorithm | None = None,
) -> bytes:
    """The Key Material ``data`` converted from one format to another.

    With the same format the bytes are returned without being read: a client gets back what it
    registered, even if it is not valid (KMIP 1.4 §4.11).

    Raises:
        OperationError: Key Format Type Not Supported if there is no conversion; Invalid Field if the
            bytes are not in the format ``source``.
    """
    if source == target:
        return data
    conversion = _CONVERSIONS.get(object_type)
    if conversion is None or _OPAQUE in {source, target}:
        raise OperationError(
            ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
            f"a {object_type.name} cannot be converted from Key Format Type {source.name} "
            f"to {target.name}",
        )
    return conversion(data, source, target, algorithm)


def _raw_classes(algorithm: CryptographicAlgorithm | None) -> tuple[Any, Any]:
    classes = None if algorithm is None else _RAW_KEYS.get(algorithm)
    if classes is None:
        name = "an unknown algorithm" if algorithm is None else algorithm.name
        raise _not_supported(_RAW, f"asymmetric keys of {name}")
    return classes


def _check_shape(
    data: bytes, first_tags: tuple[int, ...], object_type_name: str, key_format: KeyFormatType
) -> None:
    if shape(data)[: len(first_tags)] != first_tags:
        message, reason = _not_valid(object_type_name, key_format)
        raise OperationError(reason, message)


def _not_valid(object_type_name: str, key_format: KeyFormatType) -> tuple[str, ResultReason]:
    return (
        f"Key Material is not a {object_type_name} key in Key Format Type {key_format.name}",
        ResultReason.INVALID_FIELD,
    )


def _not_supported(key_format: KeyFormatType, subject: str) -> OperationError:
    return OperationError(
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        f"Key Format Type {key_format.name} is not supported for {subject}",
    )


def _algorithm_name(key: object) -> str:
    """The algorithm of a key of the library, from its class: ``RSA`` for ``RSAPrivateKey``."""
    return type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").lstrip("_")
