"""Encrypt and Decrypt with keys that stay on the server (KMIP 1.4 §4.29, §4.30; 2.1 §6.1.17, .11)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.keys import cipher, rsa
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
from kmipkit_server.material import key_bytes, rsa_private_key, rsa_public_key
from kmipkit_server.registry import operation
from kmipkit_server.usage import allocate


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


def _parameters(managed: Managed, asked: CryptographicParameters | None) -> Parameters:
    """Omitted parameters are those of the key, the first instance of them (KMIP 1.4 §4.29)."""
    given = asked or managed.get(Tag.CRYPTOGRAPHIC_PARAMETERS)
    return Parameters.of(given) if given is not None else Parameters()


def _algorithm(managed: Managed) -> CryptographicAlgorithm:
    algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if algorithm is None:
        raise OperationError(
            ResultReason.ILLEGAL_OPERATION, "the key has no Cryptographic Algorithm"
        )
    return CryptographicAlgorithm(algorithm)


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


def _encrypt_symmetric(
    call: Call, managed: Managed, parameters: Parameters, request: EncryptRequest
) -> cipher.Encrypted:
    return cipher.encrypt(
        key_bytes(managed),
        _algorithm(managed),
        parameters,
        _data(request),
        iv=request.iv_counter_nonce,
        additional_data=request.authenticated_encryption_additional_data or b"",
        random=call.facts.random,
    )


def _encrypt_rsa(
    call: Call, managed: Managed, parameters: Parameters, request: EncryptRequest
) -> cipher.Encrypted:
    del call  # the padding draws from the library's generator
    key = rsa_public_key(managed)
    return cipher.Encrypted(data=rsa.encrypt(key, parameters, _data(request)))


def _decrypt_symmetric(managed: Managed, parameters: Parameters, request: DecryptRequest) -> bytes:
    return cipher.decrypt(
        key_bytes(managed),
        _algorithm(managed),
        parameters,
        _data(request),
        iv=request.iv_counter_nonce,
        additional_data=request.authenticated_encryption_additional_data or b"",
        tag=request.authenticated_encryption_tag,
    )


def _decrypt_rsa(managed: Managed, parameters: Parameters, request: DecryptRequest) -> bytes:
    return rsa.decrypt(rsa_private_key(managed), parameters, _data(request))


Encrypter = Callable[[Call, Managed, Parameters, EncryptRequest], cipher.Encrypted]
Decrypter = Callable[[Managed, Parameters, DecryptRequest], bytes]

ENCRYPTERS: Mapping[ObjectType, Encrypter] = MappingProxyType(
    {ObjectType.SYMMETRIC_KEY: _encrypt_symmetric, ObjectType.PUBLIC_KEY: _encrypt_rsa}
)
DECRYPTERS: Mapping[ObjectType, Decrypter] = MappingProxyType(
    {ObjectType.SYMMETRIC_KEY: _decrypt_symmetric, ObjectType.PRIVATE_KEY: _decrypt_rsa}
)


def _require_kind(managed: Managed, table: Mapping[ObjectType, object], word: str) -> None:
    if managed.object_type not in table:
        names = " and ".join(f"{kind.name.replace('_', ' ').title()}s" for kind in table)
        raise OperationError(ResultReason.ILLEGAL_OBJECT_TYPE, f"only {names} {word}")


@operation(Operation.ENCRYPT, writes=False)
def encrypt(call: Call, request: EncryptRequest) -> EncryptResponse:
    """Encrypt with an Active key whose mask has Encrypt."""
    managed = call.load(request.unique_identifier)
    _require_kind(managed, ENCRYPTERS, "encrypt")
    _require_permission(managed, CryptographicUsageMask.ENCRYPT, "encrypt")
    stop = managed.get(Tag.PROTECT_STOP_DATE)
    usable = may_protect(managed.state, call.now, protect_stop_date=stop)
    _require_state(managed, allowed=usable, word="encrypt")
    parameters = _parameters(managed, request.cryptographic_parameters)
    result = ENCRYPTERS[managed.object_type](call, managed, parameters, request)
    allocate(call, managed, len(_data(request)))
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
    _require_kind(managed, DECRYPTERS, "decrypt")
    _require_permission(managed, CryptographicUsageMask.DECRYPT, "decrypt")
    start = managed.get(Tag.PROCESS_START_DATE)
    usable = may_process(managed.state, call.now, process_start_date=start)
    _require_state(managed, allowed=usable, word="decrypt")
    parameters = _parameters(managed, request.cryptographic_parameters)
    data = DECRYPTERS[managed.object_type](managed, parameters, request)
    return DecryptResponse(unique_identifier=call.returned(managed.id), data=data)
