"""Passwords of users, for the Web Services API."""

from typing import Final

from kmipkit_vsphere.model.keys import SecretText
from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.vcenter.command import Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.privileges import Privilege


class ListUsers(VCenterQuery[list[str]]):
    """List the users who can log in with a password."""


class SetPassword(VCenterRequest[None]):
    """Set the password with which a user logs in to the Web Services API."""

    user: Text
    password: SecretText


class RemovePassword(VCenterRequest[None]):
    """Remove the password of a user, who then can call with a certificate only."""

    user: Text


ROWS: Final = (
    Row(ListUsers, Privilege.VIEW, command="users"),
    Row(SetPassword, Privilege.VIEW, records=True),
    Row(
        RemovePassword,
        Privilege.VIEW,
        command="remove-password",
        arguments=(Argument("USER", "user"),),
        example="remove-password ada",
        records=True,
    ),
)
"""Both need more than to see: see the handlers."""
