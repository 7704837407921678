"""Wrapping a key with another key (KMIP 1.4 §2.1.5, §2.1.6, §4.11; KMIP 2.1 §3.3, §7.19).

A key is wrapped by encryption, by a MAC or signature, or by both. With No Encoding, the Key Material
itself is wrapped. With TTLV Encoding, the default, the encoded Key Value structure is, together with
the requested attributes.
"""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kmipkit.errors import OperationError, ProtocolError
from kmipkit.keys.parameters import Parameters
from kmipkit.keys.wrap import WrapResult, unwrap, wrap, wrapping_cost
from kmipkit.lifecycle import describe_state, may_process, may_protect
from kmipkit.model.attribute import Attributes
from kmipkit.model.attribute_field_types import key_of_name
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
from kmipkit.spec.titles import title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.engine.settings import Random
from kmipkit_server.keys.material import (
    key_bytes,
    rsa_public_key,
    use_public_key,
    use_rsa_private_key,
)
from kmipkit_server.keys.wrapping_mac import (
    AUTHENTICATING,
    ENCRYPTING,
    mac_or_signature,
    require_mac_or_signature,
)
from kmipkit_server.objects import algorithms
from kmipkit_server.objects.access import load_wrapping_key
from kmipkit_server.objects.managed import Managed, for_version
from kmipkit_server.objects.usage import (
    UNWRAP_KEY,
    WRAP_KEY,
    Use,
    allocate,
    oaep_parameters,
    permitted_parameters,
    require_match,
)
from kmipkit_server.policy.actions import KeyUse


def wrap_key_block(
    call: Call, managed: Managed, block: KeyBlock, specification: KeyWrappingSpecification
) -> KeyBlock:
    """The key block with its value wrapped as the specification says."""
    _check(specification)
    algorithms.require_wrapping_method(call, specification.wrapping_method, protects=True)
    if block.key_wrapping_data is not None or not isinstance(block.key_value, KeyValue):
        raise OperationError(
            ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED,
            "the key is stored wrapped, and cannot be wrapped a second time",
        )
    # "If Encoding Option is not present, the wrapped Key Value SHALL be TTLV encoded" (KMIP 1.4
    # §2.1.6, Table 12).
    option = specification.encoding_option or EncodingOption.TTLV_ENCODING
    plaintext = _plaintext(call, managed, block.key_value, specification, option)
    value, iv = _encrypt(call, block.key_value, plaintext, specification)
    # "MAC/sign then encrypt" does not encrypt the MAC: it is a field of Key Wrapping Data, which
    # stays in clear (KMIP 1.4 §2.1.5, Table 9).
    method = specification.wrapping_method
    authenticated = value if method == WrappingMethod.ENCRYPT_THEN_MAC_SIGN else plaintext
    signer = specification.mac_signature_key_information
    code = None if signer is None else mac_or_signature(call, signer, _as_bytes(authenticated))
    return block.replace(
        key_value=value,
        key_wrapping_data=KeyWrappingData(
            wrapping_method=specification.wrapping_method,
            encryption_key_information=specification.encryption_key_information,
            mac_signature_key_information=signer,
            mac_signature=code,
            iv_counter_nonce=iv,
            encoding_option=specification.encoding_option,
        ),
    )


def _encrypt(
    call: Call, value: KeyValue, plaintext: bytes, specification: KeyWrappingSpecification
) -> tuple[KeyValue | bytes, bytes | None]:
    """The encrypted value and the IV; the value itself if the method only authenticates."""
    information = specification.encryption_key_information
    if information is None:
        return value, None
    key, parameters = _wrapping_key(call, information, len(plaintext))
    if isinstance(key, RSAPublicKey):
        result = use_public_key(call, key, wrap, parameters, plaintext)
    else:
        cost = wrapping_cost(parameters, len(plaintext))
        result = call.compute(_wrap, key, parameters, plaintext, call.random, cost=cost)
    return result.data, result.iv


def _wrap(key: bytes, parameters: Parameters, plaintext: bytes, random: Random) -> WrapResult:
    return wrap(key, parameters, plaintext, random=random)


