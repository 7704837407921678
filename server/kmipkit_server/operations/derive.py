"""Derive Key (KMIP 1.4 §4.6, KMIP 2.1 §6.1.14)."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.keys import derivation, effective
from kmipkit.keys.describe import symmetric_length
from kmipkit.keys.parameters import Parameters
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Link
from kmipkit.model.objects import SecretData, SymmetricKey
from kmipkit.model.payloads.rekey import DeriveKeyRequest, DeriveKeyResponse
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    LinkType,
    ObjectType,
    ResultReason,
    SecretDataType,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit.spec.versions import Version
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.conversion import as_requested
from kmipkit_server.keys.material import agree, key_bytes
from kmipkit_server.objects import algorithms, creation
from kmipkit_server.objects.access import load, load_for_change, save
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed, add_instance
from kmipkit_server.objects.protection import inherited_protection, limits_derived
from kmipkit_server.objects.usage import (
    DERIVE_KEY,
    allocate,
    parameters_of,
    require_match,
    require_use,
)
from kmipkit_server.operations.create import raw_key, secret_block


def _key(data: bytes, algorithm: CryptographicAlgorithm | None, _version: Version) -> SymmetricKey:
    if algorithm is None:
        raise OperationError(
            ResultReason.INVALID_FIELD, "a derived key needs a Cryptographic Algorithm"
        )
    return SymmetricKey(key_block=raw_key(data, algorithm, symmetric_length(len(data), algorithm)))


def _secret(data: bytes, algorithm: CryptographicAlgorithm | None, version: Version) -> SecretData:
    del algorithm  # Secret Data has none
    return SecretData(secret_data_type=SecretDataType.SEED, key_block=secret_block(data, version))


MAKERS: Mapping[
    ObjectType,
    Callable[[bytes, CryptographicAlgorithm | None, Version], SymmetricKey | SecretData],
] = MappingProxyType({ObjectType.SYMMETRIC_KEY: _key, ObjectType.SECRET_DATA: _secret})


def derive_key(call: Call, request: DeriveKeyRequest) -> DeriveKeyResponse:
    """Derive a key or secret data, and link it with the objects that it is derived from."""
    make = MAKERS.get(request.object_type)
    if make is None:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            "Derive Key makes Symmetric Keys and Secret Data,"
            f" not {title_with_article(request.object_type)}",
        )
    bases = [load_for_change(call, identifier) for identifier in request.unique_identifiers]
    for base in bases:
        require_use(call, base, DERIVE_KEY)
    attributes = creation.requested_attributes(call, request.attributes, request.object_type)
    limits = [base for base in bases if limits_derived(base)]
    attributes = inherited_protection(attributes, bases, is_copy=True, limits=limits)
    data = _derive(call, bases, request, _length(attributes))
    value = make(data, attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM), call.version)
    value = as_requested(value, attributes)
    # The identifier is needed before the object exists: both ends get a Link (KMIP 1.4 §4.6).
    identifier = creation.new_identifier(call)
    for base in bases:
        _link_to_derived(call, base, identifier)
        # Loaded again, since the Link was just saved, and an older copy would overwrite it.
        allocate(call, load(call, base.id), len(data))
    links = [
        Attribute(
            Tag.LINK,
            Link(link_type=LinkType.DERIVATION_BASE_OBJECT_LINK, linked_object_identifier=base.id),
        )
        for base in bases
    ]
    managed = creation.create(
        call,
        request.object_type,
        value,
        attributes.plus(*links),
        derived_attributes(value),
        generated=True,
        identifier=identifier,
    )
    return DeriveKeyResponse(unique_identifier=managed.id)


def _length(attributes: Attributes) -> int:
    """The bytes to derive: "the client SHALL specify the desired length" (KMIP 1.4 §4.6)."""
    bits = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH)
    if not isinstance(bits, int) or bits <= 0 or bits % 8 or bits > creation.MAX_SECRET_BITS:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Derive Key needs a Cryptographic Length of 8 to {creation.MAX_SECRET_BITS} bits, a"
            " multiple of 8",
        )
    return bits // 8


def _derive(call: Call, bases: Sequence[Managed], request: DeriveKeyRequest, length: int) -> bytes:
    if request.derivation_method == DerivationMethod.ASYMMETRIC_KEY:
        return derivation.first_bytes(_agree(call, bases), length)
    parameters = request.derivation_parameters
    key, data = _sources(bases, parameters.derivation_data)
    # "If a key is derived using HMAC, then [...] the Cryptographic Parameters are ignored" (§4.6).
    if key is not None and request.derivation_method != DerivationMethod.HMAC:
        require_match(key, parameters.cryptographic_parameters)
    algorithm = key.get(Tag.CRYPTOGRAPHIC_ALGORITHM) if key is not None else None
    used = (
        parameters_of(key, parameters.cryptographic_parameters)
        if key is not None
        else Parameters.of(parameters.cryptographic_parameters)
    )
    method = request.derivation_method
    algorithms.require_parameters(
        call, key, effective.derived(method, algorithm, used), protects=True
    )
    inputs = derivation.Inputs(
        key=key_bytes(key) if key is not None else None,
        algorithm=algorithm,
        data=data,
        parameters=used,
        iv=parameters.initialization_vector,
        salt=parameters.salt,
        iterations=parameters.iteration_count,
        length=length,
        random=call.random,
    )
    return call.compute(derivation.derive, method, inputs, cost=derivation.cost(method, inputs))


def _sources(
    bases: Sequence[Managed], data: tuple[bytes, ...]
) -> tuple[Managed | None, tuple[bytes, ...]]:
    """The derivation key, and the derivation data.

    The standard gives the identifiers no roles. Here the first one is the derivation key, and the
    Secret Data objects after it hold the data: "Derivation data MAY either be explicitly provided
    by the client with the Derivation Data field or implicitly provided by providing the Unique
    Identifier of a Secret Data object. If both are provided, then an error SHALL be returned"
    (KMIP 1.4 §4.6).
    """
    key, *others = bases
    secrets = [base for base in others if base.object_type is ObjectType.SECRET_DATA]
    if len(others) != len(secrets):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the method derives from one key; all further objects must be Secret Data",
        )
    if secrets and data:
        raise OperationError(
            ResultReason.INVALID_MESSAGE,
            "give either Derivation Data or a Secret Data object, not both",
        )
    return key, data or tuple(key_bytes(secret) for secret in secrets)


def _agree(call: Call, bases: Sequence[Managed]) -> bytes:
    """The shared secret of a private key and another party's public key, in either order."""
    by_type = {base.object_type: base for base in bases}
    private = by_type.get(ObjectType.PRIVATE_KEY)
    public = by_type.get(ObjectType.PUBLIC_KEY)
    if private is None or public is None or len(bases) != 2:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the Derivation Method Asymmetric Key needs one Private Key and one Public Key",
        )
    return agree(call, private, public)


def _link_to_derived(call: Call, base: Managed, identifier: str) -> None:
    link = Link(link_type=LinkType.DERIVED_KEY_LINK, linked_object_identifier=identifier)
    attributes, _ = add_instance(base.attributes, Tag.LINK, link)
    save(call, base, base.with_attributes(attributes))
