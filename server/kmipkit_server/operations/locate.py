"""Locate: find objects by their attributes, with indexes (KMIP 1.4 §4.9, KMIP 2.1 §6.1.28)."""

from kmipkit.errors import OperationError
from kmipkit.model.attribute import Attribute, Attributes, VendorName, attribute_name
from kmipkit.model.payloads.locate import LocateRequest, LocateResponse
from kmipkit.spec.attributes import BY_TAG
from kmipkit.spec.enums import ObjectClass, ObjectGroupMember, ResultReason
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_0
from kmipkit_server.engine.call import Call
from kmipkit_server.identity.directory import SYSTEM_TYPES
from kmipkit_server.objects import groups
from kmipkit_server.policy import rules
from kmipkit_server.store.base import Criterion, LocateQuery
from kmipkit_server.store.errors import SearchTooLong


def _criterion(call: Call, attribute: Attribute) -> Criterion:
    """A criterion. Attributes that do not exist are refused, not ignored (KMIP 1.4 §11.10)."""
    key = attribute.key
    if isinstance(key, VendorName):
        unknown = not key.vendor
    else:
        row = BY_TAG.get(key)
        unknown = row is None or not row.known_from(call.version)
    if unknown:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"KMIP {call.version} has no attribute {attribute_name(key)!r}",
        )
    if attribute.value is None:
        raise OperationError(
            ResultReason.INVALID_FIELD, f"the criterion {attribute_name(key)} has no value"
        )
    return Criterion(key, attribute.value)


MAX_CRITERIA = 500
"""Criteria of one Locate at most; each field of a structure counts as one.

Each criterion costs an index look-up for each object that the first criterion finds.
"""


def _limit_criteria(attributes: Attributes) -> None:
    count = sum(
        len(attribute.value.value) if isinstance(attribute.value.value, tuple) else 1
        for attribute in attributes
        if attribute.value is not None
    )
    if count > MAX_CRITERIA:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the request has {count} criteria; Locate takes {MAX_CRITERIA} at most",
            "locate_criteria",
        )


def _owner(call: Call, attributes: Attributes) -> tuple[str, Attributes]:
    """The owner whose objects are searched, and the other criteria.

    Administrators find the objects of the server, or of their tenant, by Object Class, or by a type
    that only these have.
    """
    classes, types, others = set(), set(), []
    for attribute in attributes:
        if attribute.key == Tag.OBJECT_CLASS:
            classes.add(attribute.value.value)
            continue
        if attribute.key == Tag.OBJECT_TYPE and attribute.value:
            types.add(attribute.value.value)
        others.append(attribute)
    criteria = Attributes(tuple(others))
    if ObjectClass.SYSTEM not in classes and (classes or not types & SYSTEM_TYPES):
        return call.identity.name, criteria
    rules.require_administrator(call.identity)
    return call.identity.system, criteria


def _not_negative(value: int | None, field: str) -> int | None:
    if value is not None and value < 0:
        raise OperationError(ResultReason.INVALID_FIELD, f"{field} cannot be negative: {value}")
    return value


def _storage_status(call: Call, request: LocateRequest) -> StorageStatusMask | None:
    """The Storage Status Mask of the request.

    "The server SHALL NOT return unique identifiers for objects that are destroyed unless the Storage
    Status Mask field includes the Destroyed Storage indicator" (KMIP 2.1 §6.1.28). 1.x has no such
    indicator: there the State asks for them.
    """
    mask = request.storage_status_mask
    return StorageStatusMask.ON_LINE_STORAGE if mask is None and call.version >= V2_0 else mask


def locate(call: Call, request: LocateRequest) -> LocateResponse:
    """Find the client's own objects that meet all criteria, newest first (KMIP 2.1 §6.1.28).

    1.x does not say in which order. There, fresh members of a group are handed out in the order in
    which they came, as the official case TC-152 expects.
    """
    maximum = _not_negative(request.maximum_items, "Maximum Items")
    _limit_criteria(request.attributes or Attributes())
    owner, attributes = _owner(call, request.attributes or Attributes())
    query = LocateQuery(
        owner=owner,
        criteria=tuple(_criterion(call, attribute) for attribute in attributes),
        now=call.now,
        offset=_not_negative(request.offset_items, "Offset Items") or 0,
        maximum=maximum,
        storage_status_mask=_storage_status(call, request),
        object_group_member=request.object_group_member,
        limit=call.settings.max_located,
        oldest_first=call.version < V2_0
        and request.object_group_member == ObjectGroupMember.GROUP_MEMBER_FRESH,
    )
    try:
        located = groups.locate(call, query)
    except SearchTooLong as error:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED, str(error), "locate_objects"
        ) from None
    call.identifiers = located.ids
    is_paged = request.offset_items is not None or maximum is not None
    return LocateResponse(
        located_items=located.total if is_paged else None, unique_identifiers=located.ids
    )
