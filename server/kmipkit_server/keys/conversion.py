"""Giving a key in the format that Get asks for (KMIP 1.4 §4.11).

A key is always to be had in the format in which it was registered. Other formats are made from the
key where the library can read it; a wrapped key cannot be converted, since the server sees only the
wrapping.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from kmipkit.errors import OperationError
from kmipkit.keys import formats, transparent
from kmipkit.keys.formats import convert
from kmipkit.model.keyblock import KeyBlock, KeyValue, TransparentSymmetricKey
from kmipkit.model.objects import OBJECT_TYPE_OF, ManagedObject
from kmipkit.model.payloads.get import GetRequest
from kmipkit.spec.enums import KeyFormatType, ObjectType, ResultReason

_SYMMETRIC = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA, ObjectType.SPLIT_KEY})
_BYTES = frozenset({KeyFormatType.RAW, KeyFormatType.OPAQUE})


def _unsupported(wanted: KeyFormatType, kept: KeyFormatType) -> OperationError:
    return OperationError(
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        f"the key is kept as {kept.name} and cannot be given as {wanted.name}",
    )


def convert_key_block(block: KeyBlock, value: ManagedObject, request: GetRequest) -> KeyBlock:
    """The key block in the format that is asked for; itself where none or the same is."""
    if request.key_compression_type not in (None, block.key_compression_type):
        raise OperationError(
            ResultReason.KEY_COMPRESSION_TYPE_NOT_SUPPORTED,
            "the point of a public key is given as it was registered",
        )
    wanted = request.key_format_type
    if wanted is None or wanted == block.key_format_type:
        return block
    if not isinstance(block.key_value, KeyValue):
        raise _unsupported(wanted, block.key_format_type)
    material = _converted(block, value, wanted, block.key_value)
    return block.replace(
        key_format_type=wanted, key_value=block.key_value.replace(key_material=material)
    )


def _converted(block: KeyBlock, value: ManagedObject, wanted: KeyFormatType, key: KeyValue) -> Any:
    kept, material = block.key_format_type, key.key_material
    object_type = OBJECT_TYPE_OF[type(value)]
    if object_type in _SYMMETRIC:
        if isinstance(material, TransparentSymmetricKey) and wanted == KeyFormatType.RAW:
            return material.key
        if isinstance(material, bytes) and kept in _BYTES:
            if wanted == KeyFormatType.TRANSPARENT_SYMMETRIC_KEY:
                return TransparentSymmetricKey(key=material)
            if wanted in _BYTES:
                return material
    elif object_type in _LOADERS and KeyFormatType.OPAQUE not in (kept, wanted):
        return _asymmetric(block, object_type, material, wanted)
    elif isinstance(material, bytes):
        return convert(material, kept, wanted, object_type, block.cryptographic_algorithm)
    raise _unsupported(wanted, kept)


_LOADERS: Mapping[ObjectType, tuple[Callable[..., Any], Callable[..., bytes]]] = MappingProxyType(
    {
        ObjectType.PRIVATE_KEY: (formats.load_private_key, formats.dump_private_key),
        ObjectType.PUBLIC_KEY: (formats.load_public_key, formats.dump_public_key),
    }
)


def _asymmetric(
    block: KeyBlock, object_type: ObjectType, material: object, wanted: KeyFormatType
) -> Any:
    """A key of a pair, by way of the library's own form of it."""
    read, write = _LOADERS[object_type]
    if transparent.is_transparent(material):
        key = transparent.load(material)
    else:
        key = read(material, block.key_format_type, block.cryptographic_algorithm)
    return transparent.dump(key, wanted) if wanted in transparent.FORMATS else write(key, wanted)
