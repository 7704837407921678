"""Export and Import: move an object with all its attributes from one server to another.

KMIP 1.4 §4.40, §4.41; KMIP 2.1 §6.1.18, §6.1.25. An exported object has its attributes unchanged. An
imported one keeps them, including those that otherwise only the server sets.
"""

from kmipkit_certs.identity import TENANT_PREFIX

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import UsageLimits
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import CLASS_OF_TYPE, OBJECT_TYPE_OF, ManagedObject
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.register import (
    ExportRequest,
    ExportResponse,
    ImportRequest,
    ImportResponse,
)
from kmipkit.spec.enums import KeyWrapType, Operation, ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.titles import title, title_with_article
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.wrapping import unwrap_key_block
from kmipkit_server.objects import attribute_rules, creation
from kmipkit_server.objects.access import forget_results, load
from kmipkit_server.objects.application_data import with_application_data
from kmipkit_server.objects.claims import require_true_claims
from kmipkit_server.objects.dates import require_order
from kmipkit_server.objects.derived_attributes import derivation_cost, derived_attributes
from kmipkit_server.objects.foreign_values import require_storable
from kmipkit_server.objects.managed import for_version
from kmipkit_server.objects.protection import inherited_protection, of_unknown_history
from kmipkit_server.objects.registrable import REGISTRABLE
from kmipkit_server.objects.same_material import objects_with_material
from kmipkit_server.objects.usage import with_count
from kmipkit_server.operations.get import converted_object, require_get_permitted
from kmipkit_server.store.owners import is_of_tenant


def export(call: Call, request: ExportRequest) -> ExportResponse:
    """Return an object, as Get does, with all its attributes."""
    managed = load(call, request.unique_identifier)
    managed.require_alive()
    get_request = GetRequest(
        unique_identifier=managed.id,
        key_format_type=request.key_format_type,
        key_wrap_type=request.key_wrap_type,
        key_compression_type=request.key_compression_type,
        key_wrapping_specification=request.key_wrapping_specification,
    )
    require_get_permitted(managed, get_request)
    return ExportResponse(
        object_type=managed.object_type,
        unique_identifier=call.returns(managed.id),
        attributes=Attributes(
            tuple([for_version(call.version, each) for each in managed.all_attributes()])
        ),
        object=converted_object(call, managed, get_request),
    )


_NOT_TAKEN_OVER = (
    Tag.UNIQUE_IDENTIFIER,
    Tag.OBJECT_TYPE,
    Tag.STATE,
    Tag.OBJECT_CLASS,
    Tag.PROTECTION_STORAGE_MASK,
)
"""Attributes that follow from other parts of the record, or say where this server stores it."""


def import_(call: Call, request: ImportRequest) -> ImportResponse:
    """Store an object with the identifier and the attributes that it had on another server."""
    identifier = request.unique_identifier
    if not isinstance(identifier, str) or not identifier:
        raise OperationError(ResultReason.INVALID_FIELD, "Import needs a Unique Identifier as text")
    if is_of_tenant(identifier):
        # For everybody: objects of tenants are stored under such identifiers.
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the Unique Identifier begins with {TENANT_PREFIX!r}, which is reserved; use another one",
        )
    object_type = request.object_type or OBJECT_TYPE_OF[type(request.object)]
    if object_type not in REGISTRABLE:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"an object of type {title(object_type)} cannot be imported",
        )
    if type(request.object) is not CLASS_OF_TYPE[object_type]:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Object Type is {title(object_type)}, but the object is"
            f" {title_with_article(OBJECT_TYPE_OF[type(request.object)])}",
        )
    owner = None
    if call.store.get(identifier) is not None:
        owner = _replace(call, identifier, allowed=bool(request.replace_existing))
    attribute_rules.require_room(len(request.attributes), call.settings.max_attributes)
    for attribute in request.attributes:
        attribute_rules.check_import(attribute, object_type, call.version)
    creation.refuse_repetition(request.attributes)
    require_storable(request.object, call.version)
    value = _object_to_store(call, request)
    cost = derivation_cost(value)
    call.compute(require_true_claims, value, request.attributes, cost=cost)
    state = _state(request.attributes)
    if state is State.PRE_ACTIVE:
        # Of other objects, operations may have set dates, such as that of the activation.
        require_order(request.attributes)
    attributes = Attributes(
        tuple(
            _complete(call, attribute)
            for attribute in request.attributes
            if attribute.key not in _NOT_TAKEN_OVER
        )
    )
    if value is not request.object:
        sources = objects_with_material(call, value.key_block)  # type: ignore[union-attr]  # unwrapped
        attributes = inherited_protection(attributes, sources, is_copy=True)
    managed = creation.create(
        call,
        object_type,
        value,
        of_unknown_history(attributes),
        call.compute(derived_attributes, value, cost=cost),
        identifier=identifier,
        state=state,
        owner=owner,
    )
    return ImportResponse(unique_identifier=managed.id)


def _complete(call: Call, attribute: Attribute) -> Attribute:
    """An attribute as the other server had it; of Usage Limits, a part may be used up already."""
    limits = attribute.value
    if isinstance(limits, UsageLimits):
        whole = with_count(attribute).value
        count = limits.usage_limits_count
        if count is None or 0 <= count <= whole.usage_limits_total:
            left = whole if count is None else whole.replace(usage_limits_count=count)
            return Attribute(attribute.key, left, attribute.index)
        raise OperationError(
            ResultReason.INVALID_FIELD, f"Usage Limits Count must be 0 to the total, not {count}"
        )
    return with_application_data(call, attribute)


def _state(attributes: Attributes) -> State:
    state = State(attributes.get(Tag.STATE) or State.PRE_ACTIVE)
    if not state.is_named:
        raise OperationError(ResultReason.INVALID_FIELD, f"there is no state {state}")
    return state


def _replace(call: Call, identifier: str, *, allowed: bool) -> str:
    """Remove an object that the imported one replaces, if the request allows it; its owner.

    This destroys it, and so the policy must permit that, too.
    """
    if not allowed:
        raise OperationError(
            ResultReason.OBJECT_ALREADY_EXISTS,
            f"an object {identifier!r} already exists; set Replace Existing to replace it",
        )
    load(call, identifier)
    replaced = load(call, identifier, Operation.DESTROY)
    call.transaction.remove(replaced.record)
    forget_results(call, replaced.id)
    return replaced.record.owner


def _object_to_store(call: Call, request: ImportRequest) -> ManagedObject:
    """The object of the request, unwrapped if the request says so."""
    block = getattr(request.object, "key_block", None)
    if request.key_wrap_type != KeyWrapType.NOT_WRAPPED or not isinstance(block, KeyBlock):
        return request.object
    unwrapped: ManagedObject = request.object.replace(key_block=unwrap_key_block(call, block))
    return unwrapped
