"""Which events a client asks for, and how the API shows them (vsphere.md §5.3)."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.vcenter.calls import events
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services import inventory
from kmipkit_vsphere.web_services.inventory import Node
from kmipkit_vsphere.web_services.vim25 import events as vim
from kmipkit_vsphere.web_services.vim25.basics import KeyAnyValue

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

SYSTEM_USER: Final = "vCenter"
MAX_COUNT: Final = 1000
TYPES: Final = ("EventEx", "Event")
"""What every event of the laboratory is, as clients name it."""


def selected(call: "Call", spec: vim.EventFilterSpec) -> list[events.Event]:
    """The events that meet a filter, and that the caller may see, the oldest first."""
    if spec.alarm is not None or spec.scheduled_task is not None:
        return []  # no event of the laboratory comes from one
    found = [event for event in call.vcenter.crypto.event_log.find() if _meets(call, event, spec)]
    if spec.max_count is not None and spec.max_count > 0:
        return found[-spec.max_count :]
    return found


def _meets(call: "Call", event: events.Event, spec: vim.EventFilterSpec) -> bool:
    return (
        (spec.event_chain_id is None or event.key == spec.event_chain_id)
        and (not spec.category or event.severity in spec.category)
        and (not spec.type or any(kind in spec.type for kind in (*TYPES, event.event_type_id)))
        and (not spec.event_type_id or event.event_type_id in spec.event_type_id)
        and (spec.user_name is None or _is_by(event, spec.user_name))
        and (spec.time is None or _is_in(event, spec.time))
        and _is_about(call, event, spec.entity)
    )


def _is_by(event: events.Event, users: vim.EventFilterSpecByUsername) -> bool:
    is_system = event.user_name == SYSTEM_USER
    return event.user_name in users.user_list or (users.system_user and is_system)


def _is_in(event: events.Event, time: vim.EventFilterSpecByTime) -> bool:
    created = datetime.fromisoformat(event.created_time)
    return (time.begin_time is None or created >= time.begin_time) and (
        time.end_time is None or created <= time.end_time
    )


def _is_about(
    call: "Call", event: events.Event, entity: vim.EventFilterSpecByEntity | None
) -> bool:
    """Whether an event is of an entity, or of something inside it, which the caller sees."""
    node = node_of(call, event)
    if not (call.has(Privilege.VIEW, "/") if node is None else call.sees(node)):
        return False
    if entity is None:
        return True
    top = call.inventory.find(entity.entity)
    if top is None:
        raise InvalidArgument(f"there is no {entity.entity}", invalid_property="filter.entity")
    # What is about no entity, such as a key provider, is of vCenter as a whole.
    here = node or call.inventory.root
    option = vim.EventFilterSpecRecursionOption
    if here is top and entity.recursion is not option.CHILDREN:
        return True
    if entity.recursion is option.SELF:
        return False
    if entity.recursion is option.CHILDREN:
        return here.parent is top
    return any(above is top for above in _above(here))


def _above(node: Node) -> list[Node]:
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def node_of(call: "Call", event: events.Event) -> Node | None:
    """The entity that an event is about, if it is in the inventory."""
    if event.entity is None:
        return None
    return call.inventory.of_entity(f"{event.entity.type}/{event.entity.name}")


def described(call: "Call", event: events.Event, *, with_message: bool = True) -> vim.EventEx:
    """An event as the API shows it."""
    node = node_of(call, event)
    entity = event.entity
    return vim.EventEx(
        key=event.key,
        chain_id=event.key,
        created_time=datetime.fromisoformat(event.created_time),
        user_name=event.user_name,
        datacenter=_datacenter() if node is not None else None,
        host=vim.HostEventArgument(name=node.name, host=node.ref)
        if node is not None and node.ref.type == "HostSystem"
        else None,
        vm=vim.VmEventArgument(name=node.name, vm=node.ref)
        if node is not None and node.ref.type == "VirtualMachine"
        else None,
        full_formatted_message=event.message if with_message else None,
        event_type_id=event.event_type_id,
        severity=str(event.severity),
        message=event.message,
        arguments=_arguments(event),
        object_id=node.ref.value if node is not None else None,
        object_type=node.ref.type if node is not None else None,
        object_name=entity.name if entity is not None else None,
    )


def _datacenter() -> vim.DatacenterEventArgument:
    return vim.DatacenterEventArgument(
        name=inventory.DATACENTER_NAME, datacenter=inventory.DATACENTER
    )


def _arguments(event: events.Event) -> Sequence[KeyAnyValue]:
    """What was done, with which key and result (requirement R35), and what else is known."""
    texts: dict[str, Any] = {
        "operation": event.operation,
        "result": event.result,
        "keyId": event.key_id,
        "providerId": event.provider_id,
        **event.arguments,
    }
    return [
        KeyAnyValue(key=name, value=value if isinstance(value, bool | str) else str(value))
        for name, value in texts.items()
        if value not in (None, "")
    ]
