"""Which objects the server returns to clients."""

from kmipkit.errors import OperationError
from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.objects.managed import Managed


def require_extractable(managed: Managed, *, wrapped: bool) -> None:
    """Refuse to return sensitive objects unwrapped, and objects that are not extractable.

    KMIP 1.4 §3.48, §3.50.
    """
    attributes = managed.attributes
    if attributes.get(Tag.CRYPTOGRAPHIC_ALGORITHM) == CryptographicAlgorithm.ONE_TIME_PAD:
        # A pad must be used once only, which nobody can enforce once there are two copies.
        raise OperationError(
            ResultReason.PERMISSION_DENIED,
            "a one-time pad cannot be retrieved: with two copies, it could be used twice",
        )
    if attributes.get(Tag.EXTRACTABLE) is False:
        raise OperationError(ResultReason.NOT_EXTRACTABLE, "the object is not extractable")
    if attributes.get(Tag.SENSITIVE) and not wrapped:
        raise OperationError(
            ResultReason.SENSITIVE,
            "the object is sensitive: it can only be retrieved wrapped by another key",
        )
