"""Who may do what: permissions on the objects of the inventory (vsphere.md §5.2).

A permission gives a role to a user or a group on an object, and with ``propagate`` on all that the
object holds. The nearest object that says anything of a user decides; there the user's own
permission beats those of groups, and several groups add up. Nothing said is nothing allowed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from kmipkit_vsphere.model.errors import InvalidArgument, NoPermission, NotFound
from kmipkit_vsphere.vcenter.privileges import ADMINISTRATOR, PREDEFINED, TRUSTED_ADMIN, Privilege

ROOT: Final = "/"
TRUSTED_ADMINS: Final = "TrustedAdmins"
"""The group whose members, and nobody else, administer a trust authority (vsphere.md §5.2)."""

Place = tuple[str, ...]
"""An object such as ``machine/db1``, then what holds it, up to the root. A machine is held by its
folder, as in vSphere, not by the host that it runs on."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A role for a principal on an object and, with ``propagate``, on what it holds."""

    entity: str
    principal: str
    role: str
    is_group: bool = False
    propagate: bool = True


class PermissionStore(Protocol):
    """Where permissions, own roles and the members of groups are kept."""

    def permissions(self) -> Iterable[Permission]:
        """All permissions."""

    def groups_of(self, user: str) -> frozenset[str]:
        """The groups that a user is a member of."""

    def role(self, name: str) -> frozenset[str] | None:
        """The privileges of a role that was made here, or None."""


class Authorization:
    """Decides from the store, each time anew: a change counts from the next call on.

    ``administrators`` have the role Administrator at the root, so that nobody can be locked out.
    """

    def __init__(self, store: PermissionStore, administrators: frozenset[str]) -> None:
        self._store = store
        self._administrators = administrators

    def allowed(self, user: str, place: Place) -> frozenset[str]:
        """The privileges of a user on an object."""
        said = list(self._store.permissions())
        said += [Permission(ROOT, one, ADMINISTRATOR) for one in self._administrators]
        said += [Permission(ROOT, TRUSTED_ADMINS, TRUSTED_ADMIN, is_group=True)]
        groups = self._store.groups_of(user)
        for entity in place:
            here = [
                one
                for one in said
                if one.entity == entity and (one.propagate or entity == place[0])
            ]
            own = [one.role for one in here if not one.is_group and one.principal == user]
            roles = own or [one.role for one in here if one.is_group and one.principal in groups]
            if roles:
                return frozenset[str]().union(*map(self.privileges, roles))
        return frozenset()

    def privileges(self, role: str) -> frozenset[str]:
        """What a role allows; NotFound for one that there is not."""
        known = PREDEFINED.get(role)
        found = known if known is not None else self._store.role(role)
        if found is None:
            raise NotFound(f"there is no role {role}")
        return frozenset(found)

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
    """Names of privileges as a role keeps them; InvalidArgument for one that there is not."""
    wanted = frozenset(names)
    unknown = sorted(wanted - frozenset(Privilege))
    if unknown:
        raise InvalidArgument(f"there is no privilege {unknown[0]}")
    return wanted
