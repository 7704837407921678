"""What vCenter asks of a host itself: encryption mode, keys, attestation, core dumps."""

from enum import StrEnum
from uuid import UUID

from kmipkit_vsphere.model.crypto_spec import CryptoState
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, SecretText
from kmipkit_vsphere.model.message import Message, Port, Text, field
from kmipkit_vsphere.rpc.call import Query, Request

# Encryption mode ---------------------------------------------------------------------------------


class NativeProviderInfo(Message):
    """A native key provider that a host has, without its key."""

    provider: str
    key_id: UUID
    tpm_required: bool


class HostDescription(Message):
    """Identity and encryption mode of a host; ``boot_id`` changes with each start."""

    name: str
    uuid: str
    boot_id: str
    process_id: int
    crypto_state: CryptoState
    crypto_key_id: CryptoKeyId | None
    has_tpm: bool
    encrypted_vmotion: bool = field(name="encryptedVMotion")
    key_persistence: bool
    stored_keys: int
    key_providers: list[NativeProviderInfo]
    datastore: str


class HostInfo(Query[HostDescription]):
    """Ask a host about itself."""


class CryptoManagerHostPrepare(Request[None]):
    """Prepare a host for its host key: incapable to prepared."""


class CryptoManagerHostEnable(Request[CryptoKeyId]):
    """Enable encryption mode with a key, or with the id of a key that the host gets itself.

    The answer is the id of the host key.
    """

    initial_key: CryptoKeyPlain | None = None
    key_id: CryptoKeyId | None = None


class CryptoManagerHostDisable(Request[None]):
    """Disable encryption mode; the host is incapable after its next reboot."""


class ChangeKeyResult(Message):
    """The new host key, the core dumps that were relocked with it, and those that were not."""

    key_id: CryptoKeyId
    relocked: list[str]
    left: list[str]


class ChangeKey(Request[ChangeKeyResult]):
    """Replace the host key by a key, or by a new key that the host gets itself."""

    new_key: CryptoKeyPlain | None = None
    key_id: CryptoKeyId | None = None


# Keys --------------------------------------------------------------------------------------------


class CryptoKeyResult(Message, omit_defaults=True):
    """The result for one key (vsphere.md §4.3)."""

    key_id: CryptoKeyId | None
    success: bool
    reason: str | None = None
    fault: str | None = None


class KeyPresence(Message):
    """Whether a host has a key, and who manages it: ``internal`` or ``external``."""

    key_id: CryptoKeyId
    present: bool
    management_type: str


class AddKey(Request[None]):
    """Add a key to a host."""

    key: CryptoKeyPlain


class AddKeys(Request[list[CryptoKeyResult]]):
    """Add several keys to a host; one that fails does not affect the others."""

    keys: list[CryptoKeyPlain]


class RemoveKey(Request[None]):
    """Remove a key from a host."""

    key_id: CryptoKeyId
    force: bool = False


class ListKeys(Query[list[CryptoKeyId]]):
    """The ids of the keys that a host has."""


class GetCryptoKeyStatus(Request[list[KeyPresence]]):
    """Ask a host which of these keys it has."""

    keys: list[CryptoKeyId]


class ReferenceKind(StrEnum):
    """What refers to a key."""

    MACHINE = "machine"
    HOST_KEY = "hostKey"
    CORE_DUMP = "coreDump"
    VSAN = "vsan"
    OTHER = "other"


class KeyReference(Message):
    """A key whose id stands in a file of a host, and the name of what it belongs to."""

    key_id: CryptoKeyId
    kind: ReferenceKind
    name: str


class ListKeyReferences(Query[list[KeyReference]]):
    """All keys that anything on a host refers to, in use or not."""


class SetKeyPersistence(Request[None]):
    """Enable or disable key persistence on a host with a TPM (vsphere.md §2.8).

    To disable it, ``remove_all_stored_keys`` must confirm that the stored keys are removed.
    """

    enable: bool = False
    remove_all_stored_keys: bool = False


# Trusted hosts -----------------------------------------------------------------------------------


class TrustService(Message):
    """The address of the services on one Trust Authority host."""

    name: Text
    address: Text
    port: Port


class TrustServices(Message):
    """The services of a trust authority, as a trusted host needs them (vsphere.md §7.3)."""

    vcenter_id: str
    group: str
    authorities: str
    providers: list[str]
    services: list[TrustService]


class ConfigureTrustedHost(Request[list[str]]):
    """Configure the services of a trusted host; the answer names the machines that this unlocked.

    Without services the host forgets those that it has.
    """

    services: TrustServices | None


class HostAttestation(Message):
    """``attested``, ``notAttested`` or ``unknown``, by which service, and until when (§7.5)."""

    status: str
    service_id: str | None = None
    attested_at: str | None = None
    attested_until: str | None = None
    messages: tuple[str, ...] = ()
    image: str | None = None
    """Name and version of what the host has booted, by its own event log."""


class AttestationStatus(Request[HostAttestation]):
    """Whether a host is attested; it tries to attest if it has no fresh token."""


# Core dumps --------------------------------------------------------------------------------------


class DumpInfo(Message):
    """World, time, key id and file of a core dump, as its event reports them (vsphere.md §2.7)."""

    file: str
    world: str
    time: str
    key_id: CryptoKeyId | None


class DumpCore(Request[DumpInfo]):
    """Write a core dump of the host (``hostd``) or of a machine."""

    world: Text
    data: bytes = b""


class ListCoreDumps(Query[list[DumpInfo]]):
    """List the core dumps."""


class ExportCoreDump(Request[bytes]):
    """A core dump, protected by a password instead of a key."""

    file: Text
    password: SecretText
