"""The claims of a client about an object that it supplies, from the object and its attributes.

The operations that store objects of clients use it: Register and Import.
"""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.keys.certificates import describe_certificate
from kmipkit.keys.claims import check_claims, require_algorithm, require_length
from kmipkit.model.attribute import Attributes
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import (
    Certificate,
    CertificateRequest,
    ManagedObject,
    OpaqueObject,
)
from kmipkit.spec.enums import CertificateType, KeyFormatType, ResultReason
from kmipkit.spec.tags import Tag

FORMAT_OF_CLASS: Mapping[type, KeyFormatType] = MappingProxyType(
    {
        Certificate: KeyFormatType.X_509,
        CertificateRequest: KeyFormatType.PKCS_10,
        OpaqueObject: KeyFormatType.OPAQUE,
    }
)
"""The Key Format Type of objects without a key block (KMIP 2.1 §4.26, Table 81)."""


def format_of(value: ManagedObject) -> KeyFormatType | None:
    """The Key Format Type of an object; ``None`` for a Template."""
    block = getattr(value, "key_block", None)
    return (
        block.key_format_type if isinstance(block, KeyBlock) else FORMAT_OF_CLASS.get(type(value))
    )


def require_format(value: ManagedObject, claim: KeyFormatType | None) -> None:
    """Refuse a claim of another Key Format Type."""
    actual = format_of(value)
    if claim is not None and claim != actual:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the attribute Key Format Type is {claim.name}, but the object has"
            f" {'none' if actual is None else actual.name}",
        )


def require_true_claims(value: ManagedObject, attributes: Attributes) -> None:
    """Refuse an object that is not what the client says (Invalid Field)."""
    algorithm = attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    length = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH)
    check_claims(value, algorithm, length)
    require_format(value, attributes.get(Tag.KEY_FORMAT_TYPE))
    if not isinstance(value, Certificate):
        return
    if not value.certificate_value:
        raise OperationError(ResultReason.INVALID_FIELD, "Certificate Value is empty")
    if value.certificate_type != CertificateType.X_509:
        return
    if length is not None and length <= 0:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"a Cryptographic Length of {length} is not valid"
        )
    key = describe_certificate(value.certificate_value).key
    if key.algorithm is not None and algorithm is not None:
        require_algorithm(key.algorithm, algorithm)
    if key.length and length is not None:
        require_length(key.length, length)
    if (key.algorithm is None and algorithm is None) or not (key.length or length):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "the server cannot read the key of the certificate, so the request must have the"
            " attributes Cryptographic Algorithm and Cryptographic Length",
        )
