"""Key Format Types whose Key Material is a byte string, and the ways between them.

KMIP 1.4 §2.1.2 and §9.1.3.2.3. A key is read into the library's object and written out again; two
tables say how, one row per object type and format. Transparent formats are structures, not byte
strings, and belong to the key block. Opaque bytes stay what they are.

================  ==================================================================
Raw               the bytes of a symmetric key; RFC 8032 and RFC 7748 keys as there
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
    begins: tuple[int, ...]
    """Tags of the first elements; the library reads all three forms under any name."""
    holds: tuple[type, ...] | None
    """Kinds of keys it can hold; ``None`` for all."""
    written: serialization.PrivateFormat


class _PublicFormat(NamedTuple):
    begins: tuple[int, ...]
    holds: tuple[type, ...] | None
    written: serialization.PublicFormat


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
    data: bytes, key_format: KeyFormatType, algorithm: CryptographicAlgorithm | None = None
) -> PrivateKeyTypes:
    """Read a private key; ``algorithm`` is needed for Raw, which does not say what it is.

    Raises:
        OperationError: Key Format Type Not Supported for a format that is not read here; Invalid
            Field for bytes that are not what the format says, and for encrypted PKCS#8.
    """
    if key_format == _RAW:
        with foreign_errors(*_unreadable("private", key_format)):
            loaded: PrivateKeyTypes = _raw_kind(algorithm)[0].from_private_bytes(data)
            return loaded
    row = _PRIVATE_FORMATS.get(key_format)
    if row is None:
        raise _not_supported(key_format, "private keys")
    _check_shape(data, row.begins, "private", key_format)
    with foreign_errors(*_unreadable("private", key_format)):
        return serialization.load_der_private_key(data, None)


def load_public_key(
    data: bytes, key_format: KeyFormatType, algorithm: CryptographicAlgorithm | None = None
) -> PublicKeyTypes:
    """Read a public key; like :func:`load_private_key`."""
    if key_format == _RAW:
        with foreign_errors(*_unreadable("public", key_format)):
            loaded: PublicKeyTypes = _raw_kind(algorithm)[1].from_public_bytes(data)
            return loaded
    row = _PUBLIC_FORMATS.get(key_format)
    if row is None:
        raise _not_supported(key_format, "public keys")
    _check_shape(data, row.begins, "public", key_format)
    with foreign_errors(*_unreadable("public", key_format)):
        return serialization.load_der_public_key(data)


def dump_private_key(key: PrivateKeyTypes, key_format: KeyFormatType) -> bytes:
    """Write a private key, unencrypted.

    Raises:
        OperationError: Key Format Type Not Supported where the format cannot hold such a key.
    """
    if key_format == _RAW and isinstance(key, _WITH_RAW_PRIVATE):
        return key.private_bytes_raw()
    row = _PRIVATE_FORMATS.get(key_format)
    if row is None or not (row.holds is None or isinstance(key, row.holds)):
        raise _not_supported(key_format, f"a private key of {_kind(key)}")
    return key.private_bytes(_DER, row.written, _NO_ENCRYPTION)


def dump_public_key(key: PublicKeyTypes, key_format: KeyFormatType) -> bytes:
    """Write a public key; like :func:`dump_private_key`."""
    if key_format == _RAW and isinstance(key, _WITH_RAW_PUBLIC):
        return key.public_bytes_raw()
    row = _PUBLIC_FORMATS.get(key_format)
    if row is None or not (row.holds is None or isinstance(key, row.holds)):
        raise _not_supported(key_format, f"a public key of {_kind(key)}")
    return key.public_bytes(_DER, row.written)


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
    """The Key Material ``data`` of one format in another.

    The same format gives the same bytes, unread: what a client registered it gets back, whatever it
    is (KMIP 1.4 §4.11).

    Raises:
        OperationError: Key Format Type Not Supported where there is no way from one to the other;
            Invalid Field where the bytes are not what ``source`` says.
    """
    if source == target:
        return data
    conversion = _CONVERSIONS.get(object_type)
    if conversion is None or _OPAQUE in {source, target}:
        raise OperationError(
            ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
            f"a {object_type.name} in Key Format Type {source.name} cannot be given in "
            f"{target.name}",
        )
    return conversion(data, source, target, algorithm)


def _raw_kind(algorithm: CryptographicAlgorithm | None) -> tuple[Any, Any]:
    kinds = None if algorithm is None else _RAW_KEYS.get(algorithm)
    if kinds is None:
        named = "an unknown algorithm" if algorithm is None else algorithm.name
        raise _not_supported(_RAW, f"asymmetric keys of {named}")
    return kinds


def _check_shape(
    data: bytes, begins: tuple[int, ...], which: str, key_format: KeyFormatType
) -> None:
    if shape(data)[: len(begins)] != begins:
        message, reason = _unreadable(which, key_format)
        raise OperationError(reason, message)


def _unreadable(which: str, key_format: KeyFormatType) -> tuple[str, ResultReason]:
    return (
        f"Key Material is not a {which} key in Key Format Type {key_format.name}",
        ResultReason.INVALID_FIELD,
    )


def _not_supported(key_format: KeyFormatType, what: str) -> OperationError:
    return OperationError(
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        f"Key Format Type {key_format.name} is not supported for {what}",
    )


def _kind(key: object) -> str:
    """``RSA`` of ``RSAPrivateKey``: which kind of key the library's object is."""
    return type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey").lstrip("_")
