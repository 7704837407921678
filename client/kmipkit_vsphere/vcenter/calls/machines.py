"""Machines: creating, encrypting, moving, and their power (vsphere.md §2.3, §2.5, §2.6)."""

from typing import Annotated, Final

import click
from msgspec import Meta

from kmipkit_vsphere.calls.machines import MachineInfo, SnapshotName, TPMProvisionPolicy
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import Count, Message, Text, field
from kmipkit_vsphere.model.migration_spec import EncryptionMode
from kmipkit_vsphere.model.records import ROOT
from kmipkit_vsphere.vcenter.calls.arguments import FOLDER, HOST, KEY_PROVIDER, NAME, PART
from kmipkit_vsphere.vcenter.calls.hosts import UnlockResult, unlock_lines
from kmipkit_vsphere.vcenter.command import FOLDER as ON_FOLDER
from kmipkit_vsphere.vcenter.command import HOST as ON_HOST
from kmipkit_vsphere.vcenter.command import MACHINE, Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command_line import SIZE
from kmipkit_vsphere.vcenter.privileges import Privilege

DiskSize = Annotated[int, Meta(ge=512, le=1 << 62)]


class CreateVM(VCenterRequest[MachineInfo]):
    """Create a machine with an empty disk of SIZE bytes."""

    host: Text
    name: Text
    disk_size: DiskSize | None = None
    """None for a machine without a disk."""
    sector_size: Count = 512
    folder: Text = ROOT
    encrypt: bool = False
    key_provider: Text | None = None
    policy: Text | None = None
    parts: list[str] | None = None
    """What to encrypt, if not all of it."""
    key_id: CryptoKeyId | None = None
    """The key to encrypt with; otherwise a new one."""
    more_disks: list[DiskSize] = field(default_factory=list)
    """The sizes of further disks."""


class EncryptVM(VCenterRequest[CryptoKeyId]):
    """Encrypt a machine with a new key; without a policy that requires it, it gets one."""

    name: Text
    key_provider: Text | None = None
    parts: list[str] | None = None
    require_policy: bool = False
    key_id: CryptoKeyId | None = None
    """The key to encrypt with; otherwise a new one."""


class DecryptVM(VCenterRequest[None]):
    """Decrypt a machine: its files hold plain text again."""

    name: Text
    parts: list[str] | None = None


class RecryptVM(VCenterRequest[CryptoKeyId]):
    """Give a machine a new key; with --deep also write all its data again."""

    name: Text
    deep: bool = False
    key_provider: Text | None = None
    parts: list[str] | None = None
    key_id: CryptoKeyId | None = None
    """The key to use; otherwise a new one."""


class CloneVM(VCenterRequest[MachineInfo]):
    """Clone a machine or one of its snapshots, with the same keys."""

    name: Text
    new_name: Text
    tpm_provision_policy: TPMProvisionPolicy = TPMProvisionPolicy.COPY
    snapshot: SnapshotName | None = None
    linked: bool = False
    key_provider: Text | None = None
    folder: Text | None = None
    """Where to put it, if not beside its source."""


class AddDisk(VCenterRequest[MachineInfo]):
    """Add an empty disk; in an encrypted machine it is encrypted, unless its policy is another."""

    name: Text
    disk_size: DiskSize
    sector_size: Count = 512
    key_provider: Text | None = None
    policy: Text | None = None


class RemoveDisk(VCenterRequest[MachineInfo]):
    """Remove a disk from a machine; its files stay."""

    name: Text
    disk: Count


class SetMigrateEncryption(VCenterRequest[None]):
    """Set whether a machine moves to another host encrypted."""

    name: Text
    migrate_encryption: EncryptionMode


class MigrateVM(VCenterRequest[MachineInfo]):
    """Move a machine to another host, with its files and memory."""

    name: Text
    target: Text


class RegisterVM(VCenterRequest[MachineInfo]):
    """Add a machine whose files are on a host's datastore to the inventory."""

    host: Text
    name: Text
    folder: Text = ROOT


class UnregisterVM(VCenterRequest[None]):
    """Remove a machine from the inventory; its files stay."""

    name: Text


class IntegrityReport(Message):
    """Whether the encrypted files of a machine are whole, or what is wrong with them."""

    is_whole: bool
    problems: list[str]


class CheckIntegrity(VCenterRequest[IntegrityReport]):
    """Check with its keys that the encrypted files of a machine were not altered or cut off."""

    name: Text


class AddTPM(VCenterRequest[MachineInfo]):
    """Add a virtual TPM to a machine that is powered off, and whose home is encrypted."""

    name: Text
    encrypt: bool = False
    key_provider: Text | None = None


class RemoveTPM(VCenterRequest[MachineInfo]):
    """Remove the virtual TPM of a machine: what it has sealed is lost."""

    name: Text


class CryptoUnlock(VCenterRequest[UnlockResult]):
    """Give the keys of a locked machine to its host, and unlock it."""

    name: Text


class DestroyVM(VCenterRequest[None]):
    """Delete a machine that is powered off, with its files."""

    name: Text


class DeleteFiles(VCenterRequest[None]):
    """Delete the files of a machine that is not in the inventory, such as a broken copy."""

    host: Text
    name: Text


class ListDatastore(VCenterQuery[list[MachineInfo]]):
    """List the machines on the datastore of a host, in the inventory or not."""

    host: Text


class PowerOnVM(VCenterRequest[MachineInfo]):
    """Power a machine on."""

    name: Text


class PowerOffVM(VCenterRequest[MachineInfo]):
    """Power a machine off."""

    name: Text


