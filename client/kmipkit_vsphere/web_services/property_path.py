"""Paths to properties, such as ``config.hardware.device[2000].backing``."""

import dataclasses
import re
from typing import TYPE_CHECKING, Any, Final

from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.vim25.declaration import (
    AnyType,
    DataObject,
    Shape,
    Value,
    elements,
    shape_of_value,
)
from kmipkit_vsphere.web_services.vim25.faults import InvalidProperty, NotAuthenticated
from kmipkit_vsphere.web_services.vim25.omitted import is_omitted

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call
    from kmipkit_vsphere.web_services.managed import ManagedObject

_STEP: Final = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)(?:\["?([^"\]]*)"?\])?')
_MAX_LENGTH: Final = 1024


async def value_at(call: "Call", instance: "ManagedObject", path: str) -> Value | None:
    """The value at a path with its declared type; None if it is not set.

    Raises the fault ``InvalidProperty`` for a path that does not exist, and ``NotAuthenticated``
    without a session, except for the few properties that anyone may read.
    """
    first, *others = _steps(path)
    name, key = first
    declared = instance.PROPERTIES.get(name)
    if declared is None and is_omitted(type(instance), name):
        return None
    if declared is None or declared.since > call.version:
        raise invalid(path)
    if call.session is None and not declared.is_public:
        raise Fault(
            NotAuthenticated(object=instance.ref, privilege_id="System.View"),
            "The session is not authenticated.",
        )
    if call.session is not None:
        instance.check_visible(call)
    value = _item(path, declared.shape, await declared.value(instance, call), key)
    for name, key in others:
        if isinstance(value.shape.kind, type) and is_omitted(value.shape.kind, name):
            return None
        value = _item(path, *_field(path, value, name, call), key)
    return None if value.value is None else value


def _field(path: str, parent: Value, name: str, call: "Call") -> tuple[Shape, Any]:
    """A field of the value so far; of a value that is not set, by its declared type."""
    shape = parent.shape
    if shape.kind is AnyType and parent.value is not None:
        shape = shape_of_value(parent.value)
    kind = type(parent.value) if isinstance(parent.value, DataObject) else shape.kind
    if shape.is_array or not (isinstance(kind, type) and issubclass(kind, DataObject)):
        raise invalid(path)
    for field in elements(kind):
        if field.name == name and field.shape.since <= call.version:
            value = None if parent.value is None else getattr(parent.value, field.attribute)
            return field.shape, value
    raise invalid(path)


def _item(path: str, shape: Shape, value: Any, key: str | None) -> Value:
    """The value itself, or the item of an array that has a key."""
    if key is None:
        return Value(shape, value)
    if not shape.is_array:
        raise invalid(path)
    single = dataclasses.replace(shape, is_array=False)
    items = [item for item in value or () if str(getattr(item, "key", "")) == key]
    return Value(single, items[0] if items else None)


def _steps(path: str) -> list[tuple[str, str | None]]:
    if len(path) > _MAX_LENGTH:
        raise invalid(path[:_MAX_LENGTH])
    steps = [_STEP.fullmatch(step) for step in re.split(r"\.(?![^\[]*\])", path)]
    if None in steps:
        raise invalid(path)
    return [(step[1], step[2]) for step in steps if step is not None]


def invalid(path: str) -> Fault:
    """The fault for a path that does not exist."""
    return Fault(InvalidProperty(name=path), f"there is no property {path}")
