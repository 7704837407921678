"""Roles, groups and permissions (vsphere.md §5)."""

from kmipkit_vsphere.model.errors import InvalidArgument, NotFound, ResourceInUse
from kmipkit_vsphere.vcenter.authorization import (
    Permission,
    checked_privileges,
)
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.permissions import (
    HasPrivilege,
    ListGroups,
    ListPermissions,
    ListRoles,
    RemovePermission,
    RemoveRole,
    SetMember,
    SetPermission,
    SetRole,
)
from kmipkit_vsphere.vcenter.privileges import PREDEFINED, TRUSTED_ADMINS
from kmipkit_vsphere.vcenter.vcenter import VCenter

# Roles -------------------------------------------------------------------------------------------


@ListRoles.handler
async def list_roles(
    vcenter: VCenter, _caller: Caller, _request: ListRoles
) -> dict[str, list[str]]:
    roles = {**PREDEFINED, **vcenter.store.permissions.roles()}
    return {name: sorted(privileges) for name, privileges in roles.items()}


@SetRole.handler
async def set_role(vcenter: VCenter, _caller: Caller, request: SetRole) -> None:
    """Create or change a role; with ``based_on`` it begins as a copy of another one (§5.2)."""
    if request.name in PREDEFINED:
        raise InvalidArgument(
            f"the role {request.name} is predefined; create another one based on it"
        )
    base = frozenset[str]()
    if request.based_on is not None:
        base = vcenter.authorization.privileges(request.based_on)
    privileges = base | checked_privileges(request.privileges)
    vcenter.store.permissions.put_role(request.name, privileges)


@RemoveRole.handler
async def remove_role(vcenter: VCenter, _caller: Caller, request: RemoveRole) -> None:
    store, name = vcenter.store.permissions, request.name
    if store.role(name) is None:
        raise NotFound(f"there is no role {name} that could be removed")
    users = [permission.principal for permission in store.permissions() if permission.role == name]
    if users:
        raise ResourceInUse(f"the role {name} is given to {', '.join(users)}")
    store.remove_role(name)


# Groups ------------------------------------------------------------------------------------------


@ListGroups.handler
async def list_groups(
    vcenter: VCenter, _caller: Caller, _request: ListGroups
) -> dict[str, list[str]]:
    return vcenter.store.permissions.members()


@SetMember.handler
async def set_member(vcenter: VCenter, caller: Caller, request: SetMember) -> None:
    if request.group == TRUSTED_ADMINS:
        change = vcenter.trusted_admins.remove if request.remove else vcenter.trusted_admins.add
        change(caller, request.member)
        return
    vcenter.store.permissions.set_member(request.group, request.member, is_in=not request.remove)


# Permissions -------------------------------------------------------------------------------------


@ListPermissions.handler
async def list_permissions(
    vcenter: VCenter, _caller: Caller, _request: ListPermissions
) -> list[Permission]:
    return vcenter.store.permissions.permissions()


@SetPermission.handler
async def set_permission(vcenter: VCenter, _caller: Caller, request: SetPermission) -> None:
    vcenter.authorization.privileges(request.role)
    vcenter.store.permissions.set_permission(
        Permission(
            request.entity, request.principal, request.role, request.group, request.propagate
        )
    )


@RemovePermission.handler
async def remove_permission(vcenter: VCenter, _caller: Caller, request: RemovePermission) -> None:
    removed = vcenter.store.permissions.remove_permission(
        request.entity, request.principal, is_group=request.group
    )
    if not removed:
        raise NotFound(f"{request.principal} has no permission on {request.entity} itself")


@HasPrivilege.handler
async def has_privilege(vcenter: VCenter, caller: Caller, request: HasPrivilege) -> dict[str, bool]:
    place = vcenter.store.inventory.place(request.entity)
    allowed = vcenter.authorization.allowed(request.user or caller.user, place)
    return {name: name in allowed for name in sorted(checked_privileges(request.privileges))}
