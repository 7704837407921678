"""Passwords of users."""

from kmipkit_vsphere.model.errors import NoPermission, NotFound
from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.vcenter.caller import Caller
from kmipkit_vsphere.vcenter.calls.users import ListUsers, RemovePassword, SetPassword
from kmipkit_vsphere.vcenter.passwords import hash_password
from kmipkit_vsphere.vcenter.privileges import Privilege
from kmipkit_vsphere.vcenter.vcenter import VCenter


@ListUsers.handler
async def list_users(vcenter: VCenter, _caller: Caller, _request: ListUsers) -> list[str]:
    return vcenter.store.users.names()


@SetPassword.handler
async def set_password(vcenter: VCenter, caller: Caller, request: SetPassword) -> None:
    _require_control(vcenter, caller, request.user)
    vcenter.store.users.set_password(request.user, hash_password(request.password))


@RemovePassword.handler
async def remove_password(vcenter: VCenter, caller: Caller, request: RemovePassword) -> None:
    _require_control(vcenter, caller, request.user)
    if not vcenter.store.users.remove_password(request.user):
        raise NotFound(f"the user {request.user} has no password")


def _require_control(vcenter: VCenter, caller: Caller, user: str) -> None:
    """Everyone controls his own password.

    Those of others need the privilege to modify permissions, and all privileges that they have
    themselves: whoever sets a password can act as that user.
    """
    if caller.user == user:
        return
    caller.require(Privilege.MODIFY_PERMISSIONS, ROOT)
    allowed = vcenter.authorization.allowed
    beyond = sorted(allowed(user, (ROOT,)) - allowed(caller.user, (ROOT,)))
    if beyond:
        raise NoPermission(
            f"{caller.user} lacks the privilege {beyond[0]}, which {user} has",
            privilege_id=beyond[0],
            object=ROOT,
        )
