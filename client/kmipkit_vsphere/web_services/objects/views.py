"""Views: lists of objects that a client keeps, and asks about together."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.inventory import Node
from kmipkit_vsphere.web_services.managed import MANAGED_TYPES, ManagedObject, method, prop
from kmipkit_vsphere.web_services.sessions import MAX_OBJECTS, Session
from kmipkit_vsphere.web_services.vim25.declaration import VIM25, Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_MAX_LISTED: Final = 10_000
_NUMBERS: Final = itertools.count(1)


def keep(session: Session, instance: ManagedObject) -> Ref:
    """Make an object part of a session, up to a limit."""
    if len(session.objects) >= MAX_OBJECTS:
        raise InvalidState(
            f"this session has {MAX_OBJECTS} views, filters and collectors; destroy some of them"
        )
    session.objects[instance.ref] = instance
    return instance.ref


def new_ref(type_name: str, session: Session) -> Ref:
    """A reference for an object of a session."""
    return Ref(type_name, f"session[{session.key}]{next(_NUMBERS):x}")


class View(ManagedObject):
    """A view of a session."""

    @method("DestroyView")
    async def destroy_view(self, call: "Call") -> None:
        """End it."""
        call.present_session.objects.pop(self.ref, None)
        call.endpoint.changes.notify()


class ManagedObjectView(View, ABC):
    """A view that lists objects."""

    @prop()
    @abstractmethod
    def view(self, call: "Call") -> Sequence[Ref]:
        """The objects that it lists now."""


class ContainerView(ManagedObjectView):
    """All objects of some types inside an entity, as they are now."""

    def __init__(self, ref: Ref, container: Ref, types: Sequence[str], *, recursive: bool) -> None:
        super().__init__(ref)
        self._container = container
        self._types = tuple(types)
        self._recursive = recursive

    @prop()
    def container(self, _call: "Call") -> Ref:
        """Where it begins."""
        return self._container

    @prop("type")
    def types(self, _call: "Call") -> Sequence[str]:
        """The types that it lists; all if there are none."""
        return self._types

    @prop()
    def recursive(self, _call: "Call") -> bool:
        """Whether it lists what is inside of what is inside."""
        return self._recursive

    @prop()
    def view(self, call: "Call") -> Sequence[Ref]:
        """The objects."""
        node = call.inventory.find(self._container)
        if node is None:
            return []
        nodes = node.walk() if self._recursive else iter(node.children)
        return [child.ref for child in nodes if self._lists(child) and call.sees(child)]

    def _lists(self, node: Node) -> bool:
        if not self._types:
            return True
        names = MANAGED_TYPES[VIM25, node.ref.type].type_names()
        return any(name in names for name in self._types)


class ListView(ManagedObjectView):
    """Objects that the client names."""

    def __init__(self, ref: Ref, objects: Sequence[Ref]) -> None:
        super().__init__(ref)
        self._objects = dict.fromkeys(objects)

    @prop()
    def view(self, call: "Call") -> Sequence[Ref]:
        """The objects, without those that were deleted."""
        return [ref for ref in self._objects if exists(call, ref)]

    @method("ModifyListView")
    async def modify_list_view(
        self, call: "Call", add: Sequence[Ref], remove: Sequence[Ref]
    ) -> Sequence[Ref]:
        """Add and remove objects; answers those that do not exist."""
        missing = [ref for ref in add if not exists(call, ref)]
        self._check(len(self._objects) + len(add))
        self._objects.update(dict.fromkeys(ref for ref in add if ref not in missing))
        for ref in remove:
            self._objects.pop(ref, None)
        call.endpoint.changes.notify()
        return missing

    @method("ResetListView")
    async def reset_list_view(self, call: "Call", obj: Sequence[Ref]) -> Sequence[Ref]:
        """Replace the objects; answers those that do not exist."""
        self._objects.clear()
        return await self.modify_list_view(call, obj, ())

    @method("ResetListViewFromView")
    async def reset_list_view_from_view(self, call: "Call", view: Ref) -> None:
        """Replace the objects by those of another view."""
        await self.reset_list_view(call, await listed_by(call, view))

    @staticmethod
    def _check(count: int) -> None:
        if count > _MAX_LISTED:
            raise InvalidArgument(f"a view lists at most {_MAX_LISTED} objects")


class ViewManager(ManagedObject, moid="ViewManager", content="view_manager"):
    """Makes views."""

    @prop()
    def view_list(self, call: "Call") -> Sequence[Ref]:
        """The views of this session."""
        objects = call.present_session.objects.values()
        return [instance.ref for instance in objects if isinstance(instance, View)]

    @method("CreateContainerView")
    async def create_container_view(
        self, call: "Call", container: Ref, type_: Sequence[str], recursive: bool
    ) -> Ref:
        """A view of what is inside an entity."""
        call.endpoint.resolve(call, container).check_visible(call)
        if call.inventory.find(container) is None:
            raise InvalidArgument(
                f"{container} holds nothing that a view could list", invalid_property="container"
            )
        ref = new_ref("ContainerView", call.present_session)
        view = ContainerView(ref, container, type_, recursive=recursive)
        return keep(call.present_session, view)

    @method("CreateListView")
    async def create_list_view(self, call: "Call", obj: Sequence[Ref]) -> Ref:
        """A view of objects that the client names; those that do not exist are left out."""
        ref = new_ref("ListView", call.present_session)
        view = ListView(ref, ())
        await view.modify_list_view(call, obj, ())
        return keep(call.present_session, view)

    @method("CreateListViewFromView")
    async def create_list_view_from_view(self, call: "Call", view: Ref) -> Ref:
        """A view of the objects that another view lists now."""
        return await self.create_list_view(call, await listed_by(call, view))


def exists(call: "Call", ref: Ref) -> bool:
    """Whether there is an object."""
    try:
        call.endpoint.resolve(call, ref)
    except Fault:
        return False
    return True


async def listed_by(call: "Call", view: Ref) -> Sequence[Ref]:
    """What a view lists now."""
    instance = call.endpoint.resolve(call, view)
    declared = instance.PROPERTIES.get("view")
    if not isinstance(instance, View) or declared is None:
        raise InvalidArgument(f"{view} is no view", invalid_property="view")
    objects: Sequence[Ref] = await declared.value(instance, call)
    return objects