class ListedMachine(MachineInfo):
    """A machine, the host that it is on, and the storage policies of its parts."""

    host: str = ""
    policies: dict[str, str] = field(default_factory=dict)


class ListVMs(VCenterQuery[list[ListedMachine]]):
    """List the machines with their state and keys."""


# Rows --------------------------------------------------------------------------------------------

_POLICY = Argument("--policy", "policy", help="Storage policy, by name or id.")
_SIZE = Argument("SIZE", "diskSize", SIZE)
_MODES = click.Choice([mode.value for mode in EncryptionMode])

ROWS: Final = (
    Row(
        CreateVM,
        Privilege.CREATE_MACHINE,
        ON_FOLDER,
        "create-vm",
        (
            HOST,
            NAME,
            _SIZE,
            FOLDER,
            Argument("--encrypt", "encrypt", bool, help="Encrypt it from the beginning."),
            KEY_PROVIDER,
            _POLICY,
        ),
        "create-vm esx01 db1 10485760 --encrypt",
    ),
    Row(
        EncryptVM,
        Privilege.ENCRYPT,
        MACHINE,
        "encrypt-vm",
        (
            NAME,
            KEY_PROVIDER,
            PART,
            Argument(
                "--require-policy",
                "requirePolicy",
                bool,
                help="Refuse it if its storage policy does not require it.",
            ),
        ),
        "encrypt-vm db1",
    ),
    Row(DecryptVM, Privilege.DECRYPT, MACHINE, "decrypt-vm", (NAME, PART), "decrypt-vm db1"),
    Row(
        RecryptVM,
        Privilege.RECRYPT,
        MACHINE,
        "recrypt-vm",
        (
            NAME,
            Argument("--deep", "deep", bool, help="Also write all data again."),
            KEY_PROVIDER,
            PART,
        ),
        "recrypt-vm db1 --deep",
    ),
    Row(
        CloneVM,
        Privilege.CLONE_MACHINE,
        MACHINE,
        "clone-vm",
        (
            NAME,
            Argument("NEW_NAME", "newName"),
            Argument(
                "--tpm",
                "tpmProvisionPolicy",
                click.Choice([policy.value for policy in TPMProvisionPolicy]),
                help="Whether the clone has the same virtual TPM or a new one.  [default: copy]",
            ),
            Argument("--snapshot", "snapshot", help="Name or id.  [default: the present state]"),
            Argument(
                "--linked",
                "linked",
                bool,
                help="Share the disks of a snapshot, of the current one by default.",
            ),
            Argument(
                "--provider", "keyProvider", help="Give a linked clone a new key of this provider."
            ),
        ),
        "clone-vm db1 db2",
    ),
    Row(
        AddDisk,
        Privilege.ADD_NEW_DISK,
        MACHINE,
        "add-disk",
        (NAME, _SIZE, KEY_PROVIDER, _POLICY),
        "add-disk db1 10485760",
    ),
    Row(
        RemoveDisk,
        Privilege.CONFIGURE_MACHINE,
        MACHINE,
        "remove-disk",
        (NAME, Argument("DISK", "disk", click.IntRange(0, 14))),
        "remove-disk db1 1",
    ),
    Row(
        SetMigrateEncryption,
        Privilege.CONFIGURE_MACHINE,
        MACHINE,
        "migrate-encryption",
        (NAME, Argument("MODE", "migrateEncryption", _MODES)),
        "migrate-encryption web1 required",
        records=True,
    ),
    Row(
        MigrateVM,
        Privilege.MIGRATE_MACHINE,
        MACHINE,
        "migrate-vm",
        (NAME, Argument("TARGET", "target")),
        "migrate-vm db1 esx02",
    ),
    Row(
        RegisterVM,
        Privilege.REGISTER_MACHINE,
        ON_FOLDER,
        "register-vm",
        (HOST, NAME, FOLDER),
        "register-vm esx02 db1",
    ),
    Row(
        UnregisterVM,
        Privilege.UNREGISTER_MACHINE,
        MACHINE,
        "unregister-vm",
        (NAME,),
        "unregister-vm db1",
    ),
    Row(
        AddTPM,
        Privilege.ADD_REMOVE_DEVICE,
        MACHINE,
        "add-tpm",
        (
            NAME,
            Argument("--encrypt", "encrypt", bool, help="Encrypt the home first if it is plain."),
            KEY_PROVIDER,
        ),
        "add-tpm db1 --encrypt",
    ),
    Row(
        CheckIntegrity, Privilege.ACCESS, MACHINE, "check-integrity", (NAME,), "check-integrity db1"
    ),
    Row(RemoveTPM, Privilege.ADD_REMOVE_DEVICE, MACHINE, "remove-tpm", (NAME,), "remove-tpm db1"),
    Row(
        CryptoUnlock,
        Privilege.REGISTER_VM,
        MACHINE,
        "unlock-vm",
        (NAME,),
        "unlock-vm db1",
        lines=unlock_lines,
    ),
    Row(PowerOnVM, Privilege.POWER_ON, MACHINE, "power-on", (NAME,), "power-on db1"),
    Row(PowerOffVM, Privilege.POWER_OFF, MACHINE, "power-off", (NAME,), "power-off db1"),
    Row(ListVMs, Privilege.VIEW, command="vms"),
    Row(DestroyVM, Privilege.DELETE_MACHINE, MACHINE, "destroy-vm", (NAME,), "destroy-vm db2"),
    Row(ListDatastore, Privilege.VIEW, ON_HOST, "datastore", (HOST,), "datastore esx01"),
    Row(
        DeleteFiles,
        Privilege.DELETE_MACHINE,
        ON_HOST,
        "delete-files",
        (HOST, NAME),
        "delete-files esx01 db2",
    ),
)
