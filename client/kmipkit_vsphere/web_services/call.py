"""One call of a client: who makes it, from where, and with which version of the API."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from kmipkit_vsphere.calls.host import HostDescription, HostInfo
from kmipkit_vsphere.calls.machines import MachineInfo
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.errors import NotFound, VSphereError
from kmipkit_vsphere.model.records import HostRecord, MachineRecord
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.events import Alarm
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.inventory import InventoryTree, Node
from kmipkit_vsphere.web_services.sessions import Session
from kmipkit_vsphere.web_services.versions import Version
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import NotAuthenticated

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.endpoint import Endpoint

A = TypeVar("A")


@dataclass(eq=False)
class Call:
    """What a handler knows beside its parameters.

    The inventory, and what hosts answer, is read once for each call.
    """

    endpoint: "Endpoint"
    version: Version
    session: Session | None = None
    address: str = ""
    user_agent: str = ""
    cookie: str | None = None
    """The token of a session that this call began: sent as a cookie."""
    _known: dict[Hashable, Any] = field(default_factory=dict)
    _locks: dict[Hashable, trio.Lock] = field(default_factory=lambda: defaultdict(trio.Lock))

    @property
    def vcenter(self) -> VCenter:
        """The vCenter behind the endpoint."""
        return self.endpoint.vcenter

    @property
    def present_session(self) -> Session:
        """The session, which a method that is not public always has."""
        if self.session is None:
            raise Fault(NotAuthenticated(), "The session is not authenticated.")
        return self.session

    @property
    def user(self) -> str:
        """The name of the caller."""
        return self.present_session.user

    @property
    def caller(self) -> Caller:
        """The caller, whose privileges are checked by the same authorization as everywhere."""
        return self.endpoint.service.caller(self.user)

    # Privileges and calls -------------------------------------------------------------------------

    def require(self, privilege: Privilege, entity: str) -> None:
        """NoPermission unless the caller has a privilege on an entity."""
        self.caller.require(privilege, entity)

    def has(self, privilege: Privilege, entity: str) -> bool:
        """Whether the caller has a privilege on an entity."""
        return privilege in self.allowed(entity)

    def allowed(self, entity: str) -> frozenset[str]:
        """The privileges of the caller on an entity; none on one that does not exist any more."""
        known = self._known.get(("allowed", entity))
        if known is None:
            try:
                place = self.vcenter.store.inventory.place(entity)
            except NotFound:
                return frozenset()
            known = self.vcenter.authorization.allowed(self.user, place)
            self._known["allowed", entity] = known
        privileges: frozenset[str] = known
        return privileges

    def sees(self, node: Node) -> bool:
        """Whether the caller sees an entity: because of the entity, or of something inside it."""
        known: bool | None = self._known.get(("sees", node.ref))
        if known is None:
            known = self.has(Privilege.VIEW, node.entity) or any(map(self.sees, node.children))
            self._known["sees", node.ref] = known
        return known

    def entity_of(self, ref: Ref) -> str:
        """The entity of a managed object, such as ``cluster/production``."""
        return self.endpoint.resolve(self, ref).entity

    async def run(self, request: VCenterRequest[A]) -> A:
        """Make one of vCenter's own calls as this user: with its privilege, its audit, its events."""
        return await self.endpoint.service.call(request, self.user)

    # What is read once ----------------------------------------------------------------------------

    @property
    def inventory(self) -> InventoryTree:
        """The inventory, as it was when the call first looked."""
        known = self._known.get("inventory")
        if known is None:
            known = self._known["inventory"] = InventoryTree(self.vcenter.store)
        tree: InventoryTree = known
        return tree

    @property
    def alarms(self) -> list[Alarm]:
        """All alarms, the red ones first."""
        if "alarms" not in self._known:
            self._known["alarms"] = self.vcenter.alarms.all()
        alarms: list[Alarm] = self._known["alarms"]
        return alarms

    @property
    def colours(self) -> dict[str, Color]:
        """The colours of entities that have an alarm; that of the worst one."""
        known = self._known.get("colours")
        if known is None:
            known = {}
            for alarm in self.alarms:  # the red ones first
                known.setdefault(f"{alarm.entity.type}/{alarm.entity.name}", alarm.colour)
            self._known["colours"] = known
        colours: dict[str, Color] = known
        return colours

    async def machine(self, record: MachineRecord) -> MachineInfo | None:
        """What the host says of a machine; None if it does not answer, or has no such machine."""
        machines = await self._once(("machines", record.host), partial(self._machines, record.host))
        return machines.get(record.name)

    async def _machines(self, host: str) -> dict[str, MachineInfo]:
        try:
            return {info.name: info for info in await self.vcenter.hosts.machines_on(host)}
        except VSphereError:  # the host does not answer: its machines are shown as disconnected
            return {}

    async def host(self, record: HostRecord) -> HostDescription | None:
        """What a host says of itself; None if it does not answer."""
        return await self._once(("host", record.name), partial(self._host, record))

    async def _host(self, record: HostRecord) -> HostDescription | None:
        try:
            return await self.vcenter.hosts.call(record, HostInfo())
        except VSphereError:  # shown as not connected
            return None

    async def _once(self, key: Hashable, read: Callable[[], Awaitable[A]]) -> A:
        async with self._locks[key]:
            if key not in self._known:
                self._known[key] = await read()
        answer: A = self._known[key]
        return answer

    def forget(self) -> None:
        """Look again at everything, as whoever waits for updates does."""
        self._known.clear()
