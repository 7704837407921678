"""Events of vCenter, as clients read and collect them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.vcenter.calls import events
from kmipkit_vsphere.web_services.event_selection import MAX_COUNT, described, selected
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.objects.views import keep, new_ref
from kmipkit_vsphere.web_services.sessions import MAX_OBJECTS
from kmipkit_vsphere.web_services.vim25.basics import ElementDescription
from kmipkit_vsphere.web_services.vim25.declaration import Ref, Since
from kmipkit_vsphere.web_services.vim25.events import (
    Event,
    EventDescription,
    EventDescriptionEventDetail,
    EventFilterSpec,
    EventManagerEventViewSpec,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

PAGE: Final = 10
"""Events of the latest page, unless a client sets another size."""
_CATEGORIES: Final = ("info", "warning", "error", "user")
_FORMAT: Final = "{message}"


class EventManager(ManagedObject, moid="EventManager", content="event_manager"):
    """The events."""

    @prop()
    def description(self, _call: "Call") -> EventDescription:
        """The categories and the one type of event."""
        return EventDescription(
            category=[
                ElementDescription(key=name, label=name.capitalize(), summary=name)
                for name in _CATEGORIES
            ],
            event_info=[
                EventDescriptionEventDetail(
                    key="EventEx",
                    description="Event about encryption",
                    category="info",
                    format_on_datacenter=_FORMAT,
                    format_on_compute_resource=_FORMAT,
                    format_on_host=_FORMAT,
                    format_on_vm=_FORMAT,
                    full_format=_FORMAT,
                )
            ],
        )

    @prop()
    def latest_event(self, call: "Call") -> Event | None:
        """The newest event."""
        found = selected(call, EventFilterSpec(max_count=1))
        return described(call, found[0]) if found else None

    @prop()
    def max_collector(self, _call: "Call") -> int:
        """How many collectors a session may have."""
        return MAX_OBJECTS

    @method("QueryEvents")
    async def query_events(
        self,
        call: "Call",
        filter: EventFilterSpec,  # noqa: A002 -- its name in the API
        event_view_spec: Annotated[EventManagerEventViewSpec | None, Since("9.0.0.0")],
    ) -> Sequence[Event]:
        """The events that meet a filter, the oldest first; the newest ones, if there are many."""
        del event_view_spec
        return _described(call, selected(call, filter)[-MAX_COUNT:], filter)

    @method("CreateCollectorForEvents")
    async def create_collector(
        self,
        call: "Call",
        filter: EventFilterSpec,  # noqa: A002 -- its name in the API
    ) -> Ref:
        """What reads the events that meet a filter page by page."""
        selected(call, filter)  # whether the filter can be used
        session = call.present_session
        ref = new_ref("EventHistoryCollector", session)
        return keep(session, EventHistoryCollector(ref, filter))


def _described(call: "Call", found: Sequence[events.Event], spec: EventFilterSpec) -> list[Event]:
    with_message = not spec.disable_full_message
    return [described(call, event, with_message=with_message) for event in found]


class HistoryCollector(ManagedObject):
    """Reads something page by page."""

    def __init__(self, ref: Ref, spec: EventFilterSpec) -> None:
        super().__init__(ref)
        self.spec = spec
        self.page_size = PAGE
        self.last_read = 0
        """The number of the last event that was read."""

    @prop()
    def filter(self, _call: "Call") -> Any:
        """What it selects."""
        return self.spec

    @method("SetCollectorPageSize")
    async def set_page_size(self, call: "Call", max_count: int) -> None:
        """How many events the latest page has."""
        self.page_size = _count(max_count)
        call.endpoint.changes.notify()

    @method("RewindCollector")
    async def rewind(self, call: "Call") -> None:
        """Go before the oldest event."""
        del call
        self.last_read = 0

    @method("ResetCollector")
    async def reset(self, call: "Call") -> None:
        """Go before the latest page."""
        found = selected(call, self.spec)
        before = found[: -self.page_size]
        self.last_read = before[-1].key if before else 0

    @method("DestroyCollector")
    async def destroy(self, call: "Call") -> None:
        """End it."""
        call.present_session.objects.pop(self.ref, None)
        call.endpoint.changes.notify()


class EventHistoryCollector(HistoryCollector):
    """Reads events page by page."""

    @prop()
    def latest_page(self, call: "Call") -> Sequence[Event]:
        """The newest events, the newest first."""
        found = selected(call, self.spec)[-self.page_size :]
        return _described(call, found[::-1], self.spec)

    @prop(since="8.0.3.0")
    def initialized(self, _call: "Call") -> bool:
        """Whether the events were looked for: always."""
        return True

    @method("ReadNextEvents")
    async def read_next(self, call: "Call", max_count: int) -> Sequence[Event]:
        """The events after the last one that was read, the oldest first."""
        last = self.last_read
        newer = [event for event in selected(call, self.spec) if event.key > last]
        found = newer[: _count(max_count)]
        if found:
            self.last_read = found[-1].key
        return _described(call, found, self.spec)

    @method("ReadPreviousEvents")
    async def read_previous(self, call: "Call", max_count: int) -> Sequence[Event]:
        """The events up to the last one that was read, the newest first."""
        last = self.last_read
        older = [event for event in selected(call, self.spec) if event.key <= last]
        found = older[-_count(max_count) :][::-1]
        if found:
            self.last_read = found[-1].key - 1
        return _described(call, found, self.spec)


def _count(number: int) -> int:
    if not 0 < number <= MAX_COUNT:
        raise InvalidArgument(f"a page has 1 to {MAX_COUNT} events", invalid_property="maxCount")
    return number
