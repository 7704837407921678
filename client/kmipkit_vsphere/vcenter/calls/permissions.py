"""Roles, groups, and permissions on the entities of the inventory (vsphere.md §5)."""

from typing import Final

import click

from kmipkit_vsphere.model.message import Text, field
from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.vcenter.authorization import Permission
from kmipkit_vsphere.vcenter.calls.arguments import NAME
from kmipkit_vsphere.vcenter.command import ENTITY, Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import Many
from kmipkit_vsphere.vcenter.privileges import Privilege


class ListRoles(VCenterQuery[dict[str, list[str]]]):
    """List the roles with their privileges."""


class SetRole(VCenterRequest[None]):
    """Create or change a role."""

    name: Text
    based_on: Text | None = None
    privileges: list[str] = field(default_factory=list)


class RemoveRole(VCenterRequest[None]):
    """Remove a role."""

    name: Text


class ListGroups(VCenterQuery[dict[str, list[str]]]):
    """List the groups with their members."""


class SetMember(VCenterRequest[None]):
    """Add a user to a group, or remove one from it."""

    group: Text
    member: Text
    remove: bool = False


class ListPermissions(VCenterQuery[list[Permission]]):
    """List who has which role on which entity."""


class SetPermission(VCenterRequest[None]):
    """Give a user or a group a role, on everything or on one entity."""

    principal: Text
    role: Text
    group: bool = False
    entity: Text = ROOT
    propagate: bool = True


class RemovePermission(VCenterRequest[None]):
    """Remove a permission that was set on an entity."""

    principal: Text
    group: bool = False
    entity: Text = ROOT


class HasPrivilege(VCenterQuery[dict[str, bool]]):
    """Which of the privileges a user, or the caller, has on an entity."""

    privileges: list[str]
    user: Text | None = None
    entity: Text = ROOT


_PRINCIPAL = Argument("PRINCIPAL", "principal")
_GROUP = Argument("--group", "group", bool, help="PRINCIPAL is a group.")
_ENTITY = Argument("--entity", "entity", help="Such as folder/finance or machine/db1.")

ROWS: Final = (
    Row(ListRoles, Privilege.VIEW, command="roles"),
    Row(
        SetRole,
        Privilege.MODIFY_PERMISSIONS,
        command="set-role",
        arguments=(
            NAME,
            Argument("--based-on", "basedOn", help="Also allow what this role allows."),
            Argument(
                "--privilege",
                "privileges",
                Many(click.Choice([privilege.value for privilege in Privilege])),
            ),
        ),
        example="set-role Encrypter --based-on NoCryptoAdmin --privilege Cryptographer.Encrypt",
        records=True,
    ),
    Row(
        RemoveRole,
        Privilege.MODIFY_PERMISSIONS,
        command="remove-role",
        arguments=(NAME,),
        example="remove-role Encrypter",
        records=True,
    ),
    Row(ListGroups, Privilege.VIEW, command="groups"),
    Row(
        SetMember,
        Privilege.MODIFY_PERMISSIONS,
        command="set-member",
        arguments=(
            Argument("GROUP", "group"),
            Argument("MEMBER", "member"),
            Argument("--remove", "remove", bool, help="Remove the user from the group."),
        ),
        example="set-member crypto-team ada",
        records=True,
    ),
    Row(ListPermissions, Privilege.VIEW, command="permissions"),
    Row(
        SetPermission,
        Privilege.MODIFY_PERMISSIONS,
        ENTITY,
        "set-permission",
        (_PRINCIPAL, Argument("ROLE", "role"), _GROUP, _ENTITY),
        "set-permission crypto-team NoCryptoAdmin --group --entity folder/finance",
        records=True,
    ),
    Row(
        RemovePermission,
        Privilege.MODIFY_PERMISSIONS,
        ENTITY,
        "remove-permission",
        (_PRINCIPAL, _GROUP, _ENTITY),
        "remove-permission ada",
        records=True,
    ),
    Row(HasPrivilege, Privilege.VIEW),
)
