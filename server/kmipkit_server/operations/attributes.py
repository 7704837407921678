"""Get Attributes to Set Attribute (KMIP 1.4 §4.12 to §4.16, KMIP 2.1 §6.1).

KMIP 1.x names an instance by its index, 2.x by its value; the rest is the same in all versions.
:mod:`kmipkit_server.objects.attribute_rules` decides which attributes a client may change.
"""

from kmipkit.errors import OperationError
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
from kmipkit.spec.enums import ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V2_0, Version
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import attribute_rules
from kmipkit_server.objects.access import load, load_for_change, save
from kmipkit_server.objects.creation import completed
from kmipkit_server.objects.dates import activated_if_due, require_order_with
from kmipkit_server.objects.foreign_values import require_known
from kmipkit_server.objects.links import require_one_replacement
from kmipkit_server.objects.managed import (
    Managed,
    add_instance,
    for_version,
    is_multi_instance,
    reference_to,
    refers_to,
    set_attribute,
)
from kmipkit_server.objects.names import require_distinct_names, require_unique_name
from kmipkit_server.objects.quantum_safety import require_quantum_safe
from kmipkit_server.objects.repetition import note_repeatable
from kmipkit_server.objects.usage import require_unused


def get_attributes(call: Call, request: GetAttributesRequest) -> GetAttributesResponse:
    """Return the requested attributes, or all; those that the object does not have are absent."""
    managed = load(call, request.unique_identifier)
    note_repeatable(call, managed)
    references = request.attribute_references
    if len(set(references)) != len(references):
        raise OperationError(
            ResultReason.INVALID_MESSAGE, "the request names an attribute more than once"
        )
    attributes = (
        [attribute for key in references for attribute in managed.instances(key)]
        if references
        else managed.all_attributes()
    )
    return GetAttributesResponse(
        unique_identifier=call.returns(managed.id),
        attributes=Attributes(tuple([for_version(call.version, each) for each in attributes])),
    )


def get_attribute_list(call: Call, request: GetAttributeListRequest) -> GetAttributeListResponse:
    """Return the names of the attributes that the object has."""
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
    attribute_rules.check_add(request.attribute, managed, call.version)
    new = completed(call, request.attribute, managed)
    _require_quantum_safe(managed, new)
    if new.index is not None:  # "New attribute contains Attribute Index" (KMIP 1.4 §11.15)
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "Add Attribute takes no Attribute Index: the server assigns it",
        )
    if new.key in managed.attributes and not is_multi_instance(new.key):
        raise OperationError(
            ResultReason.ATTRIBUTE_SINGLE_VALUED,
            f"{attribute_name(new.key)} can have one value only, and has one already",
        )
    _require_unique(call, managed, new)
    attribute_rules.require_room(len(managed.attributes) + 1, call.settings.max_attributes)
    attributes, index = add_instance(managed.attributes, new.key, new.value)
    _require_consistent(attributes, new)
    save(call, managed, activated_if_due(managed.with_attributes(attributes), new.key))
    return AddAttributeResponse(
        unique_identifier=call.returns(managed.id),
        attribute=for_version(call.version, Attribute(new.key, new.value, index)),
    )


def modify_attribute(call: Call, request: ModifyAttributeRequest) -> ModifyAttributeResponse:
    """Change the value of one instance (KMIP 1.4 §4.15, KMIP 2.1 §6.1.34)."""
    managed = load_for_change(call, request.unique_identifier)
    attribute_rules.check_modify(request.attribute, managed, call.version)
    new = completed(call, request.attribute, managed)
    _require_quantum_safe(managed, new)
    require_unused(managed, new.key)
    old = _instance_to_modify(call, managed, new, request.current_attribute)
    _require_unique(call, managed, new)
    attributes = _with_value(managed.attributes, old, new.value)
    _require_consistent(attributes, new)
    save(call, managed, activated_if_due(managed.with_attributes(attributes), new.key))
    return ModifyAttributeResponse(
        unique_identifier=call.returns(managed.id),
        attribute=_for_response(Attribute(new.key, new.value, old.index), new.index, call.version),
    )


def delete_attribute(call: Call, request: DeleteAttributeRequest) -> DeleteAttributeResponse:
    """Delete one instance, or in 2.x all of them (KMIP 1.4 §4.16, KMIP 2.1 §6.1.13)."""
    managed = load_for_change(call, request.unique_identifier)
    reference, current = request.attribute_reference, request.current_attribute
    key = request.attribute_name or reference or (current.key if current else None)
    if key is None or (reference is not None and current is not None):
        raise OperationError(
            ResultReason.INVALID_FIELD,
            "name the attribute either by Current Attribute or by Attribute Reference",
        )
    attribute_rules.check_delete(key, call.version)
    require_unused(managed, key)
    if reference is not None:
        deleted = _instances(managed, key)
    else:
        _require_index_of_1_0(call, managed, key, request.attribute_index)
        deleted = [_instance(managed, key, request.attribute_index, current)]
    if call.version < V2_0:
        # The response repeats the attribute (KMIP 1.4 §4.16), which a version may be unable to say.
        require_known(deleted[0].value, call.version)
    attributes = Attributes(tuple(each for each in managed.attributes if each not in deleted))
    save(call, managed, managed.with_attributes(attributes))
    return DeleteAttributeResponse(
        unique_identifier=call.returns(managed.id),
        attribute=_for_response(deleted[0], request.attribute_index, call.version),
    )


