"""Encrypt and Decrypt with keys that stay on the server.

KMIP 1.4 §4.29 and §4.30, KMIP 2.1 §6.1.17 and §6.1.11.

Since 1.4, the tag of GCM, CCM and ChaCha20-Poly1305 has a field of its own. KMIP 1.2 and 1.3 have these
modes and the parameter Tag Length (KMIP 1.2 §3.6), but no field: there, the tag follows the data, as
in NIST SP 800-38C and in the output of most libraries.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.keys import cipher, costs, rsa, streaming
from kmipkit.keys.parameters import Parameters
from kmipkit.model.payloads.crypto import (
    DecryptRequest,
    DecryptResponse,
    EncryptRequest,
    EncryptResponse,
)
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    ObjectType,
    ResultReason,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.multipart import is_last, is_part
from kmipkit_server.engine.settings import Random
from kmipkit_server.keys.material import (
    key_bytes,
    rsa_public_key,
    use_public_key,
    use_rsa_private_key,
)
from kmipkit_server.objects.access import load_for_use
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.usage import (
    DECRYPT,
    ENCRYPT,
    allocate,
    oaep_parameters,
    permitted_parameters,
    require_use,
)
from kmipkit_server.operations.prepared_ciphers import note_decryption, note_encryption


def _algorithm(managed: Managed) -> CryptographicAlgorithm:
    algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    if algorithm is None:
        raise OperationError(
            ResultReason.ILLEGAL_OPERATION, "the key has no Cryptographic Algorithm"
        )
    return CryptographicAlgorithm(algorithm)


def _encrypt(
    key: bytes,
    algorithm: CryptographicAlgorithm,
    parameters: Parameters,
    data: bytes,
    iv: bytes | None,
    additional_data: bytes,
    random: Random,
) -> cipher.Encrypted:
    return cipher.encrypt(
        key, algorithm, parameters, data, iv=iv, additional_data=additional_data, random=random
    )


def _decrypt(
    key: bytes,
    algorithm: CryptographicAlgorithm,
    parameters: Parameters,
    data: bytes,
    iv: bytes | None,
    additional_data: bytes,
    tag: bytes | None,
) -> bytes:
    return cipher.decrypt(
        key, algorithm, parameters, data, iv=iv, additional_data=additional_data, tag=tag
    )


def _encrypt_symmetric(
    call: Call, managed: Managed, parameters: Parameters, request: EncryptRequest
) -> cipher.Encrypted:
    algorithm, data = _algorithm(managed), call.data(request.data)
    return call.compute(
        _encrypt,
        key_bytes(managed),
        algorithm,
        parameters,
        data,
        request.iv_counter_nonce,
        request.authenticated_encryption_additional_data or b"",
        call.random,
        cost=costs.encryption(algorithm, len(data)),
    )


def _encrypt_rsa(
    call: Call, managed: Managed, parameters: Parameters, request: EncryptRequest
) -> cipher.Encrypted:
    key, data = rsa_public_key(managed), call.data(request.data)
    parameters = oaep_parameters(call, parameters)
    return cipher.Encrypted(data=use_public_key(call, key, rsa.encrypt, parameters, data))


def _decrypt_symmetric(
    call: Call, managed: Managed, parameters: Parameters, request: DecryptRequest
) -> bytes:
    algorithm, data = _algorithm(managed), call.data(request.data)
    tag = request.authenticated_encryption_tag
    if _tag_follows(call, request):
        data, tag = cipher.detach_tag(algorithm, parameters, data)
    return call.compute(
        _decrypt,
        key_bytes(managed),
        algorithm,
        parameters,
        data,
        request.iv_counter_nonce,
        request.authenticated_encryption_additional_data or b"",
        tag,
        cost=costs.encryption(algorithm, len(data)),
    )


def _decrypt_rsa(
    call: Call, managed: Managed, parameters: Parameters, request: DecryptRequest
) -> bytes:
    parameters = oaep_parameters(call, parameters)
    return use_rsa_private_key(call, managed, rsa.decrypt, parameters, call.data(request.data))


Encrypter = Callable[[Call, Managed, Parameters, EncryptRequest], cipher.Encrypted]
Decrypter = Callable[[Call, Managed, Parameters, DecryptRequest], bytes]

ENCRYPTERS: Mapping[ObjectType, Encrypter] = MappingProxyType(
    {
        ObjectType.SYMMETRIC_KEY: _encrypt_symmetric,
        ObjectType.SECRET_DATA: _encrypt_symmetric,
        ObjectType.PUBLIC_KEY: _encrypt_rsa,
    }
)
DECRYPTERS: Mapping[ObjectType, Decrypter] = MappingProxyType(
    {
        ObjectType.SYMMETRIC_KEY: _decrypt_symmetric,
        ObjectType.SECRET_DATA: _decrypt_symmetric,
        ObjectType.PRIVATE_KEY: _decrypt_rsa,
    }
)


def _has_tag_field(call: Call) -> bool:
    return Tag.AUTHENTICATED_ENCRYPTION_TAG.known_in(call.version)


def _tag_follows(call: Call, request: DecryptRequest) -> bool:
    """Whether the tag is the end of the data: before 1.4, unless the client sends the field of 1.4."""
    return request.authenticated_encryption_tag is None and not _has_tag_field(call)


def _require_object_type(managed: Managed, table: Mapping[ObjectType, object], action: str) -> None:
    if managed.object_type not in table:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"an object of type {title(managed.object_type)} cannot {action}",
        )


def _require_multipart(managed: Managed) -> None:
    if managed.object_type is not ObjectType.SYMMETRIC_KEY:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED,
            "only a Symmetric Key can process data in several parts",
        )


def _encrypt_part(
    call: Call,
    managed: Managed,
    state: streaming.Encryption | None,
    request: EncryptRequest,
) -> tuple[cipher.Encrypted, bytes | None]:
    """Encrypt one of several parts; the result, and the Correlation Value for the next part."""
    _require_multipart(managed)
    encryption = state or streaming.Encryption(
        key_bytes(managed),
        _algorithm(managed),
        permitted_parameters(call, managed, request.cryptographic_parameters, ENCRYPT),
        iv=request.iv_counter_nonce,
        additional_data=request.authenticated_encryption_additional_data or b"",
        random=call.random,
    )
    data = call.part_data(request)
    result = encryption.finish(data) if is_last(request) else encryption.update(data)
    return result, call.suspend(request, encryption, managed.id)


def _decryption(call: Call, managed: Managed, request: DecryptRequest) -> streaming.Decryption:
    """A decryption that begins with this part."""
    algorithm = _algorithm(managed)
    parameters = permitted_parameters(call, managed, request.cryptographic_parameters, DECRYPT)
    follows = _tag_follows(call, request)
    return streaming.Decryption(
        key_bytes(managed),
        algorithm,
        parameters,
        iv=request.iv_counter_nonce,
        additional_data=request.authenticated_encryption_additional_data or b"",
        tag=request.authenticated_encryption_tag,
        tag_length=cipher.attached_tag_length(algorithm, parameters) if follows else 0,
    )


def _decrypt_part(
    call: Call,
    managed: Managed,
    state: streaming.Decryption | None,
    request: DecryptRequest,
) -> tuple[bytes, bytes | None]:
    """Decrypt one of several parts; the result, and the Correlation Value for the next part."""
    _require_multipart(managed)
    decryption = state or _decryption(call, managed, request)
    data = call.part_data(request)
    result = decryption.finish(data) if is_last(request) else decryption.update(data)
    return result, call.suspend(request, decryption, managed.id)


def encrypt(call: Call, request: EncryptRequest) -> EncryptResponse:
    """Encrypt with an Active key whose usage mask has Encrypt."""
    managed, state = load_for_use(call, request)
    _require_object_type(managed, ENCRYPTERS, "encrypt")
    require_use(call, managed, ENCRYPT)
    correlation_value = None
    if is_part(request):
        result, correlation_value = _encrypt_part(call, managed, state, request)
    else:
        parameters = permitted_parameters(call, managed, request.cryptographic_parameters, ENCRYPT)
        result = ENCRYPTERS[managed.object_type](call, managed, parameters, request)
        attaches_tag = not _has_tag_field(call)
        note_encryption(call, managed, request, parameters, result, attaches_tag=attaches_tag)
    allocate(call, managed, len(call.part_data(request)), objects=0 if state else 1)
    if not _has_tag_field(call):
        result = result.with_attached_tag()
    return EncryptResponse(
        unique_identifier=call.returns(managed.id),
        data=_unless_empty(call.returns_data(result.data), request),
        iv_counter_nonce=result.iv,
        correlation_value=correlation_value,
        authenticated_encryption_tag=result.tag,
    )


def decrypt(call: Call, request: DecryptRequest) -> DecryptResponse:
    """Decrypt with a key whose usage mask has Decrypt.

    Deactivated and compromised keys still decrypt (KMIP 1.4 §3.22).
    """
    managed, state = load_for_use(call, request)
    _require_object_type(managed, DECRYPTERS, "decrypt")
    require_use(call, managed, DECRYPT)
    correlation_value = None
    if is_part(request):
        data, correlation_value = _decrypt_part(call, managed, state, request)
    else:
        parameters = permitted_parameters(call, managed, request.cryptographic_parameters, DECRYPT)
        data = DECRYPTERS[managed.object_type](call, managed, parameters, request)
        tag_follows = _tag_follows(call, request)
        note_decryption(call, managed, request, parameters, data, tag_follows=tag_follows)
    return DecryptResponse(
        unique_identifier=call.returns(managed.id),
        data=_unless_empty(call.returns_data(data), request),
        correlation_value=correlation_value,
    )


def _unless_empty(data: bytes | None, request: EncryptRequest | DecryptRequest) -> bytes | None:
    """None for a part without output: its response has no Data. A single-part response always has."""
    return data if data or not is_part(request) else None
