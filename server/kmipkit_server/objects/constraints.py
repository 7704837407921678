"""Constraints and defaults for new objects, which administrators set (KMIP 2.1 §6.1.52, §6.1.53).

They are stored as one object of the server. Its content is cached until it changes, so that only the
first Create reads it from the store. The batch stages the cache, like everything outside the
transaction: uncommitted rules do not affect other clients.
"""

from collections.abc import Iterable
from typing import Annotated

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes, attribute_name
from kmipkit.model.attributes import Name
from kmipkit.model.codec import decode, encode
from kmipkit.model.objects import OpaqueObject
from kmipkit.model.payloads.limits import (
    Constraints,
    DefaultsInformation,
    ObjectGroups,
    ObjectTypes,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.enums import NameType, ObjectType, OpaqueDataType, ResultReason, State
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit_server.engine.call import Call
from kmipkit_server.identity.identity import SYSTEM
from kmipkit_server.objects.managed import Managed, pack_object
from kmipkit_server.store.base import Record, Transaction

IDENTIFIER = "kmipkit-constraints-and-defaults"
_DATA_TYPE = OpaqueDataType(0x80000001)
_CACHE = "constraints"


@structure()
class Rules(Structure):
    """Constraints and defaults as they are stored."""

    constraints: Annotated[Constraints | None, Wire(Tag.CONSTRAINTS)] = None
    defaults: Annotated[DefaultsInformation | None, Wire(Tag.DEFAULTS_INFORMATION)] = None


def rules_in_force(call: Call) -> Rules:
    """The rules in force."""
    cache = call.batch.staged(call.batch.server.state.caches)
    cached: Rules | None = cache.get(_CACHE)
    if cached is not None:
        return cached
    record = call.store.get(IDENTIFIER)
    rules = Rules() if record is None else _read(Managed(record, call.now))
    # A reader may see rules that a transaction is just replacing; it must not cache them.
    if isinstance(call.store, Transaction):
        cache[_CACHE] = rules
    return rules


def _read(managed: Managed) -> Rules:
    value = managed.object
    assert isinstance(value, OpaqueObject)
    return decode(Rules, value.opaque_data_value, V2_1, tag=Tag.REQUEST_PAYLOAD)


def replace_rules(call: Call, rules: Rules) -> None:
    """Store other rules, which apply from the commit on."""
    value = OpaqueObject(
        opaque_data_type=_DATA_TYPE,
        opaque_data_value=encode(rules, V2_1, tag=Tag.REQUEST_PAYLOAD),
    )
    name = Name(name_value=IDENTIFIER, name_type=NameType.UNINTERPRETED_TEXT_STRING)
    record = Record(
        id=IDENTIFIER,
        owner=SYSTEM.name,
        object_type=ObjectType.OPAQUE_OBJECT,
        stored_state=State.PRE_ACTIVE,
        attributes=Attributes((Attribute(Tag.NAME, name, 0),)),
        material=pack_object(value),
    )
    old = call.store.get(IDENTIFIER)
    if old is None:
        call.transaction.insert(record)
    else:
        call.transaction.update(old, record)
    call.batch.staged(call.batch.server.state.caches)[_CACHE] = rules


def with_defaults(call: Call, object_type: ObjectType, attributes: Attributes) -> Attributes:
    """The attributes of a new object, with defaults for those that the client omits."""
    defaults = rules_in_force(call).defaults
    for rule in defaults.object_defaults if defaults else ():
        types = rule.object_types or ObjectTypes(
            object_types=(rule.object_type,) if rule.object_type is not None else ()
        )
        if _applies_to(types, rule.object_groups, object_type, attributes):
            missing = (default for default in rule.attributes if default.key not in attributes)
            attributes = attributes.plus(*missing)
    return attributes


def check(call: Call, object_type: ObjectType, attributes: Iterable[Attribute]) -> None:
    """Refuse a new object that violates a constraint (Constraint Violation)."""
    constraints = rules_in_force(call).constraints
    if constraints is None:
        return
    present = Attributes(tuple(attributes))
    for rule in constraints.constraints:
        if not _applies_to(rule.object_types, rule.object_groups, object_type, present):
            continue
        for required in rule.attributes or ():
            if required.value not in present.all(required.key):
                raise OperationError(
                    ResultReason.CONSTRAINT_VIOLATION,
                    f"{attribute_name(required.key)} must be {required.value!r} for new objects",
                )


def _applies_to(
    types: ObjectTypes | None,
    groups: ObjectGroups | None,
    object_type: ObjectType,
    attributes: Attributes,
) -> bool:
    """Whether a rule applies to an object. A rule without types or groups applies to all of them."""
    if types is not None and types.object_types and object_type not in types.object_types:
        return False
    if groups is None or not groups.object_groups:
        return True
    return bool(set(groups.object_groups) & set(attributes.all(Tag.OBJECT_GROUP)))
