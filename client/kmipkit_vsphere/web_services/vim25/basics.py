"""Small types that many others use."""

from collections.abc import Sequence
from typing import Any

from kmipkit_vsphere.web_services.vim25.declaration import DataObject


class KeyValue(DataObject):
    key: str
    value: str


class KeyAnyValue(DataObject):
    key: str
    value: Any


class DynamicProperty(DataObject):
    name: str
    val: Any


class Description(DataObject):
    label: str
    summary: str


class ElementDescription(Description):
    key: str


class TypeDescription(Description):
    key: str


class LocalizableMessage(DataObject):
    key: str
    arg: Sequence[KeyAnyValue] = ()
    message: str | None = None


class MethodFault(DataObject):
    """What all faults have."""

    fault_cause: "LocalizedMethodFault | None" = None
    fault_message: Sequence[LocalizableMessage] = ()


class LocalizedMethodFault(DataObject):
    """A fault as a value, with its text."""

    fault: MethodFault
    localized_message: str | None = None


class OptionValue(DataObject):
    key: str
    value: Any | None = None
