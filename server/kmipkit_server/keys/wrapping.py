"""Giving a key wrapped by another key (KMIP 1.4 §2.1.5, §2.1.6, §4.11; KMIP 2.1 §3.3, §7.19).

Encrypted, with a MAC or signature, or both. What is wrapped is the Key Material itself (No Encoding),
or the encoded Key Value structure with the attributes that were asked for (TTLV Encoding, the
default).
"""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kmipkit.errors import OperationError, ProtocolError
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.wrap import unwrap, wrap
from kmipkit.lifecycle import may_process, may_protect
from kmipkit.model.attribute import Attributes
from kmipkit.model.codec import decode, encode
from kmipkit.model.keyblock import (
    EncryptionKeyInformation,
    KeyBlock,
    KeyValue,
    KeyWrappingData,
    KeyWrappingSpecification,
)
from kmipkit.spec.enums import (
    EncodingOption,
    ObjectType,
    ResultReason,
    WrappingMethod,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes, rsa_private_key, rsa_public_key
from kmipkit_server.keys.wrapping_mac import (
    AUTHENTICATING,
    ENCRYPTING,
    mac_or_signature,
    require_mac_or_signature,
)
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed, for_version


def wrap_key_block(
    call: Call, managed: Managed, block: KeyBlock, specification: KeyWrappingSpecification
) -> KeyBlock:
    """The key block with its value wrapped as the specification says."""
    _check(specification)
    if block.key_wrapping_data is not None or not isinstance(block.key_value, KeyValue):
        raise OperationError(
            ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED, "the key was registered wrapped already"
        )
    option = specification.encoding_option or EncodingOption.TTLV_ENCODING
    plaintext = _plaintext(call, managed, block.key_value, specification, option)
    value, iv = _encrypted(call, block.key_value, plaintext, specification)
    signed = value if _signs_ciphertext(specification.wrapping_method) else plaintext
    signer = specification.mac_signature_key_information
    return block.replace(
        key_value=value,
        key_wrapping_data=KeyWrappingData(
            wrapping_method=specification.wrapping_method,
            encryption_key_information=specification.encryption_key_information,
            mac_signature_key_information=signer,
            mac_signature=None
            if signer is None
            else mac_or_signature(call, signer, _as_bytes(signed)),
            iv_counter_nonce=iv,
            encoding_option=specification.encoding_option,
        ),
    )


def _encrypted(
    call: Call, value: KeyValue, plaintext: bytes, specification: KeyWrappingSpecification
) -> tuple[KeyValue | bytes, bytes | None]:
    """The value as it leaves, and the IV; in clear where the method only authenticates."""
    information = specification.encryption_key_information
    if information is None:
        return value, None
    key, parameters = _wrapping_key(call, information)
    result = wrap(key, parameters, plaintext, random=call.random)
    return result.data, result.iv


def _signs_ciphertext(method: WrappingMethod) -> bool:
    return method == WrappingMethod.ENCRYPT_THEN_MAC_SIGN


def _as_bytes(value: KeyValue | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def _check(specification: KeyWrappingSpecification) -> None:
    """The method must be known, and have the keys that it needs and no others."""
    method = specification.wrapping_method
    if method not in ENCRYPTING | AUTHENTICATING:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, f"Wrapping Method {method.name} is not supported"
        )
    for given, wanted, name in (
        (specification.encryption_key_information, method in ENCRYPTING, "Encryption"),
        (specification.mac_signature_key_information, method in AUTHENTICATING, "MAC/Signature"),
    ):
        if (given is not None) is not wanted:
            needs = "needs" if wanted else "does not take"
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"the Wrapping Method {method.name} {needs} {name} Key Information",
            )


def _plaintext(
    call: Call,
    managed: Managed,
    value: KeyValue,
    specification: KeyWrappingSpecification,
    option: EncodingOption,
) -> bytes:
    names = specification.attribute_references
    if option == EncodingOption.NO_ENCODING:
        if names:
            raise OperationError(
                ResultReason.ENCODING_OPTION_ERROR, "No Encoding leaves no room for attributes"
            )
        if not isinstance(value.key_material, bytes):
            raise OperationError(
                ResultReason.ENCODING_OPTION_ERROR, "No Encoding is for keys that are bytes"
            )
        return value.key_material
    if names:
        asked = [
            for_version(call.version, one) for name in names for one in managed.instances(name)
        ]
        value = value.replace(attributes=Attributes(tuple(asked)))
    return encode(value, call.version, tag=Tag.KEY_VALUE, strict=False)


