"""One call of a client: who makes it, from where, and with which version of the API."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.command import VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.sessions import Session
from kmipkit_vsphere.web_services.versions import Version
from kmipkit_vsphere.web_services.vim25.declaration import Ref
from kmipkit_vsphere.web_services.vim25.faults import NotAuthenticated

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.endpoint import Endpoint

A = TypeVar("A")


@dataclass(eq=False)
class Call:
    """What a handler knows beside its parameters."""

    endpoint: "Endpoint"
    version: Version
    session: Session | None = None
    address: str = ""
    user_agent: str = ""
    cookie: str | None = None
    """The token of a session that this call began: sent as a cookie."""
    _known: dict[Hashable, Any] = field(default_factory=dict)

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

    def require(self, privilege: Privilege, entity: str) -> None:
        """NoPermission unless the caller has a privilege on an entity."""
        self.caller.require(privilege, entity)

    def has(self, privilege: Privilege, entity: str) -> bool:
        """Whether the caller has a privilege on an entity."""
        place = self.vcenter.store.inventory.place(entity)
        return privilege in self.vcenter.authorization.allowed(self.user, place)

    def entity_of(self, ref: Ref) -> str:
        """The entity of a managed object, such as ``cluster/production``."""
        return self.endpoint.resolve(self, ref).entity

    async def run(self, request: VCenterRequest[A]) -> A:
        """Make one of vCenter's own calls as this user: with its privilege, its audit, its events."""
        return await self.endpoint.service.call(request, self.user)

    async def once(self, key: Hashable, read: Callable[[], Awaitable[A]]) -> A:
        """What is read only once in a call, such as the machines of a host."""
        if key not in self._known:
            self._known[key] = await read()
        answer: A = self._known[key]
        return answer
