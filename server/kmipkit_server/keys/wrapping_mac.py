"""The MAC or signature of a wrapped Key Value (KMIP 1.4 §2.1.5, KMIP 2.1 §3.3).

| Wrapping Method | computed over |
| --- | --- |
| MAC/sign only | the encoded Key Value, which stays in clear |
| Encrypt then MAC/sign | the ciphertext |
| MAC/sign then encrypt | the plaintext |

A symmetric key computes a MAC, a private key a signature, which its public key verifies.
"""

from hmac import compare_digest

from kmipkit.errors import OperationError
from kmipkit.keys import signatures
from kmipkit.model.keyblock import MACSignatureKeyInformation
from kmipkit.spec.enums import LinkType, ObjectType, ResultReason, WrappingMethod
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import mac_of, private_key, public_key, sign, take, verify
from kmipkit_server.objects.access import load, load_wrapping_key
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.usage import (
    MAC_GENERATE,
    MAC_VERIFY,
    SIGN,
    VERIFY,
    allocate,
    permitted_parameters,
    require_match,
    require_use,
)
from kmipkit_server.policy.actions import KeyUse

ENCRYPTING = frozenset(
    {
        WrappingMethod.ENCRYPT,
        WrappingMethod.ENCRYPT_THEN_MAC_SIGN,
        WrappingMethod.MAC_SIGN_THEN_ENCRYPT,
    }
)
"""Methods that encrypt the key."""

AUTHENTICATING = frozenset(
    {
        WrappingMethod.MAC_SIGN,
        WrappingMethod.ENCRYPT_THEN_MAC_SIGN,
        WrappingMethod.MAC_SIGN_THEN_ENCRYPT,
    }
)
"""Methods with a MAC or signature."""

_MAC_KEY_TYPES = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA})


def mac_or_signature(call: Call, information: MACSignatureKeyInformation, data: bytes) -> bytes:
    """The MAC or signature of some bytes, by a key that may be used for it now."""
    managed = _key(call, information, KeyUse.WRAP_KEY)
    require_match(managed, information.cryptographic_parameters)
    use = MAC_GENERATE if managed.object_type in _MAC_KEY_TYPES else SIGN
    parameters = permitted_parameters(call, managed, information.cryptographic_parameters, use)
    if use is MAC_GENERATE:
        require_use(call, managed, MAC_GENERATE)
        allocate(call, managed, len(data))
        return mac_of(call, managed, parameters, data)
    require_use(call, managed, SIGN)
    allocate(call, managed, len(data))
    key = private_key(call, managed)
    signer = signatures.Signer(signatures.scheme(key, parameters), digested=None)
    take(call, signer, data)
    return sign(call, managed, key, signer)


def require_mac_or_signature(
    call: Call, information: MACSignatureKeyInformation | None, data: bytes, expected: bytes | None
) -> None:
    """Refuse bytes whose MAC or signature is another one (Cryptographic Failure)."""
    if information is None or expected is None:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the Key Wrapping Data has no MAC/Signature, or no MAC/Signature Key Information",
        )
    managed = _key(call, information, KeyUse.UNWRAP_KEY)
    use = MAC_VERIFY if managed.object_type in _MAC_KEY_TYPES else VERIFY
    parameters = permitted_parameters(call, managed, information.cryptographic_parameters, use)
    if use is MAC_VERIFY:
        require_use(call, managed, MAC_VERIFY)
        is_valid = compare_digest(mac_of(call, managed, parameters, data), expected)
    else:
        verification_key = _public_half(call, managed)
        require_use(call, verification_key, VERIFY)
        key = public_key(verification_key)
        signer = signatures.Signer(signatures.scheme(key, parameters), digested=None)
        take(call, signer, data)
        is_valid = verify(call, key, signer, expected)
    if not is_valid:
        raise OperationError(
            ResultReason.CRYPTOGRAPHIC_FAILURE,
            "the MAC or signature of the wrapped key is not valid",
        )


def _key(call: Call, information: MACSignatureKeyInformation, use: KeyUse) -> Managed:
    return load_wrapping_key(call, information.unique_identifier, "MAC/Signature key", use)


def _public_half(call: Call, managed: Managed) -> Managed:
    """The public key that verifies: the information may name either key (KMIP 1.4 Table 11)."""
    if managed.object_type is not ObjectType.PRIVATE_KEY:
        return managed
    for attribute in managed.instances(Tag.LINK):
        if attribute.value.link_type == LinkType.PUBLIC_KEY_LINK:
            return load(call, attribute.value.linked_object_identifier, KeyUse.UNWRAP_KEY)
    raise OperationError(
        ResultReason.WRAPPING_OBJECT_NOT_FOUND, "the Private Key has no Public Key Link"
    )
