"""Create: a new symmetric key, or new secret data (KMIP 1.4 §4.1, KMIP 2.1 §6.1.8)."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from kmipkit.errors import OperationError
from kmipkit.keys.generate import generate_key
from kmipkit.model.attribute import Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import SecretData, SymmetricKey
from kmipkit.model.payloads.create import CreateRequest, CreateResponse
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    ResultReason,
    SecretDataType,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit.spec.versions import V2_1, Version
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.settings import Random
from kmipkit_server.keys.conversion import as_requested
from kmipkit_server.objects import creation, patterns
from kmipkit_server.objects.blueprint import Blueprint
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import pack_object
from kmipkit_server.objects.protection_storage import require_storage


def raw_key(data: bytes, algorithm: CryptographicAlgorithm | None, bits: int) -> KeyBlock:
    """A key block in the format Raw: the bytes are the key itself."""
    return KeyBlock(
        key_format_type=KeyFormatType.RAW,
        key_value=KeyValue(key_material=data),
        cryptographic_algorithm=algorithm,
        cryptographic_length=bits,
    )


def secret_block(data: bytes, version: Version) -> KeyBlock:
    """The key block of Secret Data that the server makes.

    The default format is Raw (KMIP 2.1 §4.26). The official cases of 1.4 and 2.0 expect Opaque.
    """
    return KeyBlock(
        key_format_type=KeyFormatType.OPAQUE if version < V2_1 else KeyFormatType.RAW,
        key_value=KeyValue(key_material=data),
    )


def _required(attributes: Attributes, key: Tag, name: str) -> int:
    value = attributes.get(key)
    if value is None:
        raise OperationError(ResultReason.INVALID_FIELD, f"Create needs the attribute {name}")
    number: int = value
    return number


class _New(NamedTuple):
    """An object to be stored."""

    material: bytes
    derived: Iterable[tuple[Tag, Any]]


def _new(value: SymmetricKey | SecretData, attributes: Attributes) -> _New:
    value = as_requested(value, attributes)
    return _New(pack_object(value), derived_attributes(value))


@lru_cache(maxsize=1024)
def _blueprint(algorithm: CryptographicAlgorithm, bits: int, size: int) -> Blueprint:
    return Blueprint.of(lambda key: SymmetricKey(key_block=raw_key(key, algorithm, bits)), size)


def _symmetric_key(attributes: Attributes, random: Random, _version: Version) -> _New:
    algorithm = _required(attributes, Tag.CRYPTOGRAPHIC_ALGORITHM, "Cryptographic Algorithm")
    if not isinstance(algorithm, CryptographicAlgorithm):
        algorithm = CryptographicAlgorithm(algorithm)
    bits = _required(attributes, Tag.CRYPTOGRAPHIC_LENGTH, "Cryptographic Length")
    key = generate_key(algorithm, bits, random)
    if attributes.get(Tag.KEY_FORMAT_TYPE) is None:
        blueprint = _blueprint(algorithm, bits, len(key))
        return _New(blueprint.material(key), blueprint.derived_with(key))
    return _new(SymmetricKey(key_block=raw_key(key, algorithm, bits)), attributes)


def _secret_data(attributes: Attributes, random: Random, version: Version) -> _New:
    """Random bytes of the requested length (KMIP 2.1 §6.1.8).

    No attribute gives the Secret Data Type. In the official test case the server creates a
    password, and a key block without algorithm and length, which Secret Data does not need.
    """
    bits = _required(attributes, Tag.CRYPTOGRAPHIC_LENGTH, "Cryptographic Length")
    if bits % 8 or not 8 <= bits <= creation.MAX_SECRET_BITS:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the Cryptographic Length of Secret Data must be 8 to {creation.MAX_SECRET_BITS},"
            f" and a multiple of 8, not {bits}",
        )
    value = SecretData(
        secret_data_type=SecretDataType.PASSWORD, key_block=secret_block(random(bits // 8), version)
    )
    return _new(value, attributes)


Maker = Callable[[Attributes, Random, Version], _New]

MAKERS: Mapping[ObjectType, Maker] = MappingProxyType(
    {ObjectType.SYMMETRIC_KEY: _symmetric_key, ObjectType.SECRET_DATA: _secret_data}
)


def create(call: Call, request: CreateRequest) -> CreateResponse:
    """Generate an object and store it under a new identifier."""
    object_type = request.object_type
    make = MAKERS.get(object_type)
    if make is None:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"Create makes Symmetric Keys and Secret Data, not {title_with_article(object_type)}",
        )
    require_storage(request.protection_storage_masks)
    requested = None
    if object_type is ObjectType.SYMMETRIC_KEY:
        requested = patterns.requested(call, request.attributes, object_type)
        identifier = None if requested is None else _create_again(call, requested)
        if identifier is not None:
            call.returns(identifier)
            return CreateResponse(object_type=object_type, unique_identifier=identifier)
    attributes = creation.requested_attributes(call, request.attributes, object_type)
    attributes = creation.with_usage_mask(attributes)
    new = make(attributes, call.draw, call.version)
    managed = creation.store(
        call, object_type, new.material, attributes, new.derived, generated=True
    )
    if requested is not None:
        patterns.keep(call, requested, managed.record)
    call.returns(managed.id)
    return CreateResponse(object_type=object_type, unique_identifier=managed.id)


def _create_again(call: Call, request: patterns.Requested) -> str | None:
    """Create a key as others were created before; None if there were none."""
    pattern = patterns.find(call, request)
    if pattern is None:
        return None
    algorithm, bits = pattern.algorithm, pattern.bits
    key = generate_key(algorithm, bits, call.draw)
    blueprint = _blueprint(algorithm, bits, len(key))
    return patterns.store(
        call,
        ObjectType.SYMMETRIC_KEY,
        request.name,
        pattern,
        blueprint.material(key),
        key,
    )
