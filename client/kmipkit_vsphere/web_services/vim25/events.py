"""Events, and what selects them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from kmipkit_vsphere.web_services.vim25.basics import ElementDescription, KeyAnyValue
from kmipkit_vsphere.web_services.vim25.declaration import DataObject, Ref, Since, VimEnum

# Events ------------------------------------------------------------------------------------------


class EventArgument(DataObject):
    """What an event is about."""


class EntityEventArgument(EventArgument):
    name: str


class DatacenterEventArgument(EntityEventArgument):
    datacenter: Ref


class HostEventArgument(EntityEventArgument):
    host: Ref


class VmEventArgument(EntityEventArgument):
    vm: Ref


class Event(DataObject):
    """What happened; the key is its number."""

    key: int
    chain_id: int
    created_time: datetime
    user_name: str
    datacenter: DatacenterEventArgument | None = None
    host: HostEventArgument | None = None
    vm: VmEventArgument | None = None
    full_formatted_message: str | None = None


class EventEx(Event):
    """An event whose type is a text, as those about encryption."""

    event_type_id: str
    severity: str | None = None
    message: str | None = None
    arguments: Sequence[KeyAnyValue] = ()
    object_id: str | None = None
    object_type: str | None = None
    object_name: str | None = None


# Selection ---------------------------------------------------------------------------------------


class EventFilterSpecRecursionOption(VimEnum):
    SELF = "self"
    CHILDREN = "children"
    ALL = "all"


class EventFilterSpecByEntity(DataObject):
    """Events of an entity, of what it holds directly, or of all inside it."""

    entity: Ref
    recursion: EventFilterSpecRecursionOption


class EventFilterSpecByTime(DataObject):
    begin_time: datetime | None = None
    end_time: datetime | None = None


class EventFilterSpecByUsername(DataObject):
    """Events of users, and of vCenter itself with ``systemUser``."""

    system_user: bool
    user_list: Sequence[str] = ()


class EventFilterSpec(DataObject):
    """Which events are asked for: those that meet every condition that is set."""

    entity: EventFilterSpecByEntity | None = None
    time: EventFilterSpecByTime | None = None
    user_name: EventFilterSpecByUsername | None = None
    event_chain_id: int | None = None
    alarm: Ref | None = None
    scheduled_task: Ref | None = None
    disable_full_message: bool | None = None
    category: Sequence[str] = ()
    type: Sequence[str] = ()
    event_type_id: Sequence[str] = ()
    max_count: Annotated[int | None, Since("6.5")] = None


class EventManagerEventViewSpec(DataObject, since="9.0.0.0"):
    """How events are shown: the laboratory shows all in one way."""


# Descriptions ------------------------------------------------------------------------------------


class EventDescriptionEventDetail(DataObject):
    """How an event of a type reads."""

    key: str
    description: str | None = None
    category: str
    format_on_datacenter: str
    format_on_compute_resource: str
    format_on_host: str
    format_on_vm: str
    full_format: str


class EventDescription(DataObject):
    """The categories and types of events."""

    category: Sequence[ElementDescription] = ()
    event_info: Sequence[EventDescriptionEventDetail] = ()
