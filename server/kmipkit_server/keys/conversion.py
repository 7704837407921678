"""Converting a key to the format that Get requests (KMIP 1.4 §4.11).

Every key can be retrieved in the format in which it was registered. The server converts it to other
formats if the library can read it. A wrapped key cannot be converted, since the server cannot see
the key inside.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from kmipkit.errors import OperationError
from kmipkit.keys import costs, formats, transparent
from kmipkit.keys.formats import convert
from kmipkit.model.attribute import Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentSymmetricKey
from kmipkit.model.objects import (
    OBJECT_TYPE_OF,
    ManagedObject,
    PublicKey,
    SecretData,
    SplitKey,
    SymmetricKey,
)
from kmipkit.model.payloads.get import GetRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyCompressionType,
    KeyFormatType,
    ObjectType,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit_server.keys.material import private_key_bits

_Created = TypeVar("_Created", bound=SymmetricKey | SecretData | SplitKey)

_CURVES = frozenset(
    {
        CryptographicAlgorithm.ECDSA,
        CryptographicAlgorithm.ECDH,
        CryptographicAlgorithm.ECMQV,
        CryptographicAlgorithm.EC,
    }
)
_SYMMETRIC = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA, ObjectType.SPLIT_KEY})
_BYTE_FORMATS = frozenset({KeyFormatType.RAW, KeyFormatType.OPAQUE})


def _unsupported(requested: KeyFormatType, stored: KeyFormatType) -> OperationError:
    return OperationError(
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        f"the key has the Key Format Type {stored.name} and cannot be converted to {requested.name}",
    )


def conversion_cost(block: KeyBlock, request: GetRequest) -> float:
    """About how many milliseconds :func:`convert_key_block` takes: a private key is validated."""
    value = block.key_value
    if request.key_format_type in (None, block.key_format_type) or not isinstance(value, KeyValue):
        return 0.0
    return costs.rsa_validation(private_key_bits(value.key_material))


def convert_key_block(block: KeyBlock, value: ManagedObject, request: GetRequest) -> KeyBlock:
    """The key block in the requested format; unchanged if the request names none, or the same."""
    _require_compression(block, value, request.key_compression_type)
    if request.key_format_type is None:
        return block
    return in_format(block, value, request.key_format_type)


def _require_compression(
    block: KeyBlock, value: ManagedObject, requested: KeyCompressionType | None
) -> None:
    """A public key on a curve is uncompressed by default (KMIP 1.4 §2.1.3)."""
    stored = block.key_compression_type
    if stored is None and isinstance(value, PublicKey) and block.cryptographic_algorithm in _CURVES:
        stored = KeyCompressionType.EC_PUBLIC_KEY_TYPE_UNCOMPRESSED
    if requested not in (None, stored):
        raise OperationError(
            ResultReason.KEY_COMPRESSION_TYPE_NOT_SUPPORTED,
            "a public key can only be retrieved with the Key Compression Type that it was"
            " registered with",
        )


def in_format(block: KeyBlock, value: ManagedObject, requested: KeyFormatType) -> KeyBlock:
    """The key block of an object in a format.

    OperationError: Key Format Type Not Supported if the server cannot convert the key.
    """
    if requested == block.key_format_type:
        return block
    if not isinstance(block.key_value, KeyValue) or block.key_wrapping_data is not None:
        raise _unsupported(requested, block.key_format_type)
    material = _convert_material(block, value, requested, block.key_value)
    return block.replace(
        key_format_type=requested, key_value=block.key_value.replace(key_material=material)
    )


def as_requested(value: _Created, attributes: Attributes) -> _Created:
    """An object that the server creates, in the Key Format Type that the request has, if any.

    "The server SHALL comply with the client's requested format or SHALL fail the request" (KMIP 2.1
    §4.26).
    """
    requested = attributes.get(Tag.KEY_FORMAT_TYPE)
    if requested is None:
        return value
    block = in_format(value.key_block, value, requested)
    return value.replace(key_block=block)  # type: ignore[return-value]  # of the same class


def _convert_material(
    block: KeyBlock, value: ManagedObject, requested: KeyFormatType, key: KeyValue
) -> Any:
    stored, material = block.key_format_type, key.key_material
    object_type = OBJECT_TYPE_OF[type(value)]
    if object_type in _SYMMETRIC:
        if isinstance(material, TransparentSymmetricKey) and requested == KeyFormatType.RAW:
            return material.key
        if isinstance(material, bytes) and stored in _BYTE_FORMATS:
            if requested == KeyFormatType.TRANSPARENT_SYMMETRIC_KEY:
                return TransparentSymmetricKey(key=material)
            if requested in _BYTE_FORMATS:
                return material
    elif object_type in _LOADERS and KeyFormatType.OPAQUE not in (stored, requested):
        return _convert_asymmetric(block, object_type, material, requested)
    elif isinstance(material, bytes):
        return convert(material, stored, requested, object_type, block.cryptographic_algorithm)
    raise _unsupported(requested, stored)


_LOADERS: Mapping[ObjectType, tuple[Callable[..., Any], Callable[..., bytes]]] = MappingProxyType(
    {
        ObjectType.PRIVATE_KEY: (formats.load_private_key, formats.dump_private_key),
        ObjectType.PUBLIC_KEY: (formats.load_public_key, formats.dump_public_key),
    }
)


def _convert_asymmetric(
    block: KeyBlock, object_type: ObjectType, material: object, requested: KeyFormatType
) -> Any:
    """A private or public key, converted through a key object of the library."""
    load, dump = _LOADERS[object_type]
    if transparent.is_transparent(material):
        key = transparent.load(material)
    else:
        key = load(material, block.key_format_type, block.cryptographic_algorithm)
    if requested in transparent.FORMATS:
        return transparent.dump(key, requested)
    return dump(key, requested)
