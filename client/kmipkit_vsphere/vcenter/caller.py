"""Who makes a call to vCenter, and the checks that depend on the state of things."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from kmipkit_vsphere.vcenter.privileges import Privilege

Check = Callable[[str, Privilege, str], None]
"""Raises NoPermission unless a user has a privilege on an entity."""


def _allow(_user: str, _privilege: Privilege, _entity: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, by the name in the certificate."""

    user: str
    check: Check = _allow
    in_background: bool = False
    """Whether nobody asked for it: then a failure that goes on is one event, not one each round."""

    def require(self, privilege: Privilege, entity: str) -> None:
        """NoPermission, which names privilege and entity, unless the caller has it there."""
        self.check(self.user, privilege, entity)

    def unchecked(self) -> "Caller":
        """The same user for work that needs no further privilege."""
        return replace(self, check=_allow)


SYSTEM: Final = Caller("vCenter", in_background=True)
"""vCenter itself, for what it does in the background."""
