"""MAC, MAC Verify and Hash (KMIP 1.4 §4.33, §4.34, §4.37; KMIP 2.1 §6.1.32, §6.1.33, §6.1.24)."""

from hmac import compare_digest

from cryptography.hazmat.primitives import hashes

from kmipkit.errors import OperationError
from kmipkit.keys import macs
from kmipkit.keys.hashes import hash_of
from kmipkit.model.payloads.crypto import (
    HashRequest,
    HashResponse,
    MACRequest,
    MACResponse,
    MACVerifyRequest,
    MACVerifyResponse,
)
from kmipkit.spec.enums import ObjectType, ResultReason, ValidityIndicator
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.multipart import is_last
from kmipkit_server.keys.material import key_bytes
from kmipkit_server.objects.access import load_for_use
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.usage import (
    MAC_GENERATE,
    MAC_VERIFY,
    allocate,
    parameters_of,
    require_use,
)

_MAC_KEY_TYPES = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA})


def _begin(managed: Managed, request: MACRequest | MACVerifyRequest) -> macs.Context:
    if managed.object_type not in _MAC_KEY_TYPES:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"a MAC needs a Symmetric Key or Secret Data, not {title_with_article(managed.object_type)}",
        )
    return macs.begin(
        key_bytes(managed),
        managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM),
        parameters_of(managed, request.cryptographic_parameters),
    )


def mac(call: Call, request: MACRequest) -> MACResponse:
    """Compute a MAC with an Active key whose usage mask has MAC Generate."""
    managed, state = load_for_use(call, request)
    require_use(call, managed, MAC_GENERATE)
    context: macs.Context = state or _begin(managed, request)
    data = call.part_data(request)
    context.update(data)
    mac_data = call.returns_data(context.finalize()) if is_last(request) else None
    correlation_value = call.suspend(request, context, managed.id)
    allocate(call, managed, len(data), objects=0 if state else 1)
    return MACResponse(
        unique_identifier=call.returns(managed.id),
        mac_data=mac_data,
        correlation_value=correlation_value,
    )


def mac_verify(call: Call, request: MACVerifyRequest) -> MACVerifyResponse:
    """Verify a MAC, which may come with any of several parts."""
    managed, state = load_for_use(call, request)
    require_use(call, managed, MAC_VERIFY)
    context, mac_data = state or (_begin(managed, request), None)
    context.update(call.part_data(request))
    mac_data = request.mac_data if request.mac_data is not None else mac_data
    validity = None
    if is_last(request):
        if mac_data is None:
            raise OperationError(ResultReason.INVALID_FIELD, "MAC Data is missing")
        is_valid = compare_digest(context.finalize(), mac_data)
        validity = ValidityIndicator.VALID if is_valid else ValidityIndicator.INVALID
    return MACVerifyResponse(
        unique_identifier=call.returns(managed.id),
        validity_indicator=validity,
        correlation_value=call.suspend(request, (context, mac_data), managed.id),
    )


def hash_(call: Call, request: HashRequest) -> HashResponse:
    """Compute the digest of data; this needs no key."""
    state = call.resume(request).context if request.correlation_value is not None else None
    context: hashes.Hash = state or _begin_hash(request)
    context.update(call.part_data(request))
    digest = call.returns_data(context.finalize()) if is_last(request) else None
    return HashResponse(data=digest, correlation_value=call.suspend(request, context))


def _begin_hash(request: HashRequest) -> hashes.Hash:
    algorithm = request.cryptographic_parameters.hashing_algorithm
    if algorithm is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "Hash needs a Hashing Algorithm in Cryptographic Parameters",
        )
    return hashes.Hash(hash_of(algorithm))
