"""Encrypt and Decrypt with keys that stay on the server (KMIP 1.4 §4.29, §4.30; 2.1 §6.1.17, .11)."""

from dataclasses import dataclass

from kmipkit.errors import OperationError
from kmipkit.keys import cipher
from kmipkit.keys.parameters import Parameters
from kmipkit.lifecycle import describe_state, may_process, may_protect
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.payloads.crypto import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
)
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    ResultReason,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.call import Call
from kmipkit_server.managed import Managed
from kmipkit_server.material import key_bytes
from kmipkit_server.registry import operation
from kmipkit_server.usage import allocate


@dataclass(frozen=True, slots=True)
class Key:
    """A symmetric key in use."""

    managed: Managed
    data: bytes
    algorithm: CryptographicAlgorithm
    parameters: Parameters


def _require_permission(managed: Managed, use: CryptographicUsageMask, word: str) -> None:
    mask = managed.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0)
    if use not in mask:
        raise OperationError(
            ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK, f"the key is not meant to {word}"
        )


def _require_state(managed: Managed, *, allowed: bool, word: str) -> None:
    if not allowed:
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"the key is {describe_state(managed.state)} and may not be used to {word} now",
        )


def _key(managed: Managed, asked: CryptographicParameters | None) -> Key:
    if managed.object_type is not ObjectType.SYMMETRIC_KEY:
        raise OperationError(
            ResultReason.ILLEGAL_OBJECT_TYPE, "only symmetric keys encrypt and decrypt here"
        )
    # Omitted parameters are those of the key, the first instance of them (KMIP 1.4 §4.29).
    given = asked or managed.get(Tag.CRYPTOGRAPHIC_PARAMETERS)
    parameters = Parameters.of(given) if given is not None else Parameters()
    algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if algorithm is None:
        raise OperationError(
            ResultReason.ILLEGAL_OPERATION, "the key has no Cryptographic Algorithm"
        )
    return Key(managed, key_bytes(managed), algorithm, parameters)


def _data(request: EncryptRequest | DecryptRequest) -> bytes:
    """The data of a single-part request; streams and references are refused, not misread."""
    streaming = (request.correlation_value, request.init_indicator, request.final_indicator)
    if any(part is not None for part in streaming):
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, "operations in several parts are not supported"
        )
    if request.data is None:
        raise OperationError(ResultReason.INVALID_FIELD, "Data is missing")
    if not isinstance(request.data, bytes):
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, "Data cannot refer to another batch item"
        )
    return request.data


@operation(Operation.ENCRYPT, writes=False)
def encrypt(call: Call, request: EncryptRequest) -> EncryptResponse:
    """Encrypt with an Active key whose mask has Encrypt."""
    managed = call.load(request.unique_identifier)
    _require_permission(managed, CryptographicUsageMask.ENCRYPT, "encrypt")
    stop = managed.get(Tag.PROTECT_STOP_DATE)
    usable = may_protect(managed.state, call.now, protect_stop_date=stop)
    _require_state(managed, allowed=usable, word="encrypt")
    key, data = _key(managed, request.cryptographic_parameters), _data(request)
    result = cipher.encrypt(
        key.data,
        key.algorithm,
        key.parameters,
        data,
        iv=request.iv_counter_nonce,
        additional_data=request.authenticated_encryption_additional_data or b"",
        random=call.facts.random,
    )
    allocate(call, managed, len(data))
    return EncryptResponse(
        unique_identifier=call.returned(managed.id),
        data=result.data,
        iv_counter_nonce=result.iv,
        authenticated_encryption_tag=result.tag,
    )


@operation(Operation.DECRYPT, writes=False)
def decrypt(call: Call, request: DecryptRequest) -> DecryptResponse:
    """Decrypt with a key whose mask has Decrypt; old keys may still decrypt (KMIP 1.4 §3.22)."""
    managed = call.load(request.unique_identifier)
    _require_permission(managed, CryptographicUsageMask.DECRYPT, "decrypt")
    start = managed.get(Tag.PROCESS_START_DATE)
    usable = may_process(managed.state, call.now, process_start_date=start)
    _require_state(managed, allowed=usable, word="decrypt")
    key = _key(managed, request.cryptographic_parameters)
    data = cipher.decrypt(
        key.data,
        key.algorithm,
        key.parameters,
        _data(request),
        iv=request.iv_counter_nonce,
        additional_data=request.authenticated_encryption_additional_data or b"",
        tag=request.authenticated_encryption_tag,
    )
    return DecryptResponse(unique_identifier=call.returned(managed.id), data=data)
