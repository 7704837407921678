"""Create Split Key and Join Split Key (KMIP 1.4 §4.38, §4.39; KMIP 2.1 §6.1.10, §6.1.27)."""

from kmipkit.errors import OperationError
from kmipkit.keys import splitting
from kmipkit.keys.generate import generate_key
from kmipkit.lifecycle import describe_state
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.objects import SecretData, SplitKey, SymmetricKey
from kmipkit.model.payloads.create import (
    CreateSplitKeyRequest,
    CreateSplitKeyResponse,
    JoinSplitKeyRequest,
    JoinSplitKeyResponse,
)
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    ObjectType,
    ResultReason,
    SecretDataType,
    SplitKeyPolynomial,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.conversion import as_requested
from kmipkit_server.keys.material import key_bytes
from kmipkit_server.objects import creation
from kmipkit_server.objects.access import load
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.extractable import require_extractable
from kmipkit_server.objects.foreign_values import require_storable
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.protection import inherited_protection
from kmipkit_server.objects.protection_storage import require_storage
from kmipkit_server.operations.create import raw_key, secret_block

_SPLITTABLE = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.PRIVATE_KEY, ObjectType.SECRET_DATA})

MAX_BYTES_OF_PARTS = 4 << 20
"""Bytes in all parts of a key, at most."""

_KEY_ATTRIBUTES = (
    Tag.CRYPTOGRAPHIC_ALGORITHM,
    Tag.CRYPTOGRAPHIC_LENGTH,
    Tag.CRYPTOGRAPHIC_USAGE_MASK,
)
"""Attributes that the parts take from the key: "If the attributes supplied in the request do not
match those of the key supplied, the attributes of the key take precedence" (KMIP 1.4 §4.38)."""


def _source(
    call: Call, request: CreateSplitKeyRequest, requested: Attributes
) -> tuple[bytes, Attributes]:
    """The secret to split, of an object or a new one, and the attributes of the parts."""
    if request.unique_identifier is None:
        algorithm = CryptographicAlgorithm(requested.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or 0)
        bits = requested.get(Tag.CRYPTOGRAPHIC_LENGTH) or 0
        return call.remember(generate_key, algorithm, bits, call.random), requested
    managed = load(call, request.unique_identifier)
    if managed.object_type not in _SPLITTABLE:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            "only Symmetric Keys, Private Keys and Secret Data can be split,"
            f" not {title_with_article(managed.object_type)}",
        )
    _require_splittable(managed)
    return key_bytes(managed), _with_key_attributes(managed, requested)


def _require_splittable(managed: Managed) -> None:
    """Refuse a key whose parts must not leave the server, or are of no use.

    Whoever gets enough parts has the key: splitting must not be a way around Extractable. The parts
    of a compromised key would be new objects that do not show it.
    """
    if managed.state is State.COMPROMISED:
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"the object is {describe_state(managed.state).lower()}, and so cannot be split",
        )
    # The parts of a sensitive key are sensitive themselves, so they are as good as wrapped.
    require_extractable(managed, wrapped=True)


def _with_key_attributes(managed: Managed, requested: Attributes) -> Attributes:
    """With the attributes of the key, and its protection."""
    own = [
        Attribute(key, managed.get(key), 0)
        for key in _KEY_ATTRIBUTES
        if managed.get(key) is not None
    ]
    attributes = requested.without(*(attribute.key for attribute in own)).plus(*own)
    return inherited_protection(attributes, (managed,), is_copy=True)


def create_split_key(call: Call, request: CreateSplitKeyRequest) -> CreateSplitKeyResponse:
    """Split a key, or a new one, into parts that are objects of their own."""
    if request.object_type is not ObjectType.SPLIT_KEY:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"Create Split Key makes Split Keys, not {title_with_article(request.object_type)}",
        )
    require_storage(request.protection_storage_masks)
    requested = creation.requested_attributes(call, request.attributes, ObjectType.SPLIT_KEY)
    secret, attributes = _source(call, request, requested)
    attributes = creation.with_usage_mask(attributes)
    scheme = splitting.Scheme(
        request.split_key_method,
        request.split_key_parts,
        request.split_key_threshold,
        len(secret),
        request.prime_field_size,
    )
    if scheme.parts * scheme.length > MAX_BYTES_OF_PARTS:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the parts may have {MAX_BYTES_OF_PARTS} bytes in all at most",
            "split_key_bytes",
        )
    shares = call.compute(splitting.split, secret, scheme, call.random, cost=scheme.cost)
    identifiers = []
    polynomial = splitting.POLYNOMIALS.get(scheme.method)
    if polynomial is not None:
        attributes = attributes.without(Tag.SPLIT_KEY_POLYNOMIAL).plus(
            creation.first_instance(Tag.SPLIT_KEY_POLYNOMIAL, polynomial)
        )
    for number, share in enumerate(shares, 1):
        value = SplitKey(
            split_key_parts=scheme.parts,
            key_part_identifier=number,
            split_key_threshold=scheme.threshold,
            split_key_method=scheme.method,
            prime_field_size=scheme.prime,
            # The length is that of the secret, which joining needs: a share may be longer.
            key_block=raw_key(share, attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM), 8 * len(secret)),
        )
        value = as_requested(value, attributes)
        part = creation.create(
            call, ObjectType.SPLIT_KEY, value, attributes, derived_attributes(value), generated=True
        )
        identifiers.append(part.id)
    return CreateSplitKeyResponse(unique_identifiers=tuple(identifiers))


