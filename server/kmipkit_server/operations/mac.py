"""MAC, MAC Verify and Hash (KMIP 1.4 §4.33, §4.34, §4.37; KMIP 2.1 §6.1.32, §6.1.33, §6.1.24)."""

from hmac import compare_digest

from cryptography.hazmat.primitives import hashes

from kmipkit.errors import OperationError
from kmipkit.keys import costs, macs
from kmipkit.keys.hashes import digest, hash_of
from kmipkit.keys.parameters import Parameters
from kmipkit.model.payloads.crypto import (
    HashRequest,
    HashResponse,
    MACRequest,
    MACResponse,
    MACVerifyRequest,
    MACVerifyResponse,
)
from kmipkit.spec.enums import HashingAlgorithm, ObjectType, ResultReason, ValidityIndicator
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.multipart import is_last, is_part
from kmipkit_server.keys.material import key_bytes, mac_of
from kmipkit_server.objects import algorithms
from kmipkit_server.objects.access import load_for_use
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.usage import (
    MAC_GENERATE,
    MAC_VERIFY,
    Use,
    allocate,
    permitted_parameters,
    require_use,
)

_MAC_KEY_TYPES = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA})


def _require_type(managed: Managed) -> None:
    if managed.object_type not in _MAC_KEY_TYPES:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"a MAC needs a Symmetric Key or Secret Data, not {title_with_article(managed.object_type)}",
        )


def _begin(
    call: Call, managed: Managed, request: MACRequest | MACVerifyRequest, use: Use
) -> macs.Context:
    """The code of several parts."""
    _require_type(managed)
    parameters = permitted_parameters(call, managed, request.cryptographic_parameters, use)
    return macs.begin(key_bytes(managed), managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM), parameters)


def _compute(
    call: Call,
    managed: Managed,
    request: MACRequest | MACVerifyRequest,
    data: bytes,
    use: Use,
) -> bytes:
    """The code of a single part."""
    _require_type(managed)
    parameters = permitted_parameters(call, managed, request.cryptographic_parameters, use)
    return mac_of(call, managed, parameters, data)


def mac(call: Call, request: MACRequest) -> MACResponse:
    """Compute a MAC with an Active key whose usage mask has MAC Generate."""
    managed, state = load_for_use(call, request)
    require_use(call, managed, MAC_GENERATE)
    data = call.part_data(request)
    correlation_value = None
    if is_part(request):
        context: macs.Context = state or _begin(call, managed, request, MAC_GENERATE)
        context.update(data)
        mac_data = context.finalize() if is_last(request) else None
        correlation_value = call.suspend(request, context, managed.id)
    else:
        mac_data = _compute(call, managed, request, data, MAC_GENERATE)
    if mac_data is not None:
        call.returns_data(mac_data)
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
    if not is_part(request):
        code = _compute(call, managed, request, call.part_data(request), MAC_VERIFY)
        return MACVerifyResponse(
            unique_identifier=call.returns(managed.id),
            validity_indicator=_validity(code, request.mac_data),
        )
    context, mac_data = state or (_begin(call, managed, request, MAC_VERIFY), None)
    context.update(call.part_data(request))
    mac_data = request.mac_data if request.mac_data is not None else mac_data
    return MACVerifyResponse(
        unique_identifier=call.returns(managed.id),
        validity_indicator=(_validity(context.finalize(), mac_data) if is_last(request) else None),
        correlation_value=call.suspend(request, (context, mac_data), managed.id),
    )


def _validity(code: bytes, expected: bytes | None) -> ValidityIndicator:
    if expected is None:
        raise OperationError(ResultReason.INVALID_FIELD, "MAC Data is missing")
    is_valid = compare_digest(code, expected)
    return ValidityIndicator.VALID if is_valid else ValidityIndicator.INVALID


def hash_(call: Call, request: HashRequest) -> HashResponse:
    """Compute the digest of data; this needs no key."""
    if not is_part(request):
        algorithm, data = _hashing_algorithm(call, request), call.part_data(request)
        cost = costs.hashing(algorithm, len(data))
        return HashResponse(
            data=call.returns_data(call.compute(digest, data, algorithm, cost=cost))
        )
    state = call.resume(request).context if request.correlation_value is not None else None
    context: hashes.Hash = state or hashes.Hash(hash_of(_hashing_algorithm(call, request)))
    context.update(call.part_data(request))
    result = call.returns_data(context.finalize()) if is_last(request) else None
    return HashResponse(data=result, correlation_value=call.suspend(request, context))


def _hashing_algorithm(call: Call, request: HashRequest) -> HashingAlgorithm:
    algorithm = request.cryptographic_parameters.hashing_algorithm
    if algorithm is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "Hash needs a Hashing Algorithm in Cryptographic Parameters",
        )
    algorithm = HashingAlgorithm(algorithm)
    used = Parameters(hashing_algorithm=algorithm)
    algorithms.require_parameters(call, None, used, protects=True)
    return algorithm
