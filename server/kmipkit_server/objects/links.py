"""Links that clients set: what the standard says of their number; and links to what a batch has made."""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.spec.enums import LinkType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call


class EarlierIdentifier(str):  # noqa: SLOT000 - differs from a text in its meaning only
    """The number of an identifier that an earlier item of the batch has returned, as a text.

    For the messages of the server itself. In requests, only identifiers can refer to earlier items (KMIP
    2.1 §4.58), and no links. It is the same each time, so that others can approve the request.
    """


def with_earlier(call: Call, attribute: Attribute) -> Attribute:
    """An attribute whose value is an identifier, also if it was the number of an earlier one."""
    if not isinstance(attribute.value, EarlierIdentifier):
        return attribute
    return Attribute(attribute.key, call.batch.identifiers[int(attribute.value)], attribute.index)


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
