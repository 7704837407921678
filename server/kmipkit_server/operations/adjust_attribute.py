"""Adjust Attribute: increment, decrement or negate a value (KMIP 2.1 §6.1.3, §11.1)."""

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
from kmipkit.spec.titles import title
from kmipkit.spec.versions import Version
from kmipkit_server.engine.call import Call
from kmipkit_server.objects import attribute_rules
from kmipkit_server.objects.access import load_for_change, save
from kmipkit_server.objects.dates import activated_if_due, require_order_with
from kmipkit_server.objects.managed import Managed, set_attribute

_NUMBERS = (ItemType.INTEGER, ItemType.LONG_INTEGER, ItemType.BIG_INTEGER)

_DATE_UNITS: Mapping[ItemType, timedelta] = MappingProxyType(
    {
        ItemType.DATE_TIME: timedelta(seconds=1),
        ItemType.DATE_TIME_EXTENDED: timedelta(microseconds=1),
    }
)
"""The amount of time by which an Adjustment Value of 1 changes a date."""

_INITIAL_VALUES: Mapping[ItemType, Any] = MappingProxyType(
    {**dict.fromkeys((*_NUMBERS, ItemType.INTERVAL), 0), ItemType.BOOLEAN: False}
)
"""The value from which an attribute that the object does not have is adjusted."""

Adjust = Callable[[Any, Any], Any]

ADJUSTMENTS: Mapping[AdjustmentType, tuple[frozenset[ItemType], Adjust]] = MappingProxyType(
    {
        AdjustmentType.INCREMENT: (
            frozenset({*_NUMBERS, ItemType.INTERVAL, *_DATE_UNITS}),
            lambda value, by: value + by,
        ),
        AdjustmentType.DECREMENT: (
            frozenset({*_NUMBERS, ItemType.INTERVAL, *_DATE_UNITS}),
            lambda value, by: value - by,
        ),
        AdjustmentType.NEGATE: (
            frozenset({*_NUMBERS, ItemType.BOOLEAN}),
            lambda value, _by: not value if isinstance(value, bool) else -value,
        ),
    }
)
"""Adjustment Type -> the types that it applies to, and what it does (KMIP 2.1 §11.1)."""

_VENDOR_TYPES: Mapping[type, ItemType] = MappingProxyType(
    {bool: ItemType.BOOLEAN, int: ItemType.INTEGER, datetime: ItemType.DATE_TIME}
)


def _type(key: AttributeKey, value: Any, version: Version) -> ItemType:
    """The item type of an attribute. Invalid Data Type if it has none or more than one."""
    if isinstance(key, VendorName):
        item_type = _VENDOR_TYPES.get(type(value))
    else:
        field_type = value_type(key, version)
        item_types = field_type.item_types if field_type is not None else frozenset()
        item_type = next(iter(item_types)) if len(item_types) == 1 else None
    if item_type is None:
        raise OperationError(
            ResultReason.INVALID_DATA_TYPE, f"{attribute_name(key)} cannot be adjusted"
        )
    return item_type


def _check(key: AttributeKey, value: Any, version: Version) -> None:
    """Refuse a value outside the range of the attribute's type (Numeric Range)."""
    try:
        if isinstance(key, VendorName):
            vendor_item(Tag.ATTRIBUTE_VALUE, value, Place())
        else:
            field_type = value_type(key, version)
            assert field_type is not None
            field_type.write(key, value, Place())
    except LocalProtocolError:
        raise OperationError(
            ResultReason.NUMERIC_RANGE, f"the new value of {attribute_name(key)} is out of range"
        ) from None


def _current(managed: Managed, key: AttributeKey) -> Any:
    instances = managed.instances(key)
    if len(instances) > 1:
        raise OperationError(
            ResultReason.MULTI_VALUED_ATTRIBUTE,
            f"{attribute_name(key)} has several instances; only a single one can be adjusted",
        )
    return instances[0].value if instances else None


def _amount(request: AdjustAttributeRequest, item_type: ItemType) -> Any:
    """The amount: a number, or a span of time for dates."""
    item = request.adjustment_value
    amount = 1 if item is None else item.value
    if isinstance(amount, bool) or not isinstance(amount, int):
        raise OperationError(ResultReason.INVALID_DATA_TYPE, "Adjustment Value must be a number")
    unit = _DATE_UNITS.get(item_type)
    if unit is None:
        return amount
    try:
        return amount * unit
    except OverflowError:
        raise OperationError(
            ResultReason.NUMERIC_RANGE, "the adjusted date is out of range"
        ) from None


def adjust_attribute(call: Call, request: AdjustAttributeRequest) -> AdjustAttributeResponse:
    """Change a value by an amount, so that the client need not know the value."""
    managed = load_for_change(call, request.unique_identifier)
    key = request.attribute_reference
    current = _current(managed, key)
    item_type = _type(key, current, call.version)
    types, adjust = ADJUSTMENTS.get(request.adjustment_type, (frozenset(), None))
    old = _INITIAL_VALUES.get(item_type) if current is None else current
    if adjust is None or item_type not in types or old is None:
        raise OperationError(
            ResultReason.INVALID_DATA_TYPE,
            f"the Adjustment Type {title(request.adjustment_type)} does not apply to"
            f" {attribute_name(key)}",
        )
    try:
        value = adjust(old, _amount(request, item_type))
    except OverflowError:
        raise OperationError(
            ResultReason.NUMERIC_RANGE, "the adjusted date is out of range"
        ) from None
    attribute_rules.check_set(Attribute(key, value), managed, call.version)
    _check(key, value, call.version)
    attributes = set_attribute(managed.attributes, key, value)
    require_order_with(attributes, key)
    save(call, managed, activated_if_due(managed.with_attributes(attributes), key))
    return AdjustAttributeResponse(unique_identifier=call.returns(managed.id))