def _polynomial(managed: Managed) -> SplitKeyPolynomial | None:
    """The polynomial of a part in a binary field; None for the usual one.

    Before Split Key Polynomial, this server generated parts with that of FIPS 197. It also is the
    only one that sets Random Number Generator.
    """
    polynomial = managed.get(Tag.SPLIT_KEY_POLYNOMIAL)
    if isinstance(polynomial, SplitKeyPolynomial):
        return polynomial
    is_generated = managed.get(Tag.RANDOM_NUMBER_GENERATOR) is not None
    return SplitKeyPolynomial.POLYNOMIAL_283 if is_generated else None


def _scheme(parts: list[tuple[SplitKey, SplitKeyPolynomial | None]]) -> splitting.Scheme:
    """The scheme of the split, the same in all parts; Invalid Field if the parts differ in it.

    Shares of different keys join to a wrong secret without any error; that their schemes differ is
    the only sign of it.
    """
    schemes = {
        splitting.Scheme(
            part.split_key_method,
            part.split_key_parts,
            part.split_key_threshold,
            (part.key_block.cryptographic_length or 0) // 8,
            part.prime_field_size,
            polynomial or splitting.POLYNOMIALS.get(part.split_key_method),
        )
        for part, polynomial in parts
    }
    if len(schemes) != 1:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the parts differ in method, threshold, number of parts, length or prime field size:"
            " they are not parts of the same key",
        )
    return schemes.pop()


def join_split_key(call: Call, request: JoinSplitKeyRequest) -> JoinSplitKeyResponse:
    """Reconstruct a key or secret data from its parts."""
    objects: list[Managed] = []
    parts: list[SplitKey] = []
    shares: dict[int, bytes] = {}
    for identifier in request.unique_identifiers:
        managed = load(call, identifier)
        value = managed.object
        if not isinstance(value, SplitKey):
            raise OperationError(
                ResultReason.INVALID_OBJECT_TYPE,
                f"only Split Keys can be joined, not {title_with_article(managed.object_type)}",
            )
        objects.append(managed)
        parts.append(value)
        shares[value.key_part_identifier] = key_bytes(managed)
    scheme = _scheme([(part, _polynomial(each)) for part, each in zip(parts, objects, strict=True)])
    secret = call.compute(splitting.join, shares, scheme, cost=scheme.cost)
    require_storage(request.protection_storage_masks)
    require_storable(request.secret_data_type, call.version)
    attributes = creation.requested_attributes(call, request.attributes, request.object_type)
    value = as_requested(_joined_object(call, request, secret, parts[0], attributes), attributes)
    attributes = creation.with_usage_mask(attributes)
    attributes = inherited_protection(attributes, objects, is_copy=True)
    managed = creation.create(
        call, request.object_type, value, attributes, derived_attributes(value)
    )
    return JoinSplitKeyResponse(unique_identifier=managed.id)


def _joined_object(
    call: Call, request: JoinSplitKeyRequest, secret: bytes, part: SplitKey, attributes: Attributes
) -> SymmetricKey | SecretData:
    block = part.key_block
    if request.object_type is ObjectType.SYMMETRIC_KEY:
        algorithm = attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM) or block.cryptographic_algorithm
        bits = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH) or block.cryptographic_length
        return SymmetricKey(key_block=raw_key(secret, algorithm, bits or 8 * len(secret)))
    if request.object_type is ObjectType.SECRET_DATA:
        return SecretData(
            secret_data_type=request.secret_data_type or SecretDataType.PASSWORD,
            key_block=secret_block(secret, call.version),
        )
    raise OperationError(
        ResultReason.INVALID_OBJECT_TYPE,
        "Join Split Key makes Symmetric Keys and Secret Data,"
        f" not {title_with_article(request.object_type)}",
    )
