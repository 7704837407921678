"""vCenter's alarms as the API shows them: the entities that have them, and references of alarms.

All alarms are defined on the root folder. What is no entity of the API, such as a key provider or a key,
has its alarms there, too.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.vcenter.alarm_definitions import DEFINITIONS
from kmipkit_vsphere.vcenter.calls.events import Alarm, AlarmName, Entity
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.inventory import Node
from kmipkit_vsphere.web_services.vim25.alarms import AlarmState
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

PREFIX: Final = "alarm-"
_KIND: Final = "alarm"


def ref_of(call: "Call", name: AlarmName) -> Ref:
    """The reference of an alarm."""
    return Ref("Alarm", f"{PREFIX}{call.vcenter.store.managed_objects.number(_KIND, name)}")


def name_of(call: "Call", ref: Ref) -> AlarmName | None:
    """The alarm of a reference; None if there is none."""
    return next((name for name in DEFINITIONS if ref_of(call, name) == ref), None)


def all_alarms(call: "Call") -> list[Ref]:
    """The references of all alarms."""
    return [ref_of(call, name) for name in DEFINITIONS]


def node_of(call: "Call", entity: Entity) -> Node:
    """The entity of the API that has the alarms of an entity of vCenter."""
    return call.inventory.of_entity(f"{entity.type}/{entity.name}") or call.inventory.root


def states_on(call: "Call", nodes: Iterable[Node]) -> list[AlarmState]:
    """The alarms that some entities themselves have, as far as the caller may look at them.

    A folder that is shown because of what is in it does not show its own alarms.
    """
    by_ref = {node.ref: node for node in nodes}
    groups: dict[tuple[Ref, AlarmName], list[Alarm]] = {}
    for alarm in call.alarms:  # the red ones first
        node = by_ref.get(node_of(call, alarm.entity).ref)
        if node is not None and call.has(Privilege.VIEW, node.entity):
            groups.setdefault((node.ref, alarm.alarm), []).append(alarm)
    return [_state(ref, ref_of(call, name), alarms) for (ref, name), alarms in groups.items()]


def _state(ref: Ref, alarm: Ref, alarms: list[Alarm]) -> AlarmState:
    """One state, also where several providers or keys have the same alarm: that of the worst."""
    acknowledged = all(known.acknowledged_at is not None for known in alarms)
    worst, last = alarms[0], max(alarms, key=lambda known: known.acknowledged_at or "")
    return AlarmState(
        key=f"{alarm.value}.{ref.value}",
        entity=ref,
        alarm=alarm,
        overall_status=ManagedEntityStatus(worst.colour),
        time=datetime.fromisoformat(min(known.since for known in alarms)),
        acknowledged=acknowledged,
        acknowledged_by_user=last.acknowledged_by if acknowledged else None,
        acknowledged_time=(
            datetime.fromisoformat(last.acknowledged_at)
            if acknowledged and last.acknowledged_at is not None
            else None
        ),
    )


def entities_with(call: "Call", name: AlarmName, node: Node) -> Iterator[Entity]:
    """The entities of vCenter whose alarm of this name is that of an entity of the API."""
    for alarm in call.alarms:
        if alarm.alarm is name and node_of(call, alarm.entity).ref == node.ref:
            yield alarm.entity
