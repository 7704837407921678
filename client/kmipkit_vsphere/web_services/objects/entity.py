"""What all entities of the inventory have in common."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.errors import NoPermission
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.alarm_states import states_on
from kmipkit_vsphere.web_services.inventory import Node
from kmipkit_vsphere.web_services.managed import ExtensibleManagedObject, prop
from kmipkit_vsphere.web_services.objects.roles import permissions_on, role_ids
from kmipkit_vsphere.web_services.vim25.alarms import AlarmState
from kmipkit_vsphere.web_services.vim25.authorization import Permission
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.states import ManagedEntityStatus

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class ManagedEntity(ExtensibleManagedObject):
    """An entity of the inventory."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.ref)
        self.node = node

    @property
    def entity(self) -> str:
        return self.node.entity

    def check_visible(self, call: "Call") -> None:
        if not call.sees(self.node):
            raise NoPermission(
                f"{call.user} lacks the privilege {Privilege.VIEW} on {self.entity}",
                privilege_id=str(Privilege.VIEW),
                object=self.entity,
            )

    @prop()
    def name(self, _call: "Call") -> str:
        """The name, escaped."""
        return self.node.name

    @prop()
    def parent(self, _call: "Call") -> Ref | None:
        """What holds it; not set for the root folder."""
        return None if self.node.parent is None else self.node.parent.ref

    @prop()
    def overall_status(self, call: "Call") -> ManagedEntityStatus:
        """The colour of its worst alarm."""
        return status_of(call, self.node)

    @prop()
    def config_status(self, _call: "Call") -> ManagedEntityStatus:
        """Nothing here can be misconfigured."""
        return ManagedEntityStatus.GREEN

    @prop()
    def effective_role(self, call: "Call") -> Sequence[int]:
        """The roles of the caller on this entity."""
        return role_ids(call, self.entity)

    @prop()
    def permission(self, call: "Call") -> Sequence[Permission]:
        """The permissions that are set on this entity itself."""
        return permissions_on(call, self.node)

    @prop()
    def triggered_alarm_state(self, call: "Call") -> Sequence[AlarmState]:
        """The alarms of this entity and of all below it."""
        return states_on(call, [self.node, *self.node.walk()])

    @prop()
    def alarm_actions_enabled(self, _call: "Call") -> bool:
        """Alarms of the laboratory have no actions."""
        return False


def status_of(call: "Call", node: Node) -> ManagedEntityStatus:
    """The colour of an entity."""
    return ManagedEntityStatus(call.colours.get(node.entity, Color.GREEN))


def visible(call: "Call", nodes: Sequence[Node], *types: str) -> list[Ref]:
    """The references of those entities that the caller sees; of some types only, if any are given."""
    return [n.ref for n in nodes if (not types or n.ref.type in types) and call.sees(n)]
