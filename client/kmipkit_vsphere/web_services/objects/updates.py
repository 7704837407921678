"""Filters of a property collector, and what has changed since a client last asked."""

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.objects.views import keep, new_ref
from kmipkit_vsphere.web_services.selection import read, select
from kmipkit_vsphere.web_services.sessions import Session
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import (
    InvalidCollectorVersion,
    ManagedObjectNotFound,
    NotAuthenticated,
    RequestCanceled,
)
from kmipkit_vsphere.web_services.vim25.properties import (
    ObjectContent,
    ObjectUpdate,
    ObjectUpdateKind,
    PropertyChange,
    PropertyChangeOp,
    PropertyFilterSpec,
    PropertyFilterUpdate,
    UpdateSet,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

LOOK_AGAIN: Final = 5.0
"""Seconds after which the inventory is read again while nothing has rung the bell."""
_FIRST: Final = ""
"""The version before the first one."""


class PropertyFilter(ManagedObject):
    """A filter of a collector."""

    def __init__(
        self, ref: Ref, collector: "Collector", spec: PropertyFilterSpec, *, partial: bool
    ) -> None:
        super().__init__(ref)
        self._collector = collector
        self.filter_spec = spec
        self._partial = partial
        self.reported: dict[Ref, ObjectContent] = {}
        """What the client knows."""

    @prop()
    def spec(self, _call: "Call") -> PropertyFilterSpec:
        """What it selects and reads."""
        return self.filter_spec

    @prop()
    def partial_updates(self, _call: "Call") -> bool:
        """Whether parts of a property may be reported; here it is always the whole one."""
        return self._partial

    @method("DestroyPropertyFilter")
    async def destroy_property_filter(self, call: "Call") -> None:
        """End it."""
        self._collector.remove(self)
        call.endpoint.changes.notify()


@dataclass(eq=False)
class Collector:
    """The filters of one collector in one session."""

    session: Session
    version: str = _FIRST
    filters: list[PropertyFilter] = field(default_factory=list)
    _scopes: set[trio.CancelScope] = field(default_factory=set)

    def filter_refs(self) -> list[Ref]:
        """The references of the filters."""
        return [instance.ref for instance in self.filters]

    async def create_filter(
        self, call: "Call", spec: PropertyFilterSpec, partial_updates: bool
    ) -> Ref:
        """Add a filter, after its objects and paths have been looked at once."""
        await read(call, await select(call, spec), spec.prop_set)
        ref = new_ref("PropertyFilter", self.session)
        created = PropertyFilter(ref, self, spec, partial=partial_updates)
        keep(self.session, created)
        self.filters.append(created)
        call.endpoint.changes.notify()
        return ref

    def remove(self, instance: PropertyFilter) -> None:
        """Remove a filter."""
        if instance in self.filters:
            self.filters.remove(instance)
        self.session.objects.pop(instance.ref, None)

    def destroy(self) -> None:
        """Remove all filters, and end the calls that wait."""
        for instance in list(self.filters):
            self.remove(instance)
        self.cancel()

    def cancel(self) -> None:
        """End the calls that wait."""
        for scope in self._scopes:
            scope.cancel()

    async def wait(
        self, call: "Call", version: str | None, seconds: int | None, max_objects: int | None
    ) -> UpdateSet | None:
        """The changes since a version; None if there are none after so many seconds, if any."""
        if (seconds is not None and seconds < 0) or (max_objects is not None and max_objects < 1):
            raise InvalidArgument("a limit of the wait is negative", invalid_property="options")
        self._begin(version)
        deadline = inf if seconds is None else trio.current_time() + seconds
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                return await self._next(call, deadline, max_objects)
            finally:
                self._scopes.discard(scope)
        raise Fault(RequestCanceled(), "the request was cancelled")

    def _begin(self, version: str | None) -> None:
        """Check the version; without one everything is reported anew."""
        if not version:
            for instance in self.filters:
                instance.reported.clear()
        elif version != self.version:
            raise Fault(
                InvalidCollectorVersion(), f"{version} is not the version of the last update"
            )

    async def _next(
        self, call: "Call", deadline: float, max_objects: int | None
    ) -> UpdateSet | None:
        while True:
            bell = call.endpoint.changes.next()
            updates, truncated = await self._changed(call, max_objects)
            if updates:
                self.version = str(int(self.version or "0") + 1)
                return UpdateSet(
                    version=self.version, filter_set=updates, truncated=truncated or None
                )
            remaining = deadline - trio.current_time()
            if remaining <= 0:
                return None
            with trio.move_on_after(min(remaining, LOOK_AGAIN)):
                await bell.wait()
            call.forget()
            if not call.endpoint.sessions.is_valid(self.session):
                raise Fault(NotAuthenticated(), "The session has ended.")

    async def _changed(
        self, call: "Call", max_objects: int | None
    ) -> tuple[list[PropertyFilterUpdate], bool]:
        """The updates of all filters, and whether there are more than the client wants."""
        updates: list[PropertyFilterUpdate] = []
        room = max_objects
        for instance in list(self.filters):
            changed = await _object_updates(call, instance)
            if room is not None and len(changed) > room:
                changed, is_cut = changed[:room], True
            else:
                is_cut = False
            if changed:
                for content, update in changed:
                    _note(instance, content, update)
                objects = tuple(update for _, update in changed)
                updates.append(PropertyFilterUpdate(filter=instance.ref, object_set=objects))
            if is_cut:
                return updates, True
            room = None if room is None else room - len(changed)
        return updates, False


_Changed = tuple[ObjectContent | None, ObjectUpdate]


async def _object_updates(call: "Call", instance: PropertyFilter) -> list[_Changed]:
    """What has changed for one filter since it was last reported."""
    try:
        spec = instance.filter_spec
        present = await read(call, await select(call, spec), spec.prop_set)
    except Fault as fault:
        if not isinstance(fault.detail, ManagedObjectNotFound):
            raise
        present = []  # the object with which the filter began was deleted
    contents = {content.obj: content for content in present}
    changed: list[_Changed] = [
        (None, ObjectUpdate(kind=ObjectUpdateKind.LEAVE, obj=ref))
        for ref in instance.reported
        if ref not in contents
    ]
    for ref, content in contents.items():
        before = instance.reported.get(ref)
        if before != content:
            changed.append((content, _update(before, content)))
    return changed


def _update(before: ObjectContent | None, content: ObjectContent) -> ObjectUpdate:
    """All properties of a new object; of a known one those that changed."""
    known = {} if before is None else {p.name: p.val for p in before.prop_set}
    changes = [
        PropertyChange(name=p.name, op=PropertyChangeOp.ASSIGN, val=p.val)
        for p in content.prop_set
        if p.name not in known or known[p.name] != p.val
    ]
    present = {p.name for p in content.prop_set}
    changes += [
        PropertyChange(name=name, op=PropertyChangeOp.ASSIGN)
        for name in known
        if name not in present
    ]
    kind = ObjectUpdateKind.ENTER if before is None else ObjectUpdateKind.MODIFY
    return ObjectUpdate(
        kind=kind, obj=content.obj, change_set=tuple(changes), missing_set=content.missing_set
    )


def _note(instance: PropertyFilter, content: ObjectContent | None, update: ObjectUpdate) -> None:
    if content is None:
        instance.reported.pop(update.obj, None)
    else:
        instance.reported[update.obj] = content
