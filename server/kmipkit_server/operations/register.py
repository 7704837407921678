"""Register: store an object that the client supplies (KMIP 1.4 §4.3, KMIP 2.1 §6.1.43)."""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Link
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import CLASS_OF_TYPE, OBJECT_TYPE_OF, ManagedObject, PrivateKey, Template
from kmipkit.model.payloads.register import RegisterRequest, RegisterResponse
from kmipkit.spec.enums import LinkType, ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title, title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import creation
from kmipkit_server.objects.claims import require_format, require_true_claims
from kmipkit_server.objects.derived_attributes import derivation_cost, derived_attributes
from kmipkit_server.objects.foreign_values import require_storable
from kmipkit_server.objects.protection_storage import require_storage
from kmipkit_server.objects.registrable import REGISTRABLE
from kmipkit_server.operations.register_pkcs12 import is_container, opened_container


def _checked_object(object_type: ObjectType, value: ManagedObject | None) -> ManagedObject:
    if object_type not in REGISTRABLE:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE,
            f"an object of type {title(object_type)} cannot be registered",
        )
    if value is None:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"the request lacks the {title(object_type)} to register"
        )
    if type(value) is not CLASS_OF_TYPE[object_type]:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Object Type is {title(object_type)}, but the object is"
            f" {title_with_article(OBJECT_TYPE_OF[type(value)])}",
        )
    return value


def _wrapping_link(value: ManagedObject) -> list[tuple[Tag, Link]]:
    """The link from a wrapped object to its wrapping key, if any (KMIP 2.1 §6.1.43)."""
    block = getattr(value, "key_block", None)
    data = block.key_wrapping_data if isinstance(block, KeyBlock) else None
    information = data.encryption_key_information if data is not None else None
    if information is None or not isinstance(information.unique_identifier, str):
        return []
    link = Link(
        link_type=LinkType.WRAPPING_KEY_LINK,
        linked_object_identifier=information.unique_identifier,
    )
    return [(Tag.LINK, link)]


def _template_attributes(call: Call, value: Template) -> Attributes:
    """The names of a template; its other attributes describe objects made from it."""
    if Tag.NAME not in value.attributes:
        return Attributes()
    names = Attributes(tuple(a for a in value.attributes if a.key == Tag.NAME))
    return creation.requested_attributes(call, names, ObjectType.TEMPLATE)


_MASKED = frozenset(
    {
        ObjectType.SYMMETRIC_KEY,
        ObjectType.PUBLIC_KEY,
        ObjectType.PRIVATE_KEY,
        ObjectType.SPLIT_KEY,
        ObjectType.PGP_KEY,
        ObjectType.SECRET_DATA,
    }
)
"""Objects that always have a Cryptographic Usage Mask (KMIP 1.4 §3.19).

What the key of a certificate may be used for, the certificate itself says."""


def register(call: Call, request: RegisterRequest) -> RegisterResponse:
    """Store the object unchanged, with the attributes that follow from it.

    A Private Key in the format PKCS#12 is stored as what its container has.
    """
    value = _checked_object(request.object_type, request.object)
    require_storable(value, call.version)
    require_storage(request.protection_storage_masks)
    attributes = creation.requested_attributes(call, request.attributes, request.object_type)
    if isinstance(value, PrivateKey) and is_container(value):
        require_format(value, attributes.get(Tag.KEY_FORMAT_TYPE))
        attributes = attributes.without(Tag.KEY_FORMAT_TYPE)
        value, attributes = opened_container(call, value, attributes)
    call.compute(require_true_claims, value, attributes, cost=derivation_cost(value))
    if isinstance(value, Template) and Tag.NAME not in attributes:
        attributes = Attributes((*attributes, *_template_attributes(call, value)))
    derived = call.compute(derived_attributes, value, cost=derivation_cost(value))
    if Tag.LINK not in attributes:
        derived += _wrapping_link(value)
    if request.object_type in _MASKED:
        attributes = creation.with_usage_mask(attributes)
    managed = creation.create(call, request.object_type, value, attributes, derived)
    return RegisterResponse(unique_identifier=managed.id)
