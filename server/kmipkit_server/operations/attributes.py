"""Get Attributes to Set Attribute (KMIP 1.4 §4.12 to §4.16, KMIP 2.1 §6.1).

1.x names an instance by its index, 2.x by its value; both find the instance here, and the rest is
the same. What a client may change is decided in :mod:`kmipkit_server.objects.attribute_rules`.
"""

from kmipkit.errors import OperationError
from kmipkit.lifecycle import Event
from kmipkit.model.attribute import (
    Attribute,
    AttributeKey,
    Attributes,
    attribute_name,
)
from kmipkit.model.payloads.attributes import (
    AddAttributeRequest,
    AddAttributeResponse,
    DeleteAttributeRequest,
    DeleteAttributeResponse,
    GetAttributeListRequest,
    GetAttributeListResponse,
    GetAttributesRequest,
    GetAttributesResponse,
    ModifyAttributeRequest,
    ModifyAttributeResponse,
    SetAttributeRequest,
    SetAttributeResponse,
)
from kmipkit.spec.enums import ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0, Version
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import attribute_rules
from kmipkit_server.objects.access import load, load_for_change, save
from kmipkit_server.objects.managed import (
    Managed,
    add_instance,
    for_version,
    is_multi_instance,
    reference_to,
    refers_to,
    set_attribute,
)
from kmipkit_server.objects.names import require_unique_name
from kmipkit_server.objects.usage import require_unused, with_count


def get_attributes(call: Call, request: GetAttributesRequest) -> GetAttributesResponse:
    """The attributes that are asked for, or all; what is not set is simply absent."""
    managed = load(call, request.unique_identifier)
    asked = request.attribute_references
    if len(set(asked)) != len(asked):
        raise OperationError(ResultReason.INVALID_MESSAGE, "an attribute is asked for twice")
    found = (
        [one for key in asked for one in managed.instances(key)]
        if asked
        else list(managed.all_attributes())
    )
    return GetAttributesResponse(
        unique_identifier=call.returns(managed.id),
        attributes=Attributes(tuple(for_version(call.version, attribute) for attribute in found)),
    )


def get_attribute_list(call: Call, request: GetAttributeListRequest) -> GetAttributeListResponse:
    """Which attributes the object has."""
    managed = load(call, request.unique_identifier)
    names = dict.fromkeys(
        reference_to(attribute, call.version) for attribute in managed.all_attributes()
    )
    return GetAttributeListResponse(
        unique_identifier=call.returns(managed.id), attribute_references=tuple(names)
    )


def add_attribute(call: Call, request: AddAttributeRequest) -> AddAttributeResponse:
    """Add an instance of an attribute (KMIP 1.4 §4.14)."""
    managed = load_for_change(call, request.unique_identifier)
    new = with_count(request.attribute)
    attribute_rules.check_add(new, managed, call.version)
    if new.index:
        raise OperationError(
            ResultReason.INVALID_FIELD, "Attribute Index is given by the server when adding"
        )
    if new.key in managed.attributes and not is_multi_instance(new.key):
        raise OperationError(
            ResultReason.ATTRIBUTE_SINGLE_VALUED, f"{attribute_name(new.key)} has a value already"
        )
    _require_unique(call, managed, new)
    stored, index = add_instance(managed.attributes, new.key, new.value)
    save(call, managed, _aged(managed.with_attributes(stored), new.key))
    return AddAttributeResponse(
        unique_identifier=call.returns(managed.id),
        attribute=for_version(call.version, Attribute(new.key, new.value, index)),
    )


def modify_attribute(call: Call, request: ModifyAttributeRequest) -> ModifyAttributeResponse:
    """Change the value of one instance (KMIP 1.4 §4.15, KMIP 2.1 §6.1.34)."""
    managed = load_for_change(call, request.unique_identifier)
    new = with_count(request.attribute)
    attribute_rules.check_modify(new, managed, call.version)
    require_unused(managed, new.key)
    old = _instance(managed, new.key, new.index, request.current_attribute)
    _require_unique(call, managed, new)
    changed = Attribute(new.key, new.value, old.index)
    stored = Attributes(tuple(changed if one is old else one for one in managed.attributes))
    save(call, managed, _aged(managed.with_attributes(stored), new.key))
    return ModifyAttributeResponse(
        unique_identifier=call.returns(managed.id),
        attribute=_echoed(changed, new.index, call.version),
    )


