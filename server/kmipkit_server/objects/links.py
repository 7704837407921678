"""Links that clients set: what the standard says of the number of links of one type."""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import LinkType, ResultReason
from kmipkit.spec.tags import Tag


def require_one_replacement(attributes: Attributes) -> None:
    """Refuse a second Replacement Object Link.

    "There SHALL be only one such replacement object per Managed Object" (KMIP 1.4 §3.35).
    """
    if Tag.LINK not in attributes:
        return
    types = [link.link_type for link in attributes.all(Tag.LINK)]
    if types.count(LinkType.REPLACEMENT_OBJECT_LINK) > 1:
        raise OperationError(
            ResultReason.INVALID_FIELD, "an object can have one Replacement Object Link only"
        )
