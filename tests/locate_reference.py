"""The reference for Locate: a filter in Python over the objects, without SQL, index or stored form."""

from datetime import datetime, timedelta
from typing import Any

from kmipkit_server.store.base import Located, LocateQuery, Record
from locate_strategies import EPOCH, MASKS, UNDEFINED

from kmipkit.lifecycle import DESTROYED_STATES, effective_state
from kmipkit.model.attribute import AttributeKey
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    ObjectGroupMember,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item


def comparable(value: Any) -> tuple[str, Any]:
    """A value with its kind: a text equals only texts, but integers of all types are numbers."""
    if isinstance(value, Item):
        if value.type is ItemType.DATE_TIME:
            return "date", value.value
        return ("tree", value.value) if isinstance(value.value, tuple) else comparable(value.value)
    if isinstance(value, datetime):
        return "date", (value - EPOCH) // timedelta(seconds=1)
    for kind in (str, bytes):
        if isinstance(value, kind):
            return kind.__name__, value
    return "number", int(value)


def field_matches(value: Structure, requested: Item) -> bool:
    current = getattr(value, Tag(requested.tag).name.lower())
    if requested.tag in (Tag.USAGE_LIMITS_TOTAL, Tag.USAGE_LIMITS_COUNT):
        assert isinstance(requested.value, int)
        return bool(current >= requested.value)
    return comparable(current) == comparable(requested)


def value_matches(key: AttributeKey, value: Any, requested: Item) -> bool:
    """Whether an instance of an attribute satisfies a criterion."""
    if key in MASKS:
        assert isinstance(requested.value, int)
        return int(value) & requested.value == requested.value
    if isinstance(value, Structure):
        assert isinstance(requested.value, tuple)
        return all(field_matches(value, child) for child in requested.value)
    return comparable(value) == comparable(requested)


def group_matches(record: Record, key: AttributeKey, requested: list[Item], now: datetime) -> bool:
    """Whether an object satisfies all criteria of one attribute."""
    state = effective_state(record.stored_state, record.activation, record.deactivation, now)
    columns = {
        Tag.UNIQUE_IDENTIFIER: record.id,
        Tag.OBJECT_TYPE: record.object_type,
        Tag.STATE: state,
    }
    values = [columns[key]] if key in columns else record.attributes.all(key)
    if len(requested) == 2 and all(item.type is ItemType.DATE_TIME for item in requested):
        start, end = sorted(comparable(item)[1] for item in requested)
        return any(
            kind == "date" and start <= date <= end for kind, date in map(comparable, values)
        )
    return all(
        (item.type is ItemType.DATE_TIME and item.value == UNDEFINED)
        or any(value_matches(key, value, item) for value in values)
        for item in requested
    )


def is_in_storage(record: Record, query: LocateQuery) -> bool:
    mask = query.storage_status_mask
    is_destroyed = record.stored_state in DESTROYED_STATES
    is_archived = Tag.ARCHIVE_DATE in record.attributes
    if mask is not None:
        places = {
            StorageStatusMask.ON_LINE_STORAGE: not is_destroyed and not is_archived,
            StorageStatusMask.ARCHIVAL_STORAGE: is_archived,
            StorageStatusMask.DESTROYED_STORAGE: is_destroyed,
        }
        return any(is_there for place, is_there in places.items() if place in mask)
    states = [criterion.value.value for criterion in query.criteria if criterion.key == Tag.STATE]
    return not is_archived and (
        not is_destroyed or any(state in DESTROYED_STATES for state in states)
    )


def located_by_filter(records: list[Record], query: LocateQuery) -> Located:
    """The result of a filter over every object."""
    keys = dict.fromkeys(criterion.key for criterion in query.criteria)
    identifiers = [
        record.id
        for record in (records if query.oldest_first else reversed(records))
        if record.owner == query.owner
        and is_in_storage(record, query)
        and (
            query.object_group_member != ObjectGroupMember.GROUP_MEMBER_FRESH
            or record.attributes.get(Tag.FRESH) is True
        )
        and all(
            group_matches(
                record,
                key,
                [criterion.value for criterion in query.criteria if criterion.key == key],
                query.now,
            )
            for key in keys
        )
    ]
    end = None if query.maximum is None else query.offset + query.maximum
    return Located(tuple(identifiers[query.offset : end]), len(identifiers))
