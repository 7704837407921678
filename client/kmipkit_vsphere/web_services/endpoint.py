"""The endpoint: its objects, and how a request finds the method that serves it."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Final

import trio

from kmipkit_vsphere.vcenter.instance import Instance
from kmipkit_vsphere.vcenter.passwords import Passwords
from kmipkit_vsphere.vcenter.service import VCenterService
from kmipkit_vsphere.vcenter.vcenter import VCenter
from kmipkit_vsphere.web_services import soap
from kmipkit_vsphere.web_services.call import Call
from kmipkit_vsphere.web_services.changes import Changes
from kmipkit_vsphere.web_services.codec import Reader
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.inventory import InventoryTree
from kmipkit_vsphere.web_services.managed import MANAGED_TYPES, ManagedObject, Method
from kmipkit_vsphere.web_services.sessions import Sessions
from kmipkit_vsphere.web_services.task_list import TaskList
from kmipkit_vsphere.web_services.versions import DEFAULT_RELEASE, RELEASES, Release
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import (
    ManagedObjectNotFound,
    MethodNotFound,
    NotAuthenticated,
)

Finder = Callable[[Call, Ref], ManagedObject | None]
"""Finds an object, or None; for objects that are many, such as machines."""

FINDERS: Final[dict[str, Finder]] = {}
"""Name of a type to what finds its objects."""


def finder(*type_names: str) -> Callable[[Finder], Finder]:
    """Decorator for a function that finds the objects of these types."""

    def declare(function: Finder) -> Finder:
        for name in type_names:
            FINDERS[name] = function
        return function

    return declare


class Endpoint:
    """The Web Services API of one vCenter."""

    def __init__(self, vcenter: VCenter, release: Release = RELEASES[DEFAULT_RELEASE]) -> None:
        self.vcenter = vcenter
        self.service = VCenterService(vcenter)
        self.release = release
        self.nursery: trio.Nursery | None = None
        """Where tasks run; None before :meth:`run`."""
        self.changes = Changes()
        vcenter.crypto.event_log.listeners.append(self.changes.notify)
        self.tasks = TaskList(self)
        self.sessions = Sessions(vcenter.clock, vcenter.store.users)
        self.passwords = Passwords(vcenter.store)
        self.instance_uuid = Instance(vcenter.store).id

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the tasks of clients until cancelled."""
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    # Objects --------------------------------------------------------------------------------------

    def singletons(self) -> Iterable[type[ManagedObject]]:
        """The types of which there is one object, as far as the release has them."""
        return (
            kind
            for kind in MANAGED_TYPES.values()
            if kind.moid is not None and kind.since <= self.release.api
        )

    @cached_property
    def _by_ref(self) -> dict[Ref, type[ManagedObject]]:
        """The types of single objects, by the references that may be used for them."""
        return {
            Ref(name, kind.moid): kind
            for kind in self.singletons()
            if kind.moid is not None
            for name in kind.type_names()
        }

    def resolve(self, call: Call, ref: Ref) -> ManagedObject:
        """The object of a reference, or the fault ``ManagedObjectNotFound``."""
        kind = self._by_ref.get(ref)
        if kind is not None:
            return kind(Ref(kind.__name__, ref.value))
        find = FINDERS.get(ref.type)
        instance = find(call, ref) if find is not None else None
        if instance is None and call.session is not None:
            instance = call.session.objects.get(ref)
        if instance is None:
            raise Fault(
                ManagedObjectNotFound(obj=ref), f"there is no object {ref}, or it was deleted"
            )
        return instance

    def ref_of(self, entity: str) -> Ref | None:
        """The object of an entity such as ``machine/db1``; None if there is none."""
        node = InventoryTree(self.vcenter.store).of_entity(entity)
        return None if node is None else node.ref

    # Calls ----------------------------------------------------------------------------------------

    def method_of(self, call: Call, request: soap.Request) -> tuple[ManagedObject, Method]:
        """The object and the method of a request, or a fault that says which is missing."""
        row = self._row(request)
        if call.session is None and (row is None or not row.is_public):
            raise Fault(
                NotAuthenticated(object=request.this, privilege_id="System.View"),
                "The session is not authenticated.",
            )
        instance = self.resolve(call, request.this)
        row = instance.METHODS.get(request.method)
        if row is None or row.since > call.version or request.namespace != instance.namespace:
            raise Fault(
                MethodNotFound(receiver=request.this, method=request.method),
                f"{request.this.type} has no method {request.method} in version {call.version}",
            )
        return instance, row

    @staticmethod
    def _row(request: soap.Request) -> Method | None:
        """The method by the type that the reference names, without looking at the object."""
        kind = MANAGED_TYPES.get((request.namespace, request.this.type))
        return kind.METHODS.get(request.method) if kind is not None else None

    async def invoke(
        self, call: Call, instance: ManagedObject, row: Method, request: soap.Request
    ) -> Any:
        """The result of a call."""
        reader = Reader(self.release.api)
        values = reader.fields(request.element, row.parameters, request.namespace)
        if row.privilege is not None:
            call.require(row.privilege, instance.entity)
        defaults = {
            parameter.attribute: () if parameter.shape.is_array else None
            for parameter in row.parameters
            if parameter.shape.is_optional and parameter.attribute not in values
        }
        return await row.function(instance, call, **values, **defaults)
