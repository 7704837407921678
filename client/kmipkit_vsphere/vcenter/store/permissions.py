"""Permissions, roles and the members of groups; see :mod:`kmipkit_vsphere.vcenter.authorization`."""

from collections.abc import Iterable

from kmipkit_vsphere.vcenter.authorization import Permission
from kmipkit_vsphere.vcenter.store.database import Database


class Permissions:
    """The tables of permissions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def permissions(self) -> list[Permission]:
        """All permissions."""
        rows = self._database.rows(
            "SELECT entity, principal, role, is_group, propagate FROM permission"
            " ORDER BY entity, is_group, principal"
        )
        return [Permission(row[0], row[1], row[2], bool(row[3]), bool(row[4])) for row in rows]

    def set_permission(self, permission: Permission) -> None:
        """Set the permission of a principal on an entity; replaces an earlier one."""
        self._database.write(
            "INSERT OR REPLACE INTO permission VALUES (?, ?, ?, ?, ?)",
            *(permission.entity, permission.principal, permission.role),
            *(permission.is_group, permission.propagate),
        )

    def remove_permission(self, entity: str, principal: str, *, is_group: bool) -> bool:
        """Remove the permission of a principal on an entity; False if there is none."""
        return bool(
            self._database.write(
                "DELETE FROM permission WHERE entity = ? AND principal = ? AND is_group = ?",
                *(entity, principal, is_group),
            )
        )

    def groups_of(self, user: str) -> frozenset[str]:
        """The groups that a user is a member of."""
        rows = self._database.rows("SELECT name FROM membership WHERE member = ?", user)
        return frozenset(row[0] for row in rows)

    def members(self) -> dict[str, list[str]]:
        """Every group with its members."""
        members: dict[str, list[str]] = {}
        for name, member in self._database.rows(
            "SELECT name, member FROM membership ORDER BY 1, 2"
        ):
            members.setdefault(name, []).append(member)
        return members

    def set_member(self, group: str, member: str, *, is_in: bool) -> None:
        """Add a user to a group, or remove one from it."""
        statement = (
            "INSERT OR IGNORE INTO membership (name, member) VALUES (?, ?)"
            if is_in
            else "DELETE FROM membership WHERE name = ? AND member = ?"
        )
        self._database.write(statement, group, member)

    def role(self, name: str) -> frozenset[str] | None:
        """The privileges of a role that is not predefined, or None."""
        return self.roles().get(name)

    def roles(self) -> dict[str, frozenset[str]]:
        """All roles that are not predefined."""
        roles: dict[str, set[str]] = {}
        for name, privilege in self._database.rows("SELECT name, privilege FROM role"):
            roles.setdefault(name, set()).add(privilege)
        return {name: frozenset(privileges - {""}) for name, privileges in roles.items()}

    def put_role(self, name: str, privileges: Iterable[str]) -> None:
        """Create or change a role."""
        with self._database.transaction():
            self.remove_role(name)
            # The empty name stands for the role itself, so that a role may allow nothing.
            for privilege in {"", *privileges}:
                self._database.write("INSERT INTO role VALUES (?, ?)", name, privilege)

    def remove_role(self, name: str) -> None:
        """Remove a role."""
        self._database.write("DELETE FROM role WHERE name = ?", name)
