"""Storage policies: which parts of machines must be encrypted."""

from enum import StrEnum
from typing import Final

import click

from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.vcenter.calls.arguments import KEY_PROVIDER, NAME, PART
from kmipkit_vsphere.vcenter.command import MACHINE, Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import Many
from kmipkit_vsphere.vcenter.privileges import Privilege


class StoragePolicy(Message):
    """A storage policy, as far as encryption goes."""

    policy_id: str
    name: str
    encrypts: bool
    description: str = ""
    predefined: bool = False


class ComplianceStatus(StrEnum):
    """Whether a part is as its policy requires; ``notApplicable`` where none requires anything."""

    COMPLIANT = "compliant"
    NON_COMPLIANT = "nonCompliant"
    NOT_APPLICABLE = "notApplicable"
    UNKNOWN = "unknown"


class Compliance(Message):
    """The compliance of the home or of a disk of a machine with its policy."""

    machine: str
    part: str
    policy: str | None
    status: ComplianceStatus
    reason: str = ""


class ListStoragePolicies(VCenterQuery[list[StoragePolicy]]):
    """List the storage policies."""


class CreateStoragePolicy(VCenterRequest[StoragePolicy]):
    """Create a storage policy; with --encrypt what has it must be encrypted."""

    name: Text
    encrypt: bool = False
    description: str = ""


class UpdateStoragePolicy(VCenterRequest[StoragePolicy]):
    """Change a storage policy; machines that have it follow with set-policy."""

    policy: Text
    name: Text | None = None
    encrypt: bool | None = None
    description: str | None = None


class RemoveStoragePolicy(VCenterRequest[None]):
    """Remove a storage policy that nothing has."""

    policy: Text


class SetStoragePolicy(VCenterRequest[list[Compliance]]):
    """Give a machine, or parts of it, a storage policy, and encrypt or decrypt what it requires."""

    name: Text
    policy: Text
    key_provider: Text | None = None
    parts: list[str] | None = None


class CheckCompliance(VCenterQuery[list[Compliance]]):
    """Check whether machines are encrypted as their storage policies require."""

    names: list[str] | None = None
    all_parts: bool = False


# Rows --------------------------------------------------------------------------------------------

_POLICY = Argument("POLICY", "policy")
_DESCRIPTION = Argument("--description", "description", help="What it is for.")
_YES_OR_NO: Final = click.BOOL

ROWS: Final = (
    Row(ListStoragePolicies, Privilege.VIEW_STORAGE_POLICIES, command="policies"),
    Row(
        CreateStoragePolicy,
        Privilege.UPDATE_STORAGE_POLICIES,
        command="create-policy",
        arguments=(
            NAME,
            Argument("--encrypt", "encrypt", bool, help="It requires encryption."),
            _DESCRIPTION,
        ),
        example="create-policy payroll --encrypt",
        records=True,
    ),
    Row(
        UpdateStoragePolicy,
        Privilege.UPDATE_STORAGE_POLICIES,
        command="update-policy",
        arguments=(
            _POLICY,
            Argument("--name", "name", help="A new name."),
            Argument("--encrypt", "encrypt", _YES_OR_NO, help="Whether it requires encryption."),
            _DESCRIPTION,
        ),
        example="update-policy payroll --encrypt no",
        records=True,
    ),
    Row(
        RemoveStoragePolicy,
        Privilege.UPDATE_STORAGE_POLICIES,
        command="remove-policy",
        arguments=(_POLICY,),
        example="remove-policy payroll",
        records=True,
    ),
    Row(
        SetStoragePolicy,
        Privilege.APPLY_STORAGE_POLICY,
        MACHINE,
        "set-policy",
        (NAME, _POLICY, KEY_PROVIDER, PART),
        'set-policy db1 "VM Encryption Policy"',
    ),
    Row(
        CheckCompliance,
        Privilege.VIEW_STORAGE_POLICIES,
        command="check-compliance",
        arguments=(
            Argument("--vm", "names", Many(str), help="Only this machine.  [default: all]"),
            Argument("--all", "allParts", bool, help="Also show what is compliant."),
        ),
        example="check-compliance --vm db1 --all",
    ),
)
