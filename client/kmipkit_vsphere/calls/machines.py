"""vCenter's calls about the machines of a host, and about their migrations."""

from enum import StrEnum
from uuid import UUID

from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import Count, Message, Port, Size, Text, field
from kmipkit_vsphere.model.migration_spec import EncryptionMode, MigrationSpec
from kmipkit_vsphere.rpc.call import Query, Request


class MachineState(StrEnum):
    """``cryptoState`` of a machine (vsphere.md §2.5).

    ``plain`` for one that is not encrypted, ``invalid`` for one whose files are damaged, ``unknown``
    where the host does not say.
    """

    PLAIN = "plain"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class PowerState(StrEnum):
    """``powerState`` of a machine."""

    ON = "poweredOn"
    OFF = "poweredOff"
    UNKNOWN = "unknown"


class DiskLayer(Message):
    """A layer of a disk, and the key that locks it; a plain one has none."""

    disk: int
    file: str
    key_id: CryptoKeyId | None


class DiskDescription(Message):
    """One disk of a machine: its file, its size in bytes, and its key if it is encrypted.

    ``parents`` are the layers below that file, from the top down.
    """

    number: int
    file: str
    size: int
    key_id: CryptoKeyId | None = None
    parents: list[DiskLayer] = field(default_factory=list)


SnapshotName = Text | int
"""A snapshot by its name, or by its id: a number, or a string that is no name."""


class SnapshotInfo(Message):
    """A snapshot; ``key_ids`` are the keys of the home and the memory that it saved."""

    snapshot_id: int
    name: str
    description: str
    created: str
    parent: int | None
    is_current: bool
    has_memory: bool
    key_ids: list[CryptoKeyId]


class MachineInfo(Message):
    """State, keys and files of a machine; the keys of ``locked_disks`` are missing.

    ``mixed_disks`` are those whose layers are locked by different keys; ``parents`` are the machines
    on whose disks a linked clone stands.
    """

    name: str
    uuid: str
    crypto_state: MachineState
    power_state: PowerState
    key_ids: list[CryptoKeyId]
    pending_key_ids: list[CryptoKeyId]
    disks: list[int]
    locked_disks: list[int]
    migrate_encryption: str
    files: list[str]
    problem: str | None = None
    disk_descriptions: list[DiskDescription] = field(default_factory=list)
    encrypted_parts: list[str] = field(default_factory=list)
    locked_reasons: list[str] = field(default_factory=list)
    snapshots: list[SnapshotInfo] = field(default_factory=list)
    layers: list[DiskLayer] = field(default_factory=list)
    mixed_disks: list[int] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    consolidation_needed: bool = False
    has_tpm: bool = field(name="hasTPM", default=False)
    tpm_endorsement_key: str | None = None

    @property
    def parts(self) -> list[str]:
        """The home and the disks, as calls name them."""
        return ["home", *map(part_of_disk, self.disks)]

    @classmethod
    def damaged(cls, name: str, problem: str) -> "MachineInfo":
        """A machine of which only the problem is known."""
        state, power = MachineState.INVALID, PowerState.OFF
        return cls(name, "", state, power, [], [], [], [], "", [], problem)


def part_of_disk(number: int) -> str:
    """How calls name a disk: ``disk`` for the first one, then ``disk1`` and so on."""
    return f"disk{number}" if number else "disk"


class TPMProvisionPolicy(StrEnum):
    """Whether the virtual TPM of a clone is a copy, or a new one without the old secrets."""

    COPY = "copy"
    REPLACE = "replace"


class CreateMachine(Request[MachineInfo]):
    """Create a plain machine with an empty disk, or without one."""

    name: Text
    disk_size: Size | None
    sector_size: Count = 512
    uuid: UUID | None = None


class ReconfigureCrypto(Request[MachineInfo]):
    """Encrypt, decrypt or rekey a machine, or only some of its parts (vsphere.md §2.3)."""

    name: Text
    kind: CryptoSpecKind
    key_id: CryptoKeyId | None = None
    parts: list[str] | None = None


