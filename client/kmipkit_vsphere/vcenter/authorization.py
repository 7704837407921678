"""Who may do what: permissions on the objects of the inventory (vsphere.md §5.2).

A permission gives a role to a user or a group on an object, and with ``propagate`` on everything that
the object contains. The nearest object with a permission for the user decides; there the user's own
permission takes precedence over those of groups, and those of several groups add up. Without any
permission nothing is allowed.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from kmipkit_vsphere.model.errors import InvalidArgument, NoPermission, NotFound
from kmipkit_vsphere.model.message import Message, field
from kmipkit_vsphere.vcenter.privileges import (
    ADMINISTRATOR,
    PREDEFINED,
    TRUSTED_ADMIN,
    TRUSTED_ADMINS,
    Privilege,
)

ROOT: Final = "/"

Place = tuple[str, ...]
"""An object such as ``machine/db1``, then its parents, up to the root. The parent of a machine is its
folder, as in vSphere, not the host that it runs on."""


class Permission(Message):
    """A role for a principal on an object and, with ``propagate``, on what it holds."""

    entity: str
    principal: str
    role: str
    is_group: bool = field(name="group", default=False)
    propagate: bool = True


class PermissionStore(Protocol):
    """Where permissions, roles and the members of groups are stored."""

    def permissions(self) -> Iterable[Permission]:
        """All permissions."""

    def groups_of(self, user: str) -> frozenset[str]:
        """The groups that a user is a member of."""

    def role(self, name: str) -> frozenset[str] | None:
        """The privileges of a role that is not predefined, or None."""


class Authorization:
    """Decides from the store each time, so that a change takes effect with the next call.

    ``administrators`` always have the role Administrator at the root, so that they cannot be locked
    out.
    """

    def __init__(self, store: PermissionStore, administrators: frozenset[str]) -> None:
        self._store = store
        self._administrators = administrators

    def allowed(self, user: str, place: Place) -> frozenset[str]:
        """The privileges of a user on an object."""
        return frozenset[str]().union(*map(self.privileges, self.roles(user, place)))

    def roles(self, user: str, place: Place) -> list[str]:
        """The roles that a user has on an object."""
        permissions = self.permissions()
        groups = self._store.groups_of(user)
        for entity in place:
            here = [
                permission
                for permission in permissions
                if permission.entity == entity and (permission.propagate or entity == place[0])
            ]
            own = [p.role for p in here if not p.is_group and p.principal == user]
            roles = own or [p.role for p in here if p.is_group and p.principal in groups]
            if roles:
                return roles
        return []

    def permissions(self) -> list[Permission]:
        """All permissions, also those that nobody can remove."""
        return [
            *self._store.permissions(),
            *(Permission(ROOT, name, ADMINISTRATOR) for name in sorted(self._administrators)),
            Permission(ROOT, TRUSTED_ADMINS, TRUSTED_ADMIN, is_group=True),
        ]

    def privileges(self, role: str) -> frozenset[str]:
        """The privileges of a role; NotFound if there is no such role."""
        predefined = PREDEFINED.get(role)
        privileges = predefined if predefined is not None else self._store.role(role)
        if privileges is None:
            raise NotFound(f"there is no role {role}")
        return frozenset(privileges)

    def require(self, user: str, privilege: Privilege, place: Place) -> None:
        """NoPermission, which names privilege and object, unless the user has it there."""
        if privilege not in self.allowed(user, place):
            raise NoPermission(
                f"{user} lacks the privilege {privilege} on {place[0]};"
                " an administrator can give a role that has it (set-permission)",
                privilege_id=str(privilege),
                object=place[0],
            )


def checked_privileges(names: Iterable[str]) -> frozenset[str]:
    """The names as a set; InvalidArgument if one is not the name of a privilege."""
    privileges = frozenset(names)
    unknown = sorted(privileges - frozenset(Privilege))
    if unknown:
        raise InvalidArgument(f"there is no privilege {unknown[0]}")
    return privileges
