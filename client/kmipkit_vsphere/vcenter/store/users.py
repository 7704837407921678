"""Users who log in with a password; a user without one is known by the name in a certificate."""

from typing import NamedTuple

from kmipkit_vsphere.vcenter.store.database import Database


class PasswordHash(NamedTuple):
    """A salted hash of a password."""

    salt: bytes
    hash: bytes


class Users:
    """The table of passwords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self) -> list[str]:
        """All users who have a password."""
        return [row[0] for row in self._database.rows("SELECT name FROM user ORDER BY name")]

    def password(self, name: str) -> PasswordHash | None:
        """The stored hash of a user's password, None for a user without one."""
        rows = self._database.rows("SELECT salt, hash FROM user WHERE name = ?", name)
        return PasswordHash(*rows[0]) if rows else None

    def set_password(self, name: str, password: PasswordHash) -> None:
        """Store a password; replaces an earlier one."""
        self._database.write("INSERT OR REPLACE INTO user VALUES (?, ?, ?)", name, *password)

    def remove_password(self, name: str) -> bool:
        """Remove a password; False if there is none."""
        return bool(self._database.write("DELETE FROM user WHERE name = ?", name))
