"""Register: an object that the client made (KMIP 1.4 §4.3, KMIP 2.1 §6.1.43)."""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Link
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import CLASS_OF_TYPE, ManagedObject, Template
from kmipkit.model.payloads.register import RegisterRequest, RegisterResponse
from kmipkit.spec.enums import LinkType, ObjectType, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import creation
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.registrable import REGISTRABLE


def _checked_object(object_type: ObjectType, value: ManagedObject | None) -> ManagedObject:
    if object_type not in REGISTRABLE:
        raise OperationError(
            ResultReason.INVALID_OBJECT_TYPE, f"{object_type!s} cannot be registered"
        )
    if value is None:
        raise OperationError(ResultReason.INVALID_FIELD, "Register needs the object itself")
    if type(value) is not CLASS_OF_TYPE[object_type]:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Object Type is {object_type.name}, but the object is a {type(value).__name__}",
        )
    return value


def _agreeing(attributes: Attributes, value: ManagedObject) -> None:
    """Algorithm and length of the request must be those of the key block (KMIP 1.4 §4.3)."""
    block = getattr(value, "key_block", None)
    if not isinstance(block, KeyBlock):
        return
    for tag, known in (
        (Tag.CRYPTOGRAPHIC_ALGORITHM, block.cryptographic_algorithm),
        (Tag.CRYPTOGRAPHIC_LENGTH, block.cryptographic_length),
    ):
        asked = attributes.get(tag)
        if asked is not None and known is not None and asked != known:
            raise OperationError(
                ResultReason.INVALID_FIELD,
                f"{tag.name} is {asked!s} as attribute and {known!s} in the key block",
            )


def _wrapping_link(value: ManagedObject) -> list[tuple[Tag, Link]]:
    """A wrapped object is linked to the key that wraps it (KMIP 2.1 §6.1.43)."""
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
    """The attributes of a template describe other objects; only its names are its own."""
    if Tag.NAME not in value.attributes:
        return Attributes()
    names = Attributes(tuple(a for a in value.attributes if a.key == Tag.NAME))
    return creation.requested(call, names, ObjectType.TEMPLATE)


def register(call: Call, request: RegisterRequest) -> RegisterResponse:
    """Store the object as it came, with what can be told from it."""
    value = _checked_object(request.object_type, request.object)
    given = creation.requested(call, request.attributes, request.object_type)
    _agreeing(given, value)
    if isinstance(value, Template) and Tag.NAME not in given:
        given = Attributes((*given, *_template_attributes(call, value)))
    facts = derived_attributes(value)
    if Tag.LINK not in given:
        facts += _wrapping_link(value)
    managed = creation.create(call, request.object_type, value, given, facts)
    return RegisterResponse(unique_identifier=managed.id)
