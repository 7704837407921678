"""Roles and permissions as the API shows them: roles have numbers there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kmipkit_vsphere.vcenter.authorization import Permission as PermissionRecord
from kmipkit_vsphere.vcenter.privileges import (
    ADMINISTRATOR,
    NO_ACCESS,
    NO_CRYPTO_ADMIN,
    NO_TRUSTED_ADMIN,
    PREDEFINED,
    READ_ONLY,
    TRUSTED_ADMIN,
)
from kmipkit_vsphere.web_services.inventory import Node
from kmipkit_vsphere.web_services.vim25.authorization import AuthorizationRole, Permission
from kmipkit_vsphere.web_services.vim25.basics import Description

if TYPE_CHECKING:
    from kmipkit_vsphere.web_services.call import Call

_PREDEFINED_IDS: Final = {
    ADMINISTRATOR: -1,
    READ_ONLY: -2,
    NO_ACCESS: -5,
    NO_CRYPTO_ADMIN: 10,
    TRUSTED_ADMIN: 11,
    NO_TRUSTED_ADMIN: 12,
}
_API_NAMES: Final = {ADMINISTRATOR: "Admin"}
"""Where the API's name is another one."""
_FIRST_OWN: Final = 1000
"""Roles of users begin here."""


def role_id(call: "Call", name: str) -> int:
    """The number of a role."""
    known = _PREDEFINED_IDS.get(name)
    if known is not None:
        return known
    return _FIRST_OWN + call.vcenter.store.managed_objects.number("role", name)


def role_list(call: "Call") -> list[AuthorizationRole]:
    """All roles, the predefined ones first."""
    own = call.vcenter.store.permissions.roles()
    roles = {**PREDEFINED, **own}
    return [
        AuthorizationRole(
            role_id=role_id(call, name),
            system=name in PREDEFINED,
            name=_API_NAMES.get(name, name),
            info=Description(label=name, summary=name),
            privilege=sorted(map(str, privileges)),
        )
        for name, privileges in roles.items()
    ]


def permissions_on(call: "Call", node: Node, *, inherited: bool = False) -> list[Permission]:
    """The permissions that are set on an entity, or also those that it inherits."""
    own = _set_on(call, node, node.entity)
    if not inherited:
        return own
    permissions, parent = own, node.parent
    seen = {node.entity}
    while parent is not None:
        if parent.entity not in seen:
            permissions += [p for p in _set_on(call, parent, parent.entity) if p.propagate]
            seen.add(parent.entity)
        parent = parent.parent
    return permissions


def all_permissions(call: "Call") -> list[Permission]:
    """All permissions in the inventory."""
    tree = call.inventory
    return [
        _described(call, record, node)
        for record in call.vcenter.authorization.permissions()
        if (node := tree.of_entity(record.entity)) is not None and call.sees(node)
    ]


def _set_on(call: "Call", node: Node, entity: str) -> list[Permission]:
    records = call.vcenter.authorization.permissions()
    return [_described(call, record, node) for record in records if record.entity == entity]


def _described(call: "Call", record: PermissionRecord, node: Node) -> Permission:
    return Permission(
        entity=node.ref,
        principal=record.principal,
        group=record.is_group,
        role_id=role_id(call, record.role),
        propagate=record.propagate,
    )


def role_ids(call: "Call", entity: str) -> Sequence[int]:
    """The roles whose privileges are those that the caller has on an entity."""
    place = call.vcenter.store.inventory.place(entity)
    return [role_id(call, name) for name in call.vcenter.authorization.roles(call.user, place)]
