"""Alarms."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Ref, Since
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus


class AlarmExpression(DataObject, abstract=True):
    """What raises an alarm."""


class OrAlarmExpression(AlarmExpression):
    """Any of several expressions."""

    expression: Sequence[AlarmExpression] = ()


class EventAlarmExpression(AlarmExpression):
    """An event."""

    event_type: str
    event_type_id: str | None = None
    object_type: str | None = None
    status: ManagedEntityStatus | None = None


class AlarmSpec(DataObject):
    """What an alarm is about."""

    name: str
    system_name: str | None = None
    description: str
    enabled: bool
    expression: AlarmExpression


class AlarmInfo(AlarmSpec):
    """An alarm, and where it is defined."""

    key: str
    alarm: Ref
    entity: Ref
    last_modified_time: datetime
    last_modified_user: str
    creation_event_id: int


class AlarmState(DataObject):
    """An alarm of an entity, since when, and who knows of it."""

    key: str
    entity: Ref
    alarm: Ref
    overall_status: ManagedEntityStatus
    time: datetime
    acknowledged: bool | None = None
    acknowledged_by_user: str | None = None
    acknowledged_time: datetime | None = None
    disabled: Annotated[bool | None, Since("6.9.1")] = None
