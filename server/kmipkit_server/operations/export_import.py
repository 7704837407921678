"""Export and Import: an object with all its attributes, from one server to another.

KMIP 1.4 §4.40, §4.41; KMIP 2.1 §6.1.18, §6.1.25. What is exported has the attributes as they are;
what is imported keeps them, also those that a server sets by itself otherwise.
"""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import CLASS_OF_TYPE, OBJECT_TYPE_OF, ManagedObject
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.register import (
    ExportRequest,
    ExportResponse,
    ImportRequest,
    ImportResponse,
)
from kmipkit.spec.enums import KeyWrapType, ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.wrapping import unwrap_key_block
from kmipkit_server.objects import attribute_rules, creation
from kmipkit_server.objects.access import load
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import for_version
from kmipkit_server.objects.registrable import REGISTRABLE
from kmipkit_server.operations.get import converted_object, require_get_permitted


def export(call: Call, request: ExportRequest) -> ExportResponse:
    """Give out an object, as Get does, with all its attributes."""
    managed = load(call, request.unique_identifier)
    managed.require_alive()
    asked = GetRequest(
        unique_identifier=managed.id,
        key_format_type=request.key_format_type,
        key_wrap_type=request.key_wrap_type,
        key_compression_type=request.key_compression_type,
        key_wrapping_specification=request.key_wrapping_specification,
    )
    require_get_permitted(managed, asked)
    return ExportResponse(
        object_type=managed.object_type,
        unique_identifier=call.returns(managed.id),
        attributes=Attributes(
            tuple(for_version(call.version, one) for one in managed.all_attributes())
        ),
        object=converted_object(call, managed, asked),
    )


_COLUMNS = (Tag.UNIQUE_IDENTIFIER, Tag.OBJECT_TYPE, Tag.STATE)


def import_(call: Call, request: ImportRequest) -> ImportResponse:
    """Store an object under the identifier and with the attributes that it had elsewhere."""
    identifier = request.unique_identifier
    if not isinstance(identifier, str) or not identifier:
        raise OperationError(ResultReason.INVALID_FIELD, "Import needs a Unique Identifier as text")
    object_type = request.object_type or OBJECT_TYPE_OF[type(request.object)]
    if object_type not in REGISTRABLE or type(request.object) is not CLASS_OF_TYPE[object_type]:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"the object is not a {object_type!s} that can be kept"
        )
    if call.store.get(identifier) is not None:
        _replace(call, identifier, allowed=bool(request.replace_existing))
    for attribute in request.attributes:
        attribute_rules.require_value(attribute)
    value = _as_kept(call, request)
    state = State(request.attributes.get(Tag.STATE) or State.PRE_ACTIVE)
    given = Attributes(
        tuple(
            Attribute(one.key, one.value, one.index)
            for one in request.attributes
            if one.key not in _COLUMNS
        )
    )
    managed = creation.create(
        call,
        object_type,
        value,
        given,
        derived_attributes(value),
        identifier=identifier,
        state=state,
    )
    return ImportResponse(unique_identifier=managed.id)


def _replace(call: Call, identifier: str, *, allowed: bool) -> None:
    """Make room for an object that replaces another; of one's own only, and when asked to."""
    if not allowed:
        raise OperationError(
            ResultReason.OBJECT_ALREADY_EXISTS, f"there is an object {identifier!r} already"
        )
    call.transaction.remove(load(call, identifier).record)


def _as_kept(call: Call, request: ImportRequest) -> ManagedObject:
    """As it came, or unwrap_key_block where that is asked for."""
    block = getattr(request.object, "key_block", None)
    if request.key_wrap_type != KeyWrapType.NOT_WRAPPED or not isinstance(block, KeyBlock):
        return request.object
    kept: ManagedObject = request.object.replace(key_block=unwrap_key_block(call, block))
    return kept
