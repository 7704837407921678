"""The MAC or signature of a Key Value that is wrapped (KMIP 1.4 §2.1.5, KMIP 2.1 §3.3).

| Wrapping Method | what is computed over |
| --- | --- |
| MAC/sign only | the encoded Key Value, which stays in clear |
| Encrypt then MAC/sign | the bytes that the encryption gave |
| MAC/sign then encrypt | the bytes that are encrypted |

A symmetric key makes a MAC, a private key a signature, which its public key verifies.
"""

from hmac import compare_digest

from kmipkit.errors import OperationError
from kmipkit.keys import macs, signatures
from kmipkit.model.keyblock import MACSignatureKeyInformation
from kmipkit.spec.enums import LinkType, ObjectType, ResultReason, WrappingMethod
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes, private_key, public_key
from kmipkit_server.objects.access import load
from kmipkit_server.objects.managed import Managed
from kmipkit_server.objects.usage import (
    MAC_GENERATE,
    MAC_VERIFY,
    SIGN,
    VERIFY,
    parameters_of,
    require_use,
)

ENCRYPTING = frozenset(
    {
        WrappingMethod.ENCRYPT,
        WrappingMethod.ENCRYPT_THEN_MAC_SIGN,
        WrappingMethod.MAC_SIGN_THEN_ENCRYPT,
    }
)
"""Methods after which the key is not in clear."""

AUTHENTICATING = frozenset(
    {
        WrappingMethod.MAC_SIGN,
        WrappingMethod.ENCRYPT_THEN_MAC_SIGN,
        WrappingMethod.MAC_SIGN_THEN_ENCRYPT,
    }
)
"""Methods with a MAC or signature."""

_BYTES = frozenset({ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA})


def mac_or_signature(call: Call, information: MACSignatureKeyInformation, data: bytes) -> bytes:
    """The MAC or signature of some bytes, by a key that may make one now."""
    managed = _key(call, information)
    parameters = parameters_of(managed, information.cryptographic_parameters)
    if managed.object_type in _BYTES:
        require_use(call, managed, MAC_GENERATE)
        algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
        context = macs.begin(key_bytes(managed), algorithm, parameters)
        context.update(data)
        return bytes(context.finalize())
    require_use(call, managed, SIGN)
    key = private_key(managed)
    signer = signatures.Signer(signatures.scheme(key, parameters), digested=None)
    signer.update(data)
    return bytes(signer.sign(key))


def require_mac_or_signature(
    call: Call, information: MACSignatureKeyInformation | None, data: bytes, found: bytes | None
) -> None:
    """Refuse bytes that do not have this MAC or signature (Cryptographic Failure)."""
    if information is None or found is None:
        raise OperationError(
            ResultReason.INVALID_FIELD, "the wrapping has no MAC/Signature, or no key for it"
        )
    managed = _key(call, information)
    parameters = parameters_of(managed, information.cryptographic_parameters)
    if managed.object_type in _BYTES:
        require_use(call, managed, MAC_VERIFY)
        algorithm = managed.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
        context = macs.begin(key_bytes(managed), algorithm, parameters)
        context.update(data)
        good = compare_digest(context.finalize(), found)
    else:
        verifying = _public_half(call, managed)
        require_use(call, verifying, VERIFY)
        key = public_key(verifying)
        signer = signatures.Signer(signatures.scheme(key, parameters), digested=None)
        signer.update(data)
        good = signer.verify(key, found)
    if not good:
        raise OperationError(
            ResultReason.CRYPTOGRAPHIC_FAILURE, "the wrapped key has another MAC or signature"
        )


def _key(call: Call, information: MACSignatureKeyInformation) -> Managed:
    try:
        return load(call, information.unique_identifier)
    except OperationError as error:
        if error.reason is ResultReason.OBJECT_NOT_FOUND:
            raise OperationError(
                ResultReason.WRAPPING_OBJECT_NOT_FOUND, "the MAC/Signature key does not exist"
            ) from None
        raise


def _public_half(call: Call, managed: Managed) -> Managed:
    """The information may name the private key or its public key (KMIP 1.4 §2.1.5, Table 11)."""
    if managed.object_type is not ObjectType.PRIVATE_KEY:
        return managed
    for attribute in managed.instances(Tag.LINK):
        if attribute.value.link_type == LinkType.PUBLIC_KEY_LINK:
            return load(call, attribute.value.linked_object_identifier)
    raise OperationError(
        ResultReason.WRAPPING_OBJECT_NOT_FOUND, "the private key has no link to its public key"
    )