class CloneMachine(Request[MachineInfo]):
    """Clone a machine, with the same keys."""

    name: Text
    new_name: Text
    tpm_provision_policy: TPMProvisionPolicy = TPMProvisionPolicy.COPY
    snapshot: SnapshotName | None = None


class LinkMachine(Request[MachineInfo]):
    """Make a linked clone of a snapshot, whose own layers have the keys below or another one."""

    name: Text
    new_name: Text
    snapshot: SnapshotName | None = None
    key_id: CryptoKeyId | None = None
    tpm_provision_policy: TPMProvisionPolicy = TPMProvisionPolicy.COPY


class CreateSnapshot(Request[MachineInfo]):
    """Take a snapshot, with or without the memory of a machine that is on."""

    name: Text
    snapshot: Text
    description: str = ""
    memory: bool = False


class RevertToSnapshot(Request[MachineInfo]):
    """Return to a snapshot; a machine whose memory it has is powered on, unless that is suppressed."""

    name: Text
    snapshot: SnapshotName
    suppress_power_on: bool = False


class RemoveSnapshot(Request[MachineInfo]):
    """Remove a snapshot, by its name or id, or also all that follow it."""

    name: Text
    snapshot: SnapshotName
    remove_children: bool = False


class RemoveAllSnapshots(Request[MachineInfo]):
    """Remove all snapshots of a machine."""

    name: Text


class ConsolidateDisks(Request[MachineInfo]):
    """Merge the layers of disks that no snapshot needs any more."""

    name: Text


class AddDisk(Request[MachineInfo]):
    """Add an empty disk; in an encrypted machine it is encrypted, unless it is to be plain."""

    name: Text
    disk_size: Size
    sector_size: Count = 512
    key_id: CryptoKeyId | None = None
    plain: bool = False


class RemoveDisk(Request[MachineInfo]):
    """Remove a disk from a machine; its files stay."""

    name: Text
    disk: Count


class SetMigrateEncryption(Request[None]):
    """Set whether the migrations of a machine are encrypted."""

    name: Text
    migrate_encryption: EncryptionMode


class CheckIntegrity(Request[list[str]]):
    """Check the encrypted files of a machine with its keys; the answer is what is wrong."""

    name: Text


class AddVirtualTPM(Request[MachineInfo]):
    """Add a virtual TPM to a machine whose home is encrypted."""

    name: Text


class RemoveVirtualTPM(Request[MachineInfo]):
    """Remove the virtual TPM of a machine, and erase its state."""

    name: Text


class CryptoUnlock(Request[MachineInfo]):
    """Open a locked machine with the keys that the host has."""

    name: Text


class UnregisterMachine(Request[None]):
    """Lock a machine that vCenter removes from its inventory."""

    name: Text


class DeleteMachine(Request[None]):
    """Delete a machine that is powered off, with all its files."""

    name: Text


class PowerOn(Request[MachineInfo]):
    """Power a machine on."""

    name: Text


class PowerOff(Request[MachineInfo]):
    """Power a machine off."""

    name: Text


class ListMachines(Query[list[MachineInfo]]):
    """All machines on the datastore, by name."""


# Migration ---------------------------------------------------------------------------------------


class MigrationEnd(StrEnum):
    """How a migration ended for the source. If it is in doubt, vCenter must ask the target."""

    DONE = "done"
    IN_DOUBT = "inDoubt"


class MigrationAddress(Message):
    """Where the target of a migration listens for the machine."""

    address: Text
    port: Port


class PrepareMigration(Request[MigrationAddress]):
    """Let the target listen for a machine."""

    spec: MigrationSpec


class StartMigration(Request[MigrationEnd]):
    """Let the source send a machine to the target."""

    spec: MigrationSpec
    name: Text
    address: Text
    port: Port


class MigrationOutcome(Request[bool]):
    """Ask the target whether it has the machine; after this answer the migration is over."""

    migration_id: Text
    name: Text


class SettleMigration(Request[None]):
    """End the migration on the source: delete the machine there, or use it again."""

    migration_id: Text
    name: Text
    has_left: bool
