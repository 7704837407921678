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
from kmipkit.keys import macs, signatures
from kmipkit.model.keyblock import MACSignatureKeyInformation
from kmipkit.spec.enums import LinkType, ObjectType, ResultReason, WrappingMethod
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes, private_key, public_key, sign
from kmipkit_server.objects.access import load, load_wrapping_key
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.usage import (
    MAC_GENERATE,
    MAC_VERIFY,
    SIGN,
    VERIFY,
    allocate,
    parameters_of,
    require_match,
    require_use,
)

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
    managed = _key(call, information)
    require_match(managed, information.cryptographic_parameters)
    parameters = parameters_of(managed, information.cryptographic_parameters)
    if managed.object_type in _MAC_KEY_TYPES:
        require_use(call, managed, MAC_GENERATE)
        allocate(call, managed, len(data))
        algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
        context = macs.begin(key_bytes(managed), algorithm, parameters)
        context.update(data)
        return bytes(context.finalize())
    require_use(call, managed, SIGN)
    allocate(call, managed, len(data))
    key = private_key(call, managed)
    signer = signatures.Signer(signatures.scheme(key, parameters), digested=None)
    signer.update(data)
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
    managed = _key(call, information)
    parameters = parameters_of(managed, information.cryptographic_parameters)
    if managed.object_type in _MAC_KEY_TYPES:
        require_use(call, managed, MAC_VERIFY)
        algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
        context = macs.begin(key_bytes(managed), algorithm, parameters)
        context.update(data)
        is_valid = compare_digest(context.finalize(), expected)
    else:
        verification_key = _public_half(call, managed)
        require_use(call, verification_key, VERIFY)
        key = public_key(verification_key)
        signer = signatures.Signer(signatures.scheme(key, parameters), digested=None)
        signer.update(data)
        is_valid = signer.verify(key, expected)
    if not is_valid:
        raise OperationError(
            ResultReason.CRYPTOGRAPHIC_FAILURE,
            "the MAC or signature of the wrapped key is not valid",
        )


def _key(call: Call, information: MACSignatureKeyInformation) -> Managed:
    return load_wrapping_key(call, information.unique_identifier, "MAC/Signature key")


def _public_half(call: Call, managed: Managed) -> Managed:
    """The public key that verifies: the information may name either key (KMIP 1.4 Table 11)."""
    if managed.object_type is not ObjectType.PRIVATE_KEY:
        return managed
    for attribute in managed.instances(Tag.LINK):
        if attribute.value.link_type == LinkType.PUBLIC_KEY_LINK:
            return load(call, attribute.value.linked_object_identifier)
    raise OperationError(
        ResultReason.WRAPPING_OBJECT_NOT_FOUND, "the Private Key has no Public Key Link"
    )
