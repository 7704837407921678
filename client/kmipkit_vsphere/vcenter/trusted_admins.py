"""The group TrustedAdmins: its members, and nobody else, administer a trust authority (R29, §5.2).

While the group is empty, whoever may modify permissions appoints the first member. From then on only
members change it, so that an administrator of machines cannot join, and the last member stays. If the
last member can no longer log in, whoever runs the process of vCenter appoints another one.
"""

from collections.abc import Iterable

from kmipkit_vsphere.model.errors import NoPermission, NotFound, ResourceInUse
from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.events import EventLog
from kmipkit_vsphere.vcenter.privileges import TRUSTED_ADMINS, Privilege
from kmipkit_vsphere.vcenter.store import Store


class TrustedAdmins:
    """The members of the group of one vCenter."""

    def __init__(self, store: Store, events: EventLog) -> None:
        self._permissions = store.permissions
        self._events = events

    def members(self) -> list[str]:
        """The members, by name."""
        return self._permissions.members().get(TRUSTED_ADMINS, [])

    def add(self, caller: Caller, member: str) -> None:
        """Add a member; the first one is appointed by whoever may modify permissions."""
        members = self.members()
        if member in members:
            return
        if not members:
            caller.require(Privilege.MODIFY_PERMISSIONS, ROOT)
        else:
            self._require_member(caller.user, members)
        self._permissions.set_member(TRUSTED_ADMINS, member, is_in=True)

    def remove(self, caller: Caller, member: str) -> None:
        """Remove a member, but never the last one: ResourceInUse."""
        members = self.members()
        if member not in members:
            raise NotFound(f"{member} is not a member of the group {TRUSTED_ADMINS}")
        self._require_member(caller.user, members)
        if members == [member]:
            raise ResourceInUse(
                f"{member} is the last member of the group {TRUSTED_ADMINS}; add another one first"
            )
        self._permissions.set_member(TRUSTED_ADMINS, member, is_in=False)

    def _require_member(self, user: str, members: Iterable[str]) -> None:
        if user not in members:
            raise NoPermission(
                f"{user} is not a member of the group {TRUSTED_ADMINS}: only members change it",
                privilege_id=TRUSTED_ADMINS,
                object=ROOT,
            )

    def appoint(self, member: str) -> None:
        """Add a member by an option of the process, for the case that no member can log in."""
        if member in self.members():
            return
        self._permissions.set_member(TRUSTED_ADMINS, member, is_in=True)
        self._events.add(
            "crypto.Operation",
            f"{member} was appointed to the group {TRUSTED_ADMINS} when vCenter was started",
            user="vCenter",
            operation="AppointTrustedAdmin",
            member=member,
        )