def _unwrap(key: bytes, parameters: Parameters, wrapped: bytes, iv: bytes | None) -> bytes:
    return unwrap(key, parameters, wrapped, iv=iv)


def _as_bytes(value: KeyValue | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def _check(specification: KeyWrappingSpecification) -> None:
    """Refuse unknown methods, missing keys, and keys that the method does not use."""
    method = specification.wrapping_method
    if method not in ENCRYPTING | AUTHENTICATING:
        raise OperationError(
            ResultReason.FEATURE_NOT_SUPPORTED, f"Wrapping Method {method.name} is not supported"
        )
    for information, is_required, name in (
        (specification.encryption_key_information, method in ENCRYPTING, "Encryption"),
        (specification.mac_signature_key_information, method in AUTHENTICATING, "MAC/Signature"),
    ):
        if (information is not None) is not is_required:
            verb = "requires" if is_required else "does not allow"
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"the Wrapping Method {method.name} {verb} {name} Key Information",
            )


def _plaintext(
    call: Call,
    managed: Managed,
    value: KeyValue,
    specification: KeyWrappingSpecification,
    option: EncodingOption,
) -> bytes:
    """The bytes to wrap."""
    references = (
        *(key_of_name(name, call.version) for name in specification.attribute_names),
        *specification.attribute_references,
    )
    if option == EncodingOption.NO_ENCODING:
        # "If No Encoding is specified, then the Key Value SHALL NOT contain any attributes"
        # (KMIP 1.4 §2.1.6); the Result Reason is that of KMIP 1.4 §11.12.
        if references:
            raise OperationError(
                ResultReason.ENCODING_OPTION_ERROR,
                "the Encoding Option No Encoding does not allow attributes to be wrapped",
            )
        if not isinstance(value.key_material, bytes):
            raise OperationError(
                ResultReason.ENCODING_OPTION_ERROR,
                "the Encoding Option No Encoding needs Key Material that is a Byte String",
            )
        return value.key_material
    if references:
        attributes = [
            for_version(call.version, attribute)
            for key in references
            for attribute in managed.instances(key)
        ]
        value = value.replace(attributes=Attributes(tuple(attributes)))
    # The client decodes these bytes after unwrapping, so they are in the version of the request.
    return encode(value, call.version, tag=Tag.KEY_VALUE, strict=False)


def unwrap_key_block(call: Call, block: KeyBlock) -> KeyBlock:
    """The key block without the wrapping in which it was registered (Key Wrap Type Not Wrapped).

    This needs the wrapping key on this server, with the right usage mask, and of the same client.
    """
    data = block.key_wrapping_data
    if data is None:
        return block
    method, signer = data.wrapping_method, data.mac_signature_key_information
    algorithms.require_wrapping_method(call, method, protects=False)
    if method == WrappingMethod.MAC_SIGN and isinstance(block.key_value, KeyValue):
        plaintext = _authenticated_bytes(call, data, block.key_value)
        require_mac_or_signature(call, signer, plaintext, data.mac_signature)
        return block.replace(key_wrapping_data=None)
    information = data.encryption_key_information
    if information is None or not isinstance(block.key_value, bytes):
        raise OperationError(
            ResultReason.KEY_WRAP_TYPE_NOT_SUPPORTED,
            "the key is stored wrapped, and its Key Wrapping Data does not name the wrapping key",
        )
    managed, parameters = _load_wrapping_key(call, information, UNWRAP_KEY)
    if not may_process(
        managed.state, call.now, process_start_date=managed.get(Tag.PROCESS_START_DATE)
    ):
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"the wrapping key is {describe_state(managed.state)} and may not be used to unwrap now",
        )
    # A MAC over the ciphertext is verified before the decryption, one over the plaintext after it.
    if method == WrappingMethod.ENCRYPT_THEN_MAC_SIGN:
        require_mac_or_signature(call, signer, block.key_value, data.mac_signature)
    plaintext = _decrypt(call, managed, parameters, block.key_value, data.iv_counter_nonce)
    if method == WrappingMethod.MAC_SIGN_THEN_ENCRYPT:
        require_mac_or_signature(call, signer, plaintext, data.mac_signature)
    return block.replace(key_value=_key_value(call, data, plaintext), key_wrapping_data=None)


