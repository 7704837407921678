"""Roles, permissions and privileges, as clients read them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kmipkit_vsphere.model.errors import NotFound
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.web_services.faults import Fault
from kmipkit_vsphere.web_services.managed import ManagedObject, method, prop
from kmipkit_vsphere.web_services.objects.entity import ManagedEntity
from kmipkit_vsphere.web_services.objects.roles import (
    all_permissions,
    permissions_on,
    role_list,
)
from kmipkit_vsphere.web_services.vim25 import faults
from kmipkit_vsphere.web_services.vim25.authorization import (
    AuthorizationPrivilege,
    AuthorizationRole,
    EntityPrivilege,
    Permission,
    PrivilegeAvailability,
    UserPrivilegeResult,
)
from kmipkit_vsphere.web_services.vim25.declaration import Ref

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call


class AuthorizationManager(
    ManagedObject, moid="AuthorizationManager", content="authorization_manager"
):
    """Who may do what. It is changed by vCenter's own commands (``set-permission``)."""

    @prop()
    def role_list(self, call: "Call") -> Sequence[AuthorizationRole]:
        """All roles."""
        call.require(Privilege.VIEW, self.entity)
        return role_list(call)

    @prop()
    def privilege_list(self, _call: "Call") -> Sequence[AuthorizationPrivilege]:
        """All privileges."""
        return [
            AuthorizationPrivilege(
                priv_id=str(privilege),
                on_parent=False,
                name=privilege.rpartition(".")[2],
                priv_group_name=privilege.rpartition(".")[0],
            )
            for privilege in Privilege
        ]

    @method("RetrieveEntityPermissions", privilege=Privilege.VIEW)
    async def retrieve_entity_permissions(
        self, call: "Call", entity: Ref, inherited: bool
    ) -> Sequence[Permission]:
        """The permissions on an entity."""
        found = _entity(call, entity)
        return permissions_on(call, found.node, inherited=inherited)

    @method("RetrieveAllPermissions", privilege=Privilege.VIEW)
    async def retrieve_all_permissions(self, call: "Call") -> Sequence[Permission]:
        """All permissions."""
        return all_permissions(call)

    @method("RetrieveRolePermissions", privilege=Privilege.VIEW)
    async def retrieve_role_permissions(self, call: "Call", role_id: int) -> Sequence[Permission]:
        """The permissions that give a role."""
        if all(role.role_id != role_id for role in role_list(call)):
            raise Fault(faults.NotFound(), f"there is no role {role_id}")
        return [permission for permission in all_permissions(call) if permission.role_id == role_id]

    @method("HasPrivilegeOnEntities", since="5.5")
    async def has_privilege_on_entities(
        self, call: "Call", entity: Sequence[Ref], session_id: str, priv_id: Sequence[str]
    ) -> Sequence[EntityPrivilege]:
        """Which privileges the user of a session has."""
        user = _user_of(call, session_id)
        return [
            EntityPrivilege(
                entity=ref,
                priv_availability=[
                    PrivilegeAvailability(priv_id=name, is_granted=name in allowed)
                    for name in priv_id
                ],
            )
            for ref in entity
            for allowed in (_allowed(call, user, _entity(call, ref).entity),)
        ]

    @method("HasUserPrivilegeOnEntities", since="6.5")
    async def has_user_privilege_on_entities(
        self, call: "Call", entities: Sequence[Ref], user_name: str, priv_id: Sequence[str]
    ) -> Sequence[EntityPrivilege]:
        """Which privileges a user has."""
        _require_for(call, user_name)
        return [
            EntityPrivilege(
                entity=ref,
                priv_availability=[
                    PrivilegeAvailability(priv_id=name, is_granted=name in allowed)
                    for name in priv_id
                ],
            )
            for ref in entities
            for allowed in (_allowed(call, user_name, _entity(call, ref).entity),)
        ]

    @method("FetchUserPrivilegeOnEntities", since="6.5")
    async def fetch_user_privilege_on_entities(
        self, call: "Call", entities: Sequence[Ref], user_name: str
    ) -> Sequence[UserPrivilegeResult]:
        """All privileges of a user."""
        _require_for(call, user_name)
        return [
            UserPrivilegeResult(
                entity=ref,
                privileges=sorted(_allowed(call, user_name, _entity(call, ref).entity)),
            )
            for ref in entities
        ]


def _entity(call: "Call", ref: Ref) -> ManagedEntity:
    found = call.endpoint.resolve(call, ref)
    if not isinstance(found, ManagedEntity):
        raise Fault(faults.ManagedObjectNotFound(obj=ref), f"{ref} is no entity of the inventory")
    found.check_visible(call)
    return found


def _user_of(call: "Call", session_id: str) -> str:
    sessions = {session.key: session.user for session in call.endpoint.sessions.all()}
    user = sessions.get(session_id)
    if user is None:
        raise NotFound(f"there is no session {session_id}")
    _require_for(call, user)
    return user


def _require_for(call: "Call", user: str) -> None:
    """Everyone may ask for himself."""
    if user != call.user:
        call.require(Privilege.VIEW, "/")


def _allowed(call: "Call", user: str, entity: str) -> frozenset[str]:
    place = call.vcenter.store.inventory.place(entity)
    return call.vcenter.authorization.allowed(user, place)
