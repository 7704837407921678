"""Adjust Attribute: a value counted up or down, or negated (KMIP 2.1 §6.1.3, §11.1)."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from kmipkit.errors import LocalProtocolError, OperationError
from kmipkit.model.attribute import Attribute, AttributeKey, VendorName, attribute_name
from kmipkit.model.attribute_field_types import vendor_item
from kmipkit.model.field_types import Place
from kmipkit.model.payloads.attributes import AdjustAttributeRequest, AdjustAttributeResponse
from kmipkit.model.plan import value_type
from kmipkit.spec.enums import AdjustmentType, ResultReason
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import attribute_rules
from kmipkit_server.objects.access import load_for_change, save
from kmipkit_server.objects.managed import Managed, set_attribute

_NUMBERS = (ItemType.INTEGER, ItemType.LONG_INTEGER, ItemType.BIG_INTEGER)

_SMALLEST: Mapping[ItemType, timedelta] = MappingProxyType(
    {
        ItemType.DATE_TIME: timedelta(seconds=1),
        ItemType.DATE_TIME_EXTENDED: timedelta(microseconds=1),
    }
)
"""What an adjustment of 1 means for a date."""

_BEFORE: Mapping[ItemType, Any] = MappingProxyType(
    {**dict.fromkeys((*_NUMBERS, ItemType.INTERVAL), 0), ItemType.BOOLEAN: False}
)
"""What counts as the value of an attribute that the object does not have."""

Adjust = Callable[[Any, Any], Any]

ADJUSTMENTS: Mapping[AdjustmentType, tuple[frozenset[ItemType], Adjust]] = MappingProxyType(
    {
        AdjustmentType.INCREMENT: (
            frozenset({*_NUMBERS, ItemType.INTERVAL, *_SMALLEST}),
            lambda value, by: value + by,
        ),
        AdjustmentType.DECREMENT: (
            frozenset({*_NUMBERS, ItemType.INTERVAL, *_SMALLEST}),
            lambda value, by: value - by,
        ),
        AdjustmentType.NEGATE: (
            frozenset({*_NUMBERS, ItemType.BOOLEAN}),
            lambda value, _by: not value if isinstance(value, bool) else -value,
        ),
    }
)
"""Adjustment Type -> the types that it applies to, and what it does (KMIP 2.1 §11.1)."""


def _type(key: AttributeKey, value: Any, version: Version) -> ItemType:
    """The item type of an attribute. Invalid Data Type for what is no number, date or Boolean."""
    if isinstance(key, VendorName):
        kinds = {bool: ItemType.BOOLEAN, int: ItemType.INTEGER, datetime: ItemType.DATE_TIME}
        found = kinds.get(type(value))
    else:
        kind = value_type(key, version)
        types = kind.item_types if kind is not None else frozenset()
        found = next(iter(types)) if len(types) == 1 else None
    if found is None:
        raise OperationError(
            ResultReason.INVALID_DATA_TYPE, f"{attribute_name(key)} cannot be adjusted"
        )
    return found


def _check(key: AttributeKey, value: Any, version: Version) -> None:
    """Refuse a value that the attribute cannot have (Numeric Range)."""
    try:
        if isinstance(key, VendorName):
            vendor_item(Tag.ATTRIBUTE_VALUE, value, Place())
        else:
            kind = value_type(key, version)
            assert kind is not None
            kind.write(key, value, Place())
    except LocalProtocolError:
        raise OperationError(
            ResultReason.NUMERIC_RANGE, f"{attribute_name(key)} cannot be as much as that"
        ) from None


def _current(managed: Managed, key: AttributeKey) -> Any:
    instances = managed.all(key)
    if len(instances) > 1:
        raise OperationError(
            ResultReason.MULTI_VALUED_ATTRIBUTE, f"{attribute_name(key)} has several values"
        )
    return instances[0].value if instances else None


def _by(request: AdjustAttributeRequest, item_type: ItemType) -> Any:
    """The amount: a number, or a span of time for dates."""
    given = request.adjustment_value
    amount = 1 if given is None else given.value
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise OperationError(ResultReason.INVALID_DATA_TYPE, "Adjustment Value must be a number")
    smallest = _SMALLEST.get(item_type)
    if smallest is None:
        return amount
    try:
        return amount * smallest
    except OverflowError:
        raise OperationError(ResultReason.NUMERIC_RANGE, "the date is out of range") from None


def adjust_attribute(call: Call, request: AdjustAttributeRequest) -> AdjustAttributeResponse:
    """Change a value by an amount, without the client knowing it."""
    managed = load_for_change(call, request.unique_identifier)
    key = request.attribute_reference
    current = _current(managed, key)
    item_type = _type(key, current, call.version)
    types, adjust = ADJUSTMENTS.get(request.adjustment_type, (frozenset(), None))
    before = _BEFORE.get(item_type) if current is None else current
    if adjust is None or item_type not in types or before is None:
        raise OperationError(
            ResultReason.INVALID_DATA_TYPE,
            f"{attribute_name(key)} cannot be adjusted so",
        )
    try:
        value = adjust(before, _by(request, item_type))
    except OverflowError:
        raise OperationError(ResultReason.NUMERIC_RANGE, "the date is out of range") from None
    attribute_rules.check_set(Attribute(key, value), managed, call.version)
    _check(key, value, call.version)
    save(call, managed, managed.with_stored(set_attribute(managed.stored, key, value)))
    return AdjustAttributeResponse(unique_identifier=call.returns(managed.id))