def unwrap_key_block(call: Call, block: KeyBlock) -> KeyBlock:
    """The key block without the wrapping in which it was registered (Key Wrap Type Not Wrapped).

    Only by a key that the server has, may use for it, and that belongs to the caller.
    """
    data = block.key_wrapping_data
    if data is None:
        return block
    method, signer = data.wrapping_method, data.mac_signature_key_information
    if method == WrappingMethod.MAC_SIGN and isinstance(block.key_value, KeyValue):
        plaintext = _clear(call, data, block.key_value)
        require_mac_or_signature(call, signer, plaintext, data.mac_signature)
        return block.replace(key_wrapping_data=None)
    information = data.encryption_key_information
    if information is None or not isinstance(block.key_value, bytes):
        raise OperationError(
            ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED,
            "the key was registered wrapped, and not said by which key",
        )
    managed, parameters = _other_key(call, information, CryptographicUsageMask.UNWRAP_KEY)
    if not may_process(
        managed.state, call.now, process_start_date=managed.get(Tag.PROCESS_START_DATE)
    ):
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE, "the wrapping key may not be used in its state"
        )
    if method == WrappingMethod.ENCRYPT_THEN_MAC_SIGN:
        require_mac_or_signature(call, signer, block.key_value, data.mac_signature)
    plaintext = unwrap(
        _key_to_unwrap(managed), parameters, block.key_value, iv=data.iv_counter_nonce
    )
    if method == WrappingMethod.MAC_SIGN_THEN_ENCRYPT:
        require_mac_or_signature(call, signer, plaintext, data.mac_signature)
    return block.replace(key_value=_key_value(call, data, plaintext), key_wrapping_data=None)


def _clear(call: Call, data: KeyWrappingData, value: KeyValue) -> bytes:
    """The bytes of a Key Value that is authenticated and not encrypted."""
    if data.encoding_option == EncodingOption.NO_ENCODING and isinstance(value.key_material, bytes):
        return value.key_material
    return encode(value, call.version, tag=Tag.KEY_VALUE, strict=False)


def _key_value(call: Call, data: KeyWrappingData, plaintext: bytes) -> KeyValue:
    if data.encoding_option == EncodingOption.NO_ENCODING:
        return KeyValue(key_material=plaintext)
    try:
        return decode(KeyValue, plaintext, call.version, tag=Tag.KEY_VALUE)
    except ProtocolError:
        raise OperationError(
            ResultReason.ENCODING_OPTION_ERROR, "what was wrapped is not an encoded Key Value"
        ) from None


def _other_key(
    call: Call, information: EncryptionKeyInformation, usage: CryptographicUsageMask
) -> tuple[Managed, Parameters]:
    """The key that wraps, permitted for ``usage``, and the parameters that hold."""
    try:
        managed = load(call, information.unique_identifier)
    except OperationError as error:
        if error.reason is ResultReason.OBJECT_NOT_FOUND:
            raise OperationError(
                ResultReason.WRAPPING_OBJECT_NOT_FOUND, "the wrapping key does not exist"
            ) from None
        raise
    mask = managed.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0)
    if usage not in mask:
        raise OperationError(
            ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK,
            f"the wrapping key is not meant for {usage.names()[0]}",
        )
    given = information.cryptographic_parameters or managed.get(Tag.CRYPTOGRAPHIC_PARAMETERS)
    return managed, Parameters.of(given) if given is not None else Parameters()


def _wrapping_key(
    call: Call, information: EncryptionKeyInformation
) -> tuple[bytes | RSAPublicKey, Parameters]:
    managed, parameters = _other_key(call, information, CryptographicUsageMask.WRAP_KEY)
    stop = managed.get(Tag.PROTECT_STOP_DATE)
    if not may_protect(managed.state, call.now, protect_stop_date=stop):
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE, "the wrapping key is not active"
        )
    return _key_to_wrap(managed), parameters


def _key_to_wrap(managed: Managed) -> bytes | RSAPublicKey:
    if managed.object_type is ObjectType.SYMMETRIC_KEY:
        return key_bytes(managed)
    if managed.object_type is ObjectType.PUBLIC_KEY:
        return rsa_public_key(managed)
    raise OperationError(
        ResultReason.ILLEGAL_OBJECT_TYPE, "only symmetric keys and RSA public keys wrap keys"
    )


def _key_to_unwrap(managed: Managed) -> bytes | RSAPrivateKey:
    if managed.object_type is ObjectType.SYMMETRIC_KEY:
        return key_bytes(managed)
    if managed.object_type is ObjectType.PRIVATE_KEY:
        return rsa_private_key(managed)
    raise OperationError(
        ResultReason.ILLEGAL_OBJECT_TYPE, "only symmetric keys and RSA private keys unwrap keys"
    )
