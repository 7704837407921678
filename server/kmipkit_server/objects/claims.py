"""The claims of a client about an object that it supplies, from the object and its attributes.

The operations that store objects of clients use it: Register and Import.
"""

from kmipkit.errors import OperationError
from kmipkit.keys.certificates import describe_certificate
from kmipkit.keys.claims import check_claims, require_algorithm, require_length
from kmipkit.model.attribute import Attributes
from kmipkit.model.objects import Certificate, ManagedObject
from kmipkit.spec.enums import CertificateType, ResultReason
from kmipkit.spec.tags import Tag


def require_true_claims(value: ManagedObject, attributes: Attributes) -> None:
    """Refuse an object that is not what the client says (Invalid Field)."""
    algorithm = attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM)
    length = attributes.get(Tag.CRYPTOGRAPHIC_LENGTH)
    check_claims(value, algorithm, length)
    if not isinstance(value, Certificate):
        return
    if not value.certificate_value:
        raise OperationError(ResultReason.INVALID_FIELD, "Certificate Value is empty")
    if value.certificate_type != CertificateType.X_509:
        return
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
