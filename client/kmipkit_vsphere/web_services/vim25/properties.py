"""What the property collector takes and answers."""

from collections.abc import Sequence
from typing import Any

from kmipkit_vsphere.web_services.vim25.basics import DynamicProperty, LocalizedMethodFault
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Ref, VimEnum


class SelectionSpec(DataObject):
    """Names a TraversalSpec, also one that encloses it."""

    name: str | None = None


class TraversalSpec(SelectionSpec):
    """Leads from objects of a type along a property to others."""

    type: str
    path: str
    skip: bool | None = None
    select_set: Sequence[SelectionSpec] = ()


class PropertySpec(DataObject):
    type: str
    all: bool | None = None
    path_set: Sequence[str] = ()


class ObjectSpec(DataObject):
    obj: Ref
    skip: bool | None = None
    select_set: Sequence[SelectionSpec] = ()


class PropertyFilterSpec(DataObject):
    prop_set: Sequence[PropertySpec] = ()
    object_set: Sequence[ObjectSpec] = ()
    report_missing_objects_in_results: bool | None = None


class RetrieveOptions(DataObject):
    max_objects: int | None = None


class MissingProperty(DataObject):
    path: str
    fault: LocalizedMethodFault


class MissingObject(DataObject):
    obj: Ref
    fault: LocalizedMethodFault


class ObjectContent(DataObject):
    obj: Ref
    prop_set: Sequence[DynamicProperty] = ()
    missing_set: Sequence[MissingProperty] = ()


class RetrieveResult(DataObject):
    token: str | None = None
    objects: Sequence[ObjectContent] = ()


class PropertyChangeOp(VimEnum):
    ADD = "add"
    REMOVE = "remove"
    ASSIGN = "assign"
    INDIRECT_REMOVE = "indirectRemove"


class PropertyChange(DataObject):
    name: str
    op: PropertyChangeOp
    val: Any | None = None


class ObjectUpdateKind(VimEnum):
    MODIFY = "modify"
    ENTER = "enter"
    LEAVE = "leave"


class ObjectUpdate(DataObject):
    kind: ObjectUpdateKind
    obj: Ref
    change_set: Sequence[PropertyChange] = ()
    missing_set: Sequence[MissingProperty] = ()


class PropertyFilterUpdate(DataObject):
    filter: Ref
    object_set: Sequence[ObjectUpdate] = ()
    missing_set: Sequence[MissingObject] = ()


class UpdateSet(DataObject):
    version: str
    filter_set: Sequence[PropertyFilterUpdate] = ()
    truncated: bool | None = None


class WaitOptions(DataObject):
    max_wait_seconds: int | None = None
    max_object_updates: int | None = None