def set_attribute_value(call: Call, request: SetAttributeRequest) -> SetAttributeResponse:
    """Add an attribute, or change its only instance (KMIP 2.1 §6.1.51).

    "If it has more than one instance an error is raised."
    """
    managed = load_for_change(call, request.unique_identifier)
    new = completed(call, request.attribute, managed)
    instances = managed.instances(reference_to(new, call.version))
    if len(instances) > 1:
        raise OperationError(
            ResultReason.MULTI_VALUED_ATTRIBUTE,
            f"the object has several values for {attribute_name(new.key)}; use Add Attribute, Modify"
            " Attribute or Delete Attribute",
        )
    attribute_rules.check_set(new, managed, call.version)
    require_unused(managed, new.key)
    _require_unique(call, managed, new)
    _require_quantum_safe(managed, new)
    if instances:
        attributes = _with_value(managed.attributes, instances[0], new.value)
    else:
        attributes, _ = add_instance(managed.attributes, new.key, new.value)
    _require_consistent(attributes, new)
    attribute_rules.require_room(len(attributes), call.settings.max_attributes)
    save(call, managed, activated_if_due(managed.with_attributes(attributes), new.key))
    return SetAttributeResponse(unique_identifier=call.returns(managed.id))


def _with_value(attributes: Attributes, old: Attribute, value: object) -> Attributes:
    """The attributes with another value of one instance."""
    changed = Attribute(old.key, value, old.index)
    return Attributes(tuple(changed if each is old else each for each in attributes))


def _for_response(attribute: Attribute, index: int | None, version: Version) -> Attribute:
    """As :func:`for_version`, but with the index if the request has one, even if it is zero."""
    return attribute if index is not None and version < V2_0 else for_version(version, attribute)


def _instances(managed: Managed, key: AttributeKey) -> list[Attribute]:
    instances = [attribute for attribute in managed.attributes if refers_to(key, attribute)]
    if not instances:
        raise OperationError(
            ResultReason.ATTRIBUTE_NOT_FOUND,
            f"the object does not have the attribute {attribute_name(key)}",
        )
    return instances


def _instance(
    managed: Managed, key: AttributeKey, index: int | None, current: Attribute | None
) -> Attribute:
    """The instance that the request names: by value (2.x), by index, or the first (1.4 §2.1.1)."""
    for attribute in _instances(managed, key):
        if current is not None:
            if current.key == key and attribute.value == current.value:
                return attribute
        elif (attribute.index or 0) == (index or 0):
            return attribute
    instance = "with this value" if current is not None else f"with the index {index or 0}"
    raise OperationError(
        ResultReason.ATTRIBUTE_INSTANCE_NOT_FOUND,
        f"the object has no {attribute_name(key)} {instance}",
    )


def _instance_to_modify(
    call: Call, managed: Managed, new: Attribute, current: Attribute | None
) -> Attribute:
    """The instance that Modify Attribute changes.

    In 1.x, it is that of the index, and an attribute that the object does not have is an Invalid
    Field (KMIP 1.4 §11.16). In 2.x: "If no Current Attribute is specified in the request, then if
    there is only a single instance of the Attribute it SHALL be selected [...], and if there are
    multiple instances of the Attribute an error SHALL be returned" (KMIP 2.1 §6.1.34).
    """
    instances = managed.instances(new.key)
    if call.version < V2_0 and not instances:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the object does not have the attribute {attribute_name(new.key)}; add it first",
        )
    if call.version >= V2_0 and current is None and len(instances) > 1:
        raise OperationError(
            ResultReason.MULTI_VALUED_ATTRIBUTE,
            f"the object has several values for {attribute_name(new.key)};"
            " name the one to change by Current Attribute",
        )
    return _instance(managed, new.key, new.index, current)


def _require_index_of_1_0(
    call: Call, managed: Managed, key: AttributeKey, index: int | None
) -> None:
    """In 1.0, several instances need an index, and a single-instance attribute takes none.

    "If no Attribute Index is specified, and the Attribute whose name is specified has multiple
    instances, then the operation is rejected" (KMIP 1.0 §4.15, §11.16). Since 1.1, no index is zero.
    """
    if call.version > V1_0:
        return
    if index is None and len(managed.instances(key)) > 1:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"the object has several values for {attribute_name(key)}; name one by Attribute Index",
        )
    if index is not None and not is_multi_instance(key):
        raise OperationError(
            ResultReason.ITEM_NOT_FOUND,
            f"{attribute_name(key)} can have one value only, and so takes no Attribute Index in 1.0",
        )


def _require_quantum_safe(managed: Managed, new: Attribute) -> None:
    if new.key == Tag.QUANTUM_SAFE and new.value:
        require_quantum_safe(set_attribute(managed.attributes, new.key, new.value))


def _require_unique(call: Call, managed: Managed, new: Attribute) -> None:
    if new.key == Tag.NAME:
        require_unique_name(call, Attributes((new,)), own=managed.id, owner=managed.record.owner)


def _require_consistent(attributes: Attributes, new: Attribute) -> None:
    """Refuse a value that contradicts another attribute of the object."""
    require_order_with(attributes, new.key)
    if new.key == Tag.NAME:
        require_distinct_names(attributes)
    elif new.key == Tag.LINK:
        require_one_replacement(attributes)
