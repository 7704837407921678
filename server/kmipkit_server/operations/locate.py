"""Locate: objects by their attributes, answered from indexes (KMIP 1.4 §4.9, 2.1 §6.1.28)."""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes, VendorName, attribute_name
from kmipkit.model.payloads.locate import LocateRequest, LocateResponse
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import ObjectClass, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.identity.directory import SYSTEM_TYPES
from kmipkit_server.identity.identity import SYSTEM
from kmipkit_server.objects import groups
from kmipkit_server.policy import rules
from kmipkit_server.store.base import Criterion, LocateQuery


def _criterion(call: Call, attribute: Attribute) -> Criterion:
    """A criterion; attributes that do not exist are refused, never ignored (KMIP 1.4 §11.10)."""
    key = attribute.key
    if isinstance(key, VendorName):
        unknown = not key.vendor
    else:
        row = BY_TAG.get(key)
        unknown = row is None or not row.known_in(call.version)
    if unknown:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"there is no attribute {attribute_name(key)!r}"
        )
    if attribute.value is None:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"{attribute_name(key)} has no value to compare with"
        )
    return Criterion(key, attribute.value)


MAX_CRITERIA = 500
"""Criteria of one Locate, fields of structures counted each; each costs a look-up per object."""


def _require_bounded(attributes: Attributes) -> None:
    wanted = sum(
        len(attribute.value.value) if isinstance(attribute.value.value, tuple) else 1
        for attribute in attributes
        if attribute.value is not None
    )
    if wanted > MAX_CRITERIA:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"Locate takes {MAX_CRITERIA} criteria at most, not {wanted}",
        )


def _whose(call: Call, attributes: Attributes) -> tuple[str, Attributes]:
    """The owner whose objects are meant, and the criteria that are left.

    Administrators find the server's objects by Object Class, or by a type that only it has.
    """
    rest = Attributes(tuple(one for one in attributes if one.key != Tag.OBJECT_CLASS))
    classes = {one.value.value for one in attributes if one.key == Tag.OBJECT_CLASS}
    types = {one.value.value for one in attributes if one.key == Tag.OBJECT_TYPE and one.value}
    if ObjectClass.SYSTEM not in classes and (classes or not types & SYSTEM_TYPES):
        return call.identity.name, rest
    rules.require_administrator(call.identity)
    return SYSTEM.name, rest


def _count(value: int | None, name: str) -> int | None:
    if value is not None and value < 0:
        raise OperationError(ResultReason.INVALID_FIELD, f"{name} cannot be {value}")
    return value


def locate(call: Call, request: LocateRequest) -> LocateResponse:
    """The caller's own objects that have all the attributes, newest first."""
    maximum = _count(request.maximum_items, "Maximum Items")
    _require_bounded(request.attributes or Attributes())
    owner, attributes = _whose(call, request.attributes or Attributes())
    query = LocateQuery(
        owner=owner,
        criteria=tuple(_criterion(call, attribute) for attribute in attributes),
        now=call.now,
        offset=_count(request.offset_items, "Offset Items") or 0,
        maximum=maximum,
        storage_status_mask=request.storage_status_mask,
        object_group_member=request.object_group_member,
    )
    located = groups.located(call, query)
    call.identifiers.extend(located.ids)
    paged = request.offset_items is not None or maximum is not None
    return LocateResponse(
        located_items=located.total if paged else None, unique_identifiers=located.ids
    )
