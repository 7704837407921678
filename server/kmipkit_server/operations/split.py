"""Create Split Key and Join Split Key (KMIP 1.4 §4.38, §4.39; KMIP 2.1 §6.1.10, §6.1.27)."""

from kmipkit.errors import OperationError
from kmipkit.keys import splitting
from kmipkit.keys.generate import generate_key
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import SecretData, SplitKey, SymmetricKey
from kmipkit.model.payloads.create import (
    CreateSplitKeyRequest,
    CreateSplitKeyResponse,
    JoinSplitKeyRequest,
    JoinSplitKeyResponse,
)
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    ResultReason,
    SecretDataType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes
from kmipkit_server.objects import creation
from kmipkit_server.objects.access import load
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed
from kmipkit_server.operations.create import raw_key

_SPLITTABLE = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.PRIVATE_KEY, ObjectType.SECRET_DATA})

_OF_KEY = (Tag.CRYPTOGRAPHIC_ALGORITHM, Tag.CRYPTOGRAPHIC_LENGTH, Tag.CRYPTOGRAPHIC_USAGE_MASK)
"""Attributes in which those of the key that is split come first (KMIP 1.4 §4.38)."""


def _source(
    call: Call, request: CreateSplitKeyRequest, given: Attributes
) -> tuple[bytes, Attributes]:
    """The secret to split, that of an object or a new one, and the attributes of the parts."""
    if request.unique_identifier is None:
        algorithm = CryptographicAlgorithm(given.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or 0)
        bits = given.get(Tag.CRYPTOGRAPHIC_LENGTH) or 0
        return generate_key(algorithm, bits, call.random), given
    managed = load(call, request.unique_identifier)
    if managed.object_type not in _SPLITTABLE:
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE,
            "Symmetric Keys, Private Keys and Secret Data can be split",
        )
    if managed.get(Tag.EXTRACTABLE) is False:
        raise OperationError(ResultReason.NOT_EXTRACTABLE, "the object is not extractable")
    return key_bytes(managed), _described(managed, given)


def _described(managed: Managed, given: Attributes) -> Attributes:
    """With the attributes of the key; the parts of what is sensitive are sensitive."""
    own = [Attribute(key, managed.get(key), 0) for key in _OF_KEY if managed.get(key) is not None]
    if managed.get(Tag.SENSITIVE):
        own.append(Attribute(Tag.SENSITIVE, True, 0))
    return given.without(*(one.key for one in own)).plus(*own)


def create_split_key(call: Call, request: CreateSplitKeyRequest) -> CreateSplitKeyResponse:
    """Split a key, or a new one, into parts that are objects of their own."""
    if request.object_type is not ObjectType.SPLIT_KEY:
        raise OperationError(ResultReason.INVALID_OBJECT_TYPE, "Create Split Key makes Split Keys")
    given = creation.requested_attributes(call, request.attributes, ObjectType.SPLIT_KEY)
    secret, attributes = _source(call, request, given)
    if Tag.CRYPTOGRAPHIC_USAGE_MASK not in attributes:
        mask = creation.first_instance(Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask(0))
        attributes = attributes.plus(mask)
    scheme = splitting.Scheme(
        request.split_key_method,
        request.split_key_parts,
        request.split_key_threshold,
        len(secret),
        request.prime_field_size,
    )
    identifiers = []
    for number, share in enumerate(splitting.split(secret, scheme, call.random), 1):
        value = SplitKey(
            split_key_parts=scheme.parts,
            key_part_identifier=number,
            split_key_threshold=scheme.threshold,
            split_key_method=scheme.method,
            prime_field_size=scheme.prime,
            key_block=raw_key(share, attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM), 8 * len(secret)),
        )
        part = creation.create(
            call, ObjectType.SPLIT_KEY, value, attributes, derived_attributes(value), generated=True
        )
        identifiers.append(part.id)
    return CreateSplitKeyResponse(unique_identifiers=tuple(identifiers))


def _scheme(parts: list[SplitKey]) -> splitting.Scheme:
    """What all parts say of the split; Invalid Field where they do not agree."""
    told = {
        splitting.Scheme(
            part.split_key_method,
            part.split_key_parts,
            part.split_key_threshold,
            (part.key_block.cryptographic_length or 0) // 8,
            part.prime_field_size,
        )
        for part in parts
    }
    if len(told) != 1:
        raise OperationError(ResultReason.INVALID_FIELD, "the parts are not of one split key")
    return told.pop()


def join_split_key(call: Call, request: JoinSplitKeyRequest) -> JoinSplitKeyResponse:
    """Put a key or secret data together from its parts."""
    parts: list[SplitKey] = []
    shares: dict[int, bytes] = {}
    for identifier in request.unique_identifiers:
        managed = load(call, identifier)
        value = managed.object
        if not isinstance(value, SplitKey):
            raise OperationError(ResultReason.ILLEGAL_OBJECT_TYPE, "only Split Keys can be joined")
        parts.append(value)
        shares[value.key_part_identifier] = key_bytes(managed)
    scheme = _scheme(parts)
    secret = splitting.join(shares, scheme)
    given = creation.requested_attributes(call, request.attributes, request.object_type)
    joined = _joined(request, secret, parts[0], given)
    if Tag.CRYPTOGRAPHIC_USAGE_MASK not in given:
        mask = creation.first_instance(Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask(0))
        given = given.plus(mask)
    managed = creation.create(call, request.object_type, joined, given, derived_attributes(joined))
    return JoinSplitKeyResponse(unique_identifier=managed.id)


def _joined(
    request: JoinSplitKeyRequest, secret: bytes, part: SplitKey, given: Attributes
) -> SymmetricKey | SecretData:
    if request.object_type is ObjectType.SYMMETRIC_KEY:
        algorithm = given.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or part.key_block.cryptographic_algorithm
        bits = given.get(Tag.CRYPTOGRAPHIC_LENGTH) or part.key_block.cryptographic_length
        return SymmetricKey(key_block=raw_key(secret, algorithm, bits or 8 * len(secret)))
    if request.object_type is ObjectType.SECRET_DATA:
        return SecretData(
            secret_data_type=request.secret_data_type or SecretDataType.PASSWORD,
            key_block=KeyBlock(
                key_format_type=KeyFormatType.OPAQUE, key_value=KeyValue(key_material=secret)
            ),
        )
    raise OperationError(
        ResultReason.INVALID_OBJECT_TYPE, "parts are joined to a Symmetric Key or Secret Data"
    )