def delete_attribute(call: Call, request: DeleteAttributeRequest) -> DeleteAttributeResponse:
    """Take one instance away, or in 2.x all of them (KMIP 1.4 §4.16, KMIP 2.1 §6.1.13)."""
    managed = load_for_change(call, request.unique_identifier)
    reference, current = request.attribute_reference, request.current_attribute
    key = request.attribute_name or reference or (current.key if current else None)
    if key is None or (reference is not None and current is not None):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "give either the attribute's value or a reference to the attribute",
        )
    attribute_rules.check_delete(key, managed, call.version)
    require_unused(managed, key)
    if reference is not None:
        gone = _instances(managed, key)
    else:
        gone = [_instance(managed, key, request.attribute_index, current)]
    stored = Attributes(tuple(one for one in managed.attributes if one not in gone))
    save(call, managed, managed.with_attributes(stored))
    return DeleteAttributeResponse(
        unique_identifier=call.returns(managed.id),
        attribute=_echoed(gone[0], request.attribute_index, call.version),
    )


def set_attribute_value(call: Call, request: SetAttributeRequest) -> SetAttributeResponse:
    """Give a single-instance attribute its value, new or not (KMIP 2.1 §6.1.51)."""
    managed = load_for_change(call, request.unique_identifier)
    new = with_count(request.attribute)
    require_unused(managed, new.key)
    # A vendor's attribute with one value can be set like a single-instance one.
    if is_multi_instance(new.key) and (
        isinstance(new.key, Tag) or len(managed.instances(new.key)) > 1
    ):
        raise OperationError(
            ResultReason.MULTI_VALUED_ATTRIBUTE,
            f"{attribute_name(new.key)} may have several values: add, modify or delete one",
        )
    attribute_rules.check_set(new, managed, call.version)
    stored = set_attribute(managed.attributes, new.key, new.value)
    save(call, managed, _aged(managed.with_attributes(stored), new.key))
    return SetAttributeResponse(unique_identifier=call.returns(managed.id))


def _echoed(attribute: Attribute, asked: int | None, version: Version) -> Attribute:
    """As :func:`for_version`, but with the index where the request named one, be it zero."""
    return attribute if asked is not None and version < V2_0 else for_version(version, attribute)


def _instances(managed: Managed, key: AttributeKey) -> list[Attribute]:
    found = [one for one in managed.attributes if refers_to(key, one)]
    if not found:
        raise OperationError(
            ResultReason.ATTRIBUTE_NOT_FOUND, f"the object has no {attribute_name(key)}"
        )
    return found


def _instance(
    managed: Managed, key: AttributeKey, index: int | None, current: Attribute | None
) -> Attribute:
    """The instance that is meant: by value (2.x), by index, or the first (1.4 §2.1.1)."""
    for one in _instances(managed, key):
        if current is not None:
            if current.key == key and one.value == current.value:
                return one
        elif (one.index or 0) == (index or 0):
            return one
    raise OperationError(
        ResultReason.ATTRIBUTE_INSTANCE_NOT_FOUND,
        f"the object has no such instance of {attribute_name(key)}",
    )


def _require_unique(call: Call, managed: Managed, new: Attribute) -> None:
    if new.key == Tag.NAME:
        require_unique_name(call, Attributes((new,)), own=managed.id, owner=managed.record.owner)


def _aged(managed: Managed, key: AttributeKey) -> Managed:
    """The state after a date was set to now or the past (KMIP 1.4 §3.22, transitions 4 and 6)."""
    moves = {Tag.ACTIVATION_DATE: Event.ACTIVATE}
    event = moves.get(key) if isinstance(key, Tag) else None
    if event is not None and managed.record.stored_state is State.PRE_ACTIVE:
        return managed.with_state(managed.state)
    return managed
