"""Sign and Signature Verify (KMIP 1.4 §4.31, §4.32; KMIP 2.1 §6.1.55, §6.1.56)."""

from kmipkit.errors import OperationError
from kmipkit.keys import signatures
from kmipkit.model.payloads.crypto import (
    SignatureVerifyRequest,
    SignatureVerifyResponse,
    SignRequest,
    SignResponse,
)
from kmipkit.spec.enums import ResultReason, ValidityIndicator
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.multipart import is_last, is_part
from kmipkit_server.keys import material
from kmipkit_server.keys.material import private_key, public_key
from kmipkit_server.objects.access import load_for_use
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.usage import (
    SIGN,
    VERIFY,
    Use,
    allocate,
    permitted_parameters,
    require_use,
)


def _begin(
    call: Call,
    managed: Managed,
    key: object,
    request: SignRequest | SignatureVerifyRequest,
    use: Use,
) -> signatures.Signer:
    if request.digested_data is not None and (request.data is not None or is_part(request)):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "Digested Data replaces Data, and needs a request of a single part",
        )
    parameters = permitted_parameters(call, managed, request.cryptographic_parameters, use)
    scheme = signatures.scheme(key, parameters)
    return signatures.Signer(scheme, digested=request.digested_data)


def _update(
    call: Call, signer: signatures.Signer, request: SignRequest | SignatureVerifyRequest
) -> int:
    """Give the signer the data of this request; the size of the data."""
    if request.digested_data is not None:
        return len(request.digested_data)
    data = call.part_data(request)
    if is_part(request):
        signer.update(data)
    else:
        material.take(call, signer, data)
    return len(data)


def sign(call: Call, request: SignRequest) -> SignResponse:
    """Sign with an Active private key whose usage mask has Sign."""
    managed, state = load_for_use(call, request)
    require_use(call, managed, SIGN)
    key = private_key(call, managed)
    signer = state or _begin(call, managed, key, request, SIGN)
    size = _update(call, signer, request)
    signature = None
    if is_last(request):
        signature = call.returns_data(material.sign(call, managed, key, signer))
    correlation_value = call.suspend(request, signer, managed.id)
    allocate(call, managed, size, objects=0 if state else 1)
    return SignResponse(
        unique_identifier=call.returns(managed.id),
        signature_data=signature,
        correlation_value=correlation_value,
    )


def signature_verify(call: Call, request: SignatureVerifyRequest) -> SignatureVerifyResponse:
    """Verify with a public key or certificate; the signature may come with any of several parts."""
    managed, state = load_for_use(call, request)
    require_use(call, managed, VERIFY)
    key = public_key(managed)
    signer, signature = state or (_begin(call, managed, key, request, VERIFY), None)
    _update(call, signer, request)
    signature = request.signature_data if request.signature_data is not None else signature
    validity = None
    if is_last(request):
        if signature is None:
            raise OperationError(ResultReason.INVALID_FIELD, "Signature Data is missing")
        is_valid = material.verify(call, key, signer, signature)
        validity = ValidityIndicator.VALID if is_valid else ValidityIndicator.INVALID
    return SignatureVerifyResponse(
        unique_identifier=call.returns(managed.id),
        validity_indicator=validity,
        correlation_value=call.suspend(request, (signer, signature), managed.id),
    )
