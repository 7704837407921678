"""The inventory of folders, clusters and hosts, and the encryption mode of hosts."""

from enum import StrEnum
from typing import Any, Final

import click

from kmipkit_vsphere.calls.host import ChangeKeyResult, DumpInfo, HostDescription
from kmipkit_vsphere.model.keys import CryptoKeyId, SecretText
from kmipkit_vsphere.model.message import LongText, Message, Port, Text, field
from kmipkit_vsphere.model.records import ROOT, CryptoMode
from kmipkit_vsphere.vcenter.calls.arguments import HOST, KEY_PROVIDER, NAME
from kmipkit_vsphere.vcenter.command import (
    CLUSTER,
    NAMED_HOST,
    PARENT,
    Argument,
    Row,
    VCenterQuery,
    VCenterRequest,
)
from kmipkit_vsphere.vcenter.command import HOST as ON_HOST
from kmipkit_vsphere.vcenter.command_line import PASSWORD_FILE, PORT, TEXT_FILE, aligned
from kmipkit_vsphere.vcenter.privileges import Privilege

# The inventory -----------------------------------------------------------------------------------


class CreateFolder(VCenterRequest[None]):
    """Create a folder."""

    name: Text
    parent: Text = ROOT


class CreateCluster(VCenterRequest[None]):
    """Create a cluster of hosts."""

    name: Text
    parent: Text = ROOT


class SetCryptoMode(VCenterRequest[None]):
    """Enable encryption on all hosts of a cluster (forceEnable), or when needed (onDemand)."""

    name: Text
    crypto_mode: CryptoMode = CryptoMode.ON_DEMAND
    key_id: CryptoKeyId | None = None
    key_provider: Text | None = None


class EncryptVsan(VCenterRequest[CryptoKeyId]):
    """Encrypt the disk groups of a cluster; its hosts fetch the key themselves."""

    name: Text
    key_provider: Text | None = None
    rekey: bool = False
    deep: bool = False


class FolderInfo(Message):
    """A folder."""

    name: str
    parent: str


class ClusterInfo(Message):
    """A cluster of hosts."""

    name: str
    parent: str
    crypto_mode: str


class HostEntry(Message):
    """A host in the inventory; the key is its host key."""

    name: str
    parent: str
    address: str
    crypto_key_id: CryptoKeyId | None


class MachineEntry(Message):
    """A machine in the inventory."""

    name: str
    parent: str
    host: str
    key_id: CryptoKeyId | None


class InventoryInfo(Message):
    """Everything in the inventory."""

    folders: list[FolderInfo]
    clusters: list[ClusterInfo]
    hosts: list[HostEntry]
    machines: list[MachineEntry]


class ListInventory(VCenterQuery[InventoryInfo]):
    """List folders, clusters, hosts and machines."""


class PrepareUpgrade(VCenterRequest[None]):
    """Let a host with a TPM start after an upgrade to another base image, by its manifest."""

    host: Text
    manifest: LongText


class AddHost(VCenterRequest[HostDescription]):
    """Add a host to the inventory."""

    name: Text
    address: Text
    port: Port
    parent: Text = ROOT


class RemoveHost(VCenterRequest[None]):
    """Remove a host from the inventory."""

    name: Text


class UnlockOutcome(StrEnum):
    """What became of a machine that was to be unlocked."""

    UNLOCKED = "unlocked"
    LOCKED = "locked"
    NOT_LOCKED = "notLocked"
    NOT_ENCRYPTED = "notEncrypted"
    BUSY = "busy"
    """Another call works on it, and gives it its keys."""
    ABSENT = "absent"
    """Its files are not on the host."""


