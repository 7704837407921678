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

_WITH_BYTES = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA})


def _begun(managed: Managed, request: MACRequest | MACVerifyRequest) -> macs.Context:
    if managed.object_type not in _WITH_BYTES:
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE, "only Symmetric Keys and Secret Data make MACs"
        )
    return macs.begin(
        key_bytes(managed),
        managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM),
        parameters_of(managed, request.cryptographic_parameters),
    )


def mac(call: Call, request: MACRequest) -> MACResponse:
    """Make a code with an Active key whose mask has MAC Generate."""
    managed, state = load_for_use(call, request)
    require_use(call, managed, MAC_GENERATE)
    context: macs.Context = state or _begun(managed, request)
    data = call.part_data(request)
    context.update(data)
    code = call.returns_data(context.finalize()) if is_last(request) else None
    following = call.suspend(request, context, managed.id)
    allocate(call, managed, len(data), objects=0 if state else 1)
    return MACResponse(
        unique_identifier=call.returns(managed.id), mac_data=code, correlation_value=following
    )


def mac_verify(call: Call, request: MACVerifyRequest) -> MACVerifyResponse:
    """Verify a code, which may come with any part."""
    managed, state = load_for_use(call, request)
    require_use(call, managed, MAC_VERIFY)
    context, code = state or (_begun(managed, request), None)
    context.update(call.part_data(request))
    code = request.mac_data if request.mac_data is not None else code
    verdict = None
    if is_last(request):
        if code is None:
            raise OperationError(ResultReason.INVALID_FIELD, "MAC Data is missing")
        valid = compare_digest(context.finalize(), code)
        verdict = ValidityIndicator.VALID if valid else ValidityIndicator.INVALID
    return MACVerifyResponse(
        unique_identifier=call.returns(managed.id),
        validity_indicator=verdict,
        correlation_value=call.suspend(request, (context, code), managed.id),
    )


def hash_(call: Call, request: HashRequest) -> HashResponse:
    """Digest data; no key is needed."""
    state = call.resume(request).context if request.correlation_value is not None else None
    context: hashes.Hash = state or _begun_hash(request)
    context.update(call.part_data(request))
    digest = call.returns_data(context.finalize()) if is_last(request) else None
    return HashResponse(data=digest, correlation_value=call.suspend(request, context))


def _begun_hash(request: HashRequest) -> hashes.Hash:
    algorithm = request.cryptographic_parameters.hashing_algorithm
    if algorithm is None:
        raise OperationError(
            ResultReason.BAD_CRYPTOGRAPHIC_PARAMETERS,
            "bad Cryptographic Parameters: Hash needs a Hashing Algorithm",
        )
    return hashes.Hash(hash_of(algorithm))
