"""Alarms and their manager."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.model.errors import NotFound
from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS, full_id
from kmipkit_vsphere.vcenter.calls.events import AcknowledgeAlarm, AlarmName
from kmipkit_vsphere.web_services import alarm_states
from kmipkit_vsphere.web_services.endpoint import finder
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.inventory import ROOT_FOLDER, Node
from kmipkit_vsphere.web_services.managed import (
    ExtensibleManagedObject,
    ManagedObject,
    method,
    prop,
)
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity
from kmipkit_vsphere.web_services.vim25.alarms import (
    AlarmInfo,
    AlarmState,
    EventAlarmExpression,
    OrAlarmExpression,
)
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import InvalidArgument, ManagedObjectNotFound
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_OBJECT_TYPES: Final = {
    "host": "HostSystem",
    "machine": "VirtualMachine",
    "trustAuthority or cluster": "ClusterComputeResource",
}
"""The types of entities of the API; what is none has its alarms on the root folder."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Alarm(ExtensibleManagedObject):
    """A definition of an alarm."""

    def __init__(self, ref: Ref, name: AlarmName) -> None:
        super().__init__(ref)
        self._name = name

    @prop()
    def info(self, _call: "Call") -> AlarmInfo:
        """What raises it; definitions do not change."""
        definition = DEFINITIONS[self._name]
        events = tuple(
            EventAlarmExpression(
                event_type="EventEx",
                event_type_id=full_id(event),
                object_type=_OBJECT_TYPES.get(definition.entity_type, "Folder"),
                status=ManagedEntityStatus(definition.colours[-1]),
            )
            for event in definition.raised_by
        )
        return AlarmInfo(
            name=str(self._name),
            system_name=f"alarm.{self._name}",
            description=f"{definition.condition}; it ends with {definition.cleared_by}",
            enabled=True,
            expression=OrAlarmExpression(expression=events),
            key=self.ref.value,
            alarm=self.ref,
            entity=ROOT_FOLDER,
            last_modified_time=_EPOCH,
            last_modified_user="",
            creation_event_id=0,
        )


@finder("Alarm")
def find_alarm(call: "Call", ref: Ref) -> Alarm | None:
    """The alarm of a reference; anyone without a session finds none."""
    name = alarm_states.name_of(call, ref) if call.session is not None else None
    return None if name is None else Alarm(ref, name)


class AlarmManager(ManagedObject, moid="AlarmManager", content="alarm_manager"):
    """The alarms of vCenter."""

    @method("GetAlarm")
    async def get_alarm(self, call: "Call", entity: Ref | None) -> Sequence[Ref]:
        """All alarms, which are defined on the root folder; none for other entities."""
        if entity is not None and _node(call, entity).ref != ROOT_FOLDER:
            return []
        return alarm_states.all_alarms(call)

    @method("GetAlarmState")
    async def get_alarm_state(self, call: "Call", entity: Ref) -> Sequence[AlarmState]:
        """The alarms that an entity itself has now."""
        return alarm_states.states_on(call, [_node(call, entity)])

    @method("AcknowledgeAlarm")
    async def acknowledge_alarm(self, call: "Call", alarm: Ref, entity: Ref) -> None:
        """Note that the caller looks after an alarm of an entity."""
        name, node = alarm_states.name_of(call, alarm), _node(call, entity)
        if name is None:
            raise Fault(ManagedObjectNotFound(obj=alarm), f"there is no alarm {alarm}")
        requests = [
            AcknowledgeAlarm(name, str(owner))
            for owner in alarm_states.entities_with(call, name, node)
        ]
        if not requests:
            nothing = AcknowledgeAlarm(name, node.entity)
            call.endpoint.service.authorize(nothing, call.user)
            raise _none(f"{node.name} has no alarm {name}")
        for request in requests:
            try:
                await call.run(request)
            except NotFound as gone:
                raise _none(gone.message) from None


def _none(message: str) -> Fault:
    return Fault(InvalidArgument(invalid_property="alarm"), message)


def _node(call: "Call", ref: Ref) -> Node:
    """The node of an entity that the caller may look at."""
    node = call.inventory.find(ref)
    if node is None:
        raise Fault(ManagedObjectNotFound(obj=ref), f"there is no object {ref}")
    ManagedEntity(node).check_visible(call)
    return node
