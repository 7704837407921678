"""Events (vsphere.md §5.3)."""

from msgspec import structs

from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import (
    Alarm,
    Event,
    EventTypeInfo,
    ExportEvents,
    ListAlarms,
    ListEventTypes,
    QueryEvents,
)
from kmipkit_vsphere.vcenter.event_types import EVENT_TYPES
from kmipkit_vsphere.vcenter.events import EventFilter, export, full_id
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
    return vcenter.hosts.alarms.all()