class UnlockResult(Message, omit_defaults=True):
    """What became of a machine; if it, or a disk of it, is locked, why."""

    machine: str
    unlocked: bool
    outcome: UnlockOutcome = UnlockOutcome.UNLOCKED
    locked_disks: list[int] = field(default_factory=list)
    reason: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the machine is locked any more."""
        return self.unlocked and not self.locked_disks


class ReconnectHost(VCenterRequest[list[UnlockResult]]):
    """Connect to a host again and give it its keys; prints what became of each locked machine."""

    name: Text
    address: Text | None = None
    port: Port | None = None


# Encryption mode ---------------------------------------------------------------------------------


class ConfigureCryptoKey(VCenterRequest[CryptoKeyId]):
    """Enable encryption mode on a host, with a host key."""

    host: Text
    key_id: CryptoKeyId | None = None


class ChangeHostKey(VCenterRequest[ChangeKeyResult]):
    """Give a host a new host key."""

    host: Text


class DisableCrypto(VCenterRequest[None]):
    """Disable encryption mode on a host, from its next start on."""

    host: Text


class DumpCore(VCenterRequest[DumpInfo]):
    """Write a core dump of a host (hostd) or of one of its machines."""

    host: Text
    world: Text


class ListCoreDumps(VCenterQuery[list[DumpInfo]]):
    """List the core dumps of a host."""

    host: Text


class ExportCoreDump(VCenterRequest[bytes]):
    """A core dump, protected by a password instead of a key."""

    host: Text
    file: Text
    password: SecretText


# Rows --------------------------------------------------------------------------------------------

_PARENT = Argument("--parent", "parent", help="Such as folder/site1.")

_OUTCOMES: Final = {
    UnlockOutcome.NOT_LOCKED: "unlocked already",
    UnlockOutcome.NOT_ENCRYPTED: "not encrypted",
    UnlockOutcome.BUSY: "left alone",
    UnlockOutcome.ABSENT: "not on the host",
}


def unlock_lines(answer: list[dict[str, Any]] | dict[str, Any]) -> list[str]:
    """A line for each machine: what became of it, and the reason if it, or a disk, is locked."""
    results = answer if isinstance(answer, list) else [answer]
    if not results:
        return ["the host has no virtual machines"]
    return aligned([(result["machine"], _outcome(result)) for result in results])


def _outcome(result: dict[str, Any]) -> str:
    outcome = UnlockOutcome(result.get("outcome", UnlockOutcome.UNLOCKED))
    reason = result.get("reason")
    words = _OUTCOMES.get(outcome, outcome.value)
    return f"{words}: {reason}" if reason else words


ROWS: Final = (
    Row(
        CreateFolder,
        Privilege.CREATE_FOLDER,
        PARENT,
        "create-folder",
        (NAME, _PARENT),
        "create-folder finance",
    ),
    Row(
        CreateCluster,
        Privilege.CREATE_CLUSTER,
        PARENT,
        "create-cluster",
        (NAME, _PARENT),
        "create-cluster production",
    ),
    Row(
        SetCryptoMode,
        Privilege.REGISTER_HOST,
        CLUSTER,
        "set-crypto-mode",
        (
            NAME,
            Argument("MODE", "cryptoMode", click.Choice([mode.value for mode in CryptoMode])),
            Argument("--key-provider", "keyProvider", help="Of the keys of its hosts."),
        ),
        "set-crypto-mode production forceEnable",
        records=True,
    ),
    Row(
        EncryptVsan,
        Privilege.REGISTER_HOST,
        CLUSTER,
        "encrypt-vsan",
        (
            NAME,
            KEY_PROVIDER,
            Argument("--rekey", "rekey", bool, help="Use a new key."),
            Argument("--deep", "deep", bool, help="Also write all data again."),
        ),
        "encrypt-vsan production",
    ),
    Row(ListInventory, Privilege.VIEW, command="inventory"),
    Row(
        AddHost,
        Privilege.ADD_HOST,
        PARENT,
        "add-host",
        (
            NAME,
            Argument("ADDRESS", "address"),
            Argument("PORT", "port", PORT),
            Argument("--parent", "parent", help="Such as cluster/production."),
        ),
        "add-host esx01 192.0.2.11 5989",
    ),
    Row(RemoveHost, Privilege.ADD_HOST, NAMED_HOST, "remove-host", (NAME,), "remove-host esx01"),
    Row(
        ReconnectHost,
        Privilege.RECONNECT_HOST,
        NAMED_HOST,
        "reconnect-host",
        (NAME, Argument("--address", "address"), Argument("--port", "port", PORT)),
        "reconnect-host esx01",
        lines=unlock_lines,
    ),
    Row(
        ConfigureCryptoKey,
        Privilege.REGISTER_HOST,
        ON_HOST,
        "enable-encryption",
        (HOST,),
        "enable-encryption esx01",
    ),
    Row(
        ChangeHostKey,
        Privilege.REGISTER_HOST,
        ON_HOST,
        "change-host-key",
        (HOST,),
        "change-host-key esx01",
    ),
    Row(
        DisableCrypto,
        Privilege.REGISTER_HOST,
        ON_HOST,
        "disable-encryption",
        (HOST,),
        "disable-encryption esx01",
    ),
    Row(
        PrepareUpgrade,
        Privilege.PATCH_HOST,
        ON_HOST,
        "prepare-upgrade",
        (HOST, Argument("MANIFEST", "manifest", TEXT_FILE)),
        "prepare-upgrade esx01 esxi-8.0.4.json",
        records=True,
    ),
    Row(
        DumpCore,
        Privilege.DIAGNOSTICS,
        ON_HOST,
        "dump-core",
        (HOST, Argument("WORLD", "world")),
        "dump-core esx01 hostd",
    ),
    Row(ListCoreDumps, Privilege.DIAGNOSTICS, ON_HOST, "core-dumps", (HOST,), "core-dumps esx01"),
    # The command line has a command of its own for it, which writes the answer to a file.
    Row(
        ExportCoreDump,
        Privilege.DIAGNOSTICS,
        ON_HOST,
        "export-core-dump",
        (
            HOST,
            Argument("DUMP", "file"),
            Argument("--password-file", "password", PASSWORD_FILE, help="A password for it."),
        ),
        "export-core-dump esx01 hostd-zdump.20260131T120000 --password-file secret",
        records=True,
    ),
)
