"""Events (vsphere.md §5.3)."""

from msgspec import structs

from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS, full_id
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import (
    AcknowledgeAlarm,
    Alarm,
    AlarmDefinition,
    Event,
    EventTypeInfo,
    ExportEvents,
    ListAlarmDefinitions,
    ListAlarms,
    ListEventTypes,
    QueryEvents,
)
from kmipkit_vsphere.vcenter.event_types import EVENT_TYPES
from kmipkit_vsphere.vcenter.events import EventFilter, export
from kmipkit_vsphere.vcenter.vcenter import VCenter


@QueryEvents.handler
async def query(vcenter: VCenter, _caller: Caller, request: QueryEvents) -> list[Event]:
    return vcenter.crypto.event_log.find(EventFilter.of(request))[-request.limit :]


@ExportEvents.handler
async def export_all(vcenter: VCenter, _caller: Caller, request: ExportEvents) -> str:
    """Requirement R34."""
    return export(vcenter.crypto.event_log.find(EventFilter.of(request)), request.format)


@ListEventTypes.handler
async def list_types(
    _vcenter: VCenter, _caller: Caller, _request: ListEventTypes
) -> list[EventTypeInfo]:
    return [structs.replace(row, id=full_id(row.id)) for row in EVENT_TYPES.values()]


@ListAlarms.handler
async def list_alarms(vcenter: VCenter, _caller: Caller, _request: ListAlarms) -> list[Alarm]:
    return vcenter.alarms.all()


@ListAlarmDefinitions.handler
async def list_definitions(
    _vcenter: VCenter, _caller: Caller, _request: ListAlarmDefinitions
) -> list[AlarmDefinition]:
    return [definition.message() for definition in DEFINITIONS.values()]


@AcknowledgeAlarm.handler
async def acknowledge(vcenter: VCenter, caller: Caller, request: AcknowledgeAlarm) -> Alarm:
    alarm = vcenter.alarms.acknowledge(caller.user, request.alarm, request.entity)
    vcenter.crypto.event_log.add(
        "vim.event.AlarmAcknowledgedEvent",
        f"{caller.user} acknowledged the alarm {alarm.alarm} of {alarm.entity}",
        user=caller.user,
        operation="AcknowledgeAlarm",
        entity=alarm.entity,
    )
    return alarm
