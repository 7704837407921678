"""Where the server keeps objects: in software, and nowhere else (KMIP 2.1 §4.44, §7.33).

A request may list the kinds of storage that are acceptable for a new object. The server may choose one
"if the Protection Mask can be satisfied in its entirety (all bits match)".
"""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.payloads.common import ProtectionStorageMasks
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.masks import ProtectionStorageMask
from kmipkit.spec.tags import Tag

OWN_STORAGE = ProtectionStorageMask.SOFTWARE
"""The Protection Storage Mask of every object."""


def require_storage(
    masks: ProtectionStorageMasks | None,
    reason: ResultReason = ResultReason.PROTECTION_STORAGE_UNAVAILABLE,
) -> None:
    """Refuse a request that accepts only other kinds of storage than this server has."""
    if masks is not None and masks.masks and OWN_STORAGE not in masks.masks:
        raise OperationError(
            reason,
            "the server keeps objects in software only, which the Protection Storage Masks of the"
            " request do not allow",
        )


def require_pair_storage(
    common: ProtectionStorageMasks | None,
    private: ProtectionStorageMasks | None,
    public: ProtectionStorageMasks | None,
) -> None:
    """The same for both keys of a pair."""
    require_storage(common)
    require_storage(private, ResultReason.PRIVATE_PROTECTION_STORAGE_UNAVAILABLE)
    require_storage(public, ResultReason.PUBLIC_PROTECTION_STORAGE_UNAVAILABLE)


def require_own_storage(attributes: Attributes) -> None:
    """Refuse a new object whose Protection Storage Mask would not be true."""
    mask = attributes.get(Tag.PROTECTION_STORAGE_MASK)
    if mask is not None and mask != OWN_STORAGE:
        raise OperationError(
            ResultReason.PROTECTION_STORAGE_UNAVAILABLE,
            f"the server keeps objects in software only: {mask!r} would not be true",
        )
