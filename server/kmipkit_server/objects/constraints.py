"""Constraints and defaults for new objects, which administrators set (KMIP 2.1 §6.1.52, §6.1.53).

They are one object of the server's own. What was read of it is cached until it changes, so that a
Create asks the store for it once and never again. The cache is staged by the batch like everything
outside the transaction: rules that are not committed bind nobody else.
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
    """Both together, as they are stored."""

    constraints: Annotated[Constraints | None, Wire(Tag.CONSTRAINTS)] = None
    defaults: Annotated[DefaultsInformation | None, Wire(Tag.DEFAULTS_INFORMATION)] = None


def rules_in_force(call: Call) -> Rules:
    """The rules in force."""
    cache = call.batch.staged(call.batch.state.caches)
    cached: Rules | None = cache.get(_CACHE)
    if cached is not None:
        return cached
    record = call.store.get(IDENTIFIER)
    rules = Rules() if record is None else _read(Managed(record, call.now))
    if isinstance(call.store, Transaction):  # a reader may see what is about to be replaced
        cache[_CACHE] = rules
    return rules


def _read(managed: Managed) -> Rules:
    value = managed.object
    assert isinstance(value, OpaqueObject)
    return decode(Rules, value.opaque_data_value, V2_1, tag=Tag.REQUEST_PAYLOAD)


def replace_rules(call: Call, rules: Rules) -> None:
    """Put other rules into force."""
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
    call.batch.staged(call.batch.state.caches)[_CACHE] = rules


def defaulted(call: Call, object_type: ObjectType, given: Attributes) -> Attributes:
    """The attributes of a new object, with defaults for those that the client left out."""
    defaults = rules_in_force(call).defaults
    for one in defaults.object_defaults if defaults else ():
        types = one.object_types or ObjectTypes(
            object_types=(one.object_type,) if one.object_type is not None else ()
        )
        if _concerns(types, one.object_groups, object_type, given):
            added = (default for default in one.attributes if default.key not in given)
            given = given.plus(*added)
    return given


def check(call: Call, object_type: ObjectType, attributes: Iterable[Attribute]) -> None:
    """Refuse a new object that breaks a constraint (Constraint Violation)."""
    constraints = rules_in_force(call).constraints
    if constraints is None:
        return
    all_ = Attributes(tuple(attributes))
    for one in constraints.constraints:
        if not _concerns(one.object_types, one.object_groups, object_type, all_):
            continue
        for wanted in one.attributes or ():
            if wanted.value not in all_.all(wanted.key):
                raise OperationError(
                    ResultReason.CONSTRAINT_VIOLATION,
                    f"{attribute_name(wanted.key)} must be {wanted.value!r} for new objects",
                )


def _concerns(
    types: ObjectTypes | None,
    groups: ObjectGroups | None,
    object_type: ObjectType,
    attributes: Attributes,
) -> bool:
    """Whether a rule is about an object; what a rule does not name does not restrict it."""
    if types is not None and types.object_types and object_type not in types.object_types:
        return False
    if groups is None or not groups.object_groups:
        return True
    return bool(set(groups.object_groups) & set(attributes.all(Tag.OBJECT_GROUP)))