def _authenticated_bytes(call: Call, data: KeyWrappingData, value: KeyValue) -> bytes:
    """The bytes of a Key Value over which its MAC or signature is computed, without encryption."""
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
            ResultReason.ENCODING_OPTION_ERROR,
            "the unwrapped bytes are not a TTLV-encoded Key Value; the Encoding Option may be wrong",
        ) from None


_WRAPPING_TYPES = frozenset(
    {ObjectType.SYMMETRIC_KEY, ObjectType.PUBLIC_KEY, ObjectType.PRIVATE_KEY}
)


def _load_wrapping_key(
    call: Call, information: EncryptionKeyInformation, use: Use
) -> tuple[Managed, Parameters]:
    """The wrapping key, if its mask and the algorithm rules permit the use, and the parameters.

    The parameters of the information come first: "or, if not present, from the Cryptographic
    Parameters attribute of the respective key(s)" (KMIP 1.4 §2.1.5).
    """
    action = KeyUse.WRAP_KEY if use is WRAP_KEY else KeyUse.UNWRAP_KEY
    managed = load_wrapping_key(call, information.unique_identifier, "wrapping key", action)
    if managed.object_type not in _WRAPPING_TYPES:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            "only Symmetric Keys and RSA keys can wrap and unwrap a key,"
            f" not {title_with_article(managed.object_type)}",
        )
    mask = managed.get(Tag.CRYPTOGRAPHIC_USAGE_MASK) or CryptographicUsageMask(0)
    if use.mask not in mask:
        raise OperationError(
            ResultReason.INCOMPATIBLE_CRYPTOGRAPHIC_USAGE_MASK,
            f"the Cryptographic Usage Mask of the wrapping key does not have {use.mask.names()[0]}",
        )
    algorithms.require_usable(call, managed, protects=use.protects)
    parameters = permitted_parameters(call, managed, information.cryptographic_parameters, use)
    return managed, oaep_parameters(call, parameters)


def _wrapping_key(
    call: Call, information: EncryptionKeyInformation, size: int
) -> tuple[bytes | RSAPublicKey, Parameters]:
    """The key that wraps, and the parameters; the use counts against the limits of the key.

    Wrapping applies protection, as encryption does (KMIP 1.4 §3.21).
    """
    managed, parameters = _load_wrapping_key(call, information, WRAP_KEY)
    require_match(managed, information.cryptographic_parameters)
    protect_stop_date = managed.get(Tag.PROTECT_STOP_DATE)
    if not may_protect(managed.state, call.now, protect_stop_date=protect_stop_date):
        raise OperationError(
            ResultReason.WRONG_KEY_LIFECYCLE_STATE,
            f"the wrapping key is {describe_state(managed.state)} and may not be used to wrap now",
        )
    allocate(call, managed, size)
    if managed.object_type is ObjectType.SYMMETRIC_KEY:
        return key_bytes(managed), parameters
    if managed.object_type is ObjectType.PUBLIC_KEY:
        return rsa_public_key(managed), parameters
    raise OperationError(
        ResultReason.INVALID_OBJECT_TYPE,
        "only Symmetric Keys and RSA Public Keys can wrap a key,"
        f" not {title_with_article(managed.object_type)}",
    )


def _decrypt(
    call: Call, managed: Managed, parameters: Parameters, wrapped: bytes, iv: bytes | None
) -> bytes:
    """The plaintext of a wrapped value."""
    if managed.object_type is ObjectType.SYMMETRIC_KEY:
        cost = wrapping_cost(parameters, len(wrapped))
        return call.compute(_unwrap, key_bytes(managed), parameters, wrapped, iv, cost=cost)
    if managed.object_type is ObjectType.PRIVATE_KEY:
        return use_rsa_private_key(call, managed, unwrap, parameters, wrapped)
    raise OperationError(
        ResultReason.INVALID_OBJECT_TYPE,
        "only Symmetric Keys and RSA Private Keys can unwrap a key,"
        f" not {title_with_article(managed.object_type)}",
    )
