"""The alarms that there are: one row says when each begins and ends.

Most begin with an event, and end with another one; those are found by :meth:`Definition.subject` and
:meth:`Definition.ends`. The others are about a state that is looked at again and again.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.calls.events import (
    COMMON_PREFIX,
    AlarmDefinition,
    AlarmName,
    Entity,
    Event,
)

PREFIX: Final = COMMON_PREFIX
COMPLETE: Final = ("esx.", "vim.event.")
"""Events of hosts, and those that are classes of the API, do not have the common prefix."""

Subject = Callable[[Event], Entity | None]
"""What an event is about, for an alarm."""


class Definition(NamedTuple):
    """One alarm; ``subject`` and ``ends`` are there for those that events raise and clear."""

    alarm: AlarmName
    entity_type: str
    condition: str
    colours: tuple[Color, ...]
    raised_by: tuple[str, ...]
    cleared_by: str
    subject: Subject | None = None
    ends: Callable[[Event], bool] | None = None
    repeats: bool = False
    """Whether it begins anew a day after it was acknowledged."""

    def begins(self, event: Event) -> bool:
        """Whether an event raises it."""
        return self.subject is not None and event.event_type_id.removeprefix(PREFIX).startswith(
            self.raised_by
        )

    def message(self) -> AlarmDefinition:
        """The definition as it is answered."""
        return AlarmDefinition(
            self.alarm,
            self.entity_type,
            self.condition,
            list(self.colours),
            [full_id(event) for event in self.raised_by],
            self.cleared_by,
        )


def full_id(event_type: str) -> str:
    """The identifier of a type as vSphere has it, with its prefix."""
    return event_type if event_type.startswith(COMPLETE) else PREFIX + event_type


def entity_of(event: Event) -> Entity | None:
    """The entity that an event names."""
    return event.entity


def key_of(event: Event) -> Entity | None:
    """The key that an event names, None if it names none."""
    if not event.provider_id or not event.key_id:
        return None
    return Entity("key", str(CryptoKeyId(event.provider_id, event.key_id)))


def _is(event_type: str) -> Callable[[Event], bool]:
    return lambda event: event.event_type_id == full_id(event_type)


def _succeeded(*operations: str) -> Callable[[Event], bool]:
    return lambda event: event.result == "success" and event.operation in operations


_BOTH: Final = (Color.YELLOW, Color.RED)
_POLL: Final = "the next look at the health of key providers"

DEFINITIONS: Final[Mapping[AlarmName, Definition]] = MappingProxyType(
    {
        definition.alarm: definition
        for definition in (
            Definition(
                AlarmName.KEY_SERVER_CONNECTION,
                "keyServer",
                "vCenter cannot use a key server",
                (Color.RED,),
                ("kms.crypto.Unreachable",),
                f"a request that it serves, or {_POLL} that reaches it",
            ),
            Definition(
                AlarmName.KEY_PROVIDER_HEALTH,
                "provider",
                "a key provider is yellow or red",
                _BOTH,
                ("kms.crypto.Unreachable", "kms.crypto.SendKeyError"),
                f"{_POLL} in which it is green",
            ),
            Definition(
                AlarmName.CERTIFICATE,
                "provider or keyServer",
                "a certificate expires within 60 days (yellow), within 30 days, or has expired (red)",
                _BOTH,
                ("vecs.KMSClientCertExpirationEvent", "vecs.KMSServerCertExpirationEvent"),
                f"{_POLL} after it was replaced",
            ),
            Definition(
                AlarmName.NATIVE_PROVIDER_BACKUP,
                "provider",
                "a native key provider is not backed up; acknowledged for a day at a time",
                (Color.RED,),
                ("kms.crypto.NotBackedUp",),
                "its export, or its removal",
                entity_of,
                _succeeded("ExportNativeKeyProvider", "DeleteNativeKeyProvider"),
                repeats=True,
            ),
            Definition(
                AlarmName.KEY_MISSING,
                "key",
                "a key that is in use cannot be had from its key server",
                (Color.RED,),
                ("kms.crypto.SendKeyError.KeyMissingOnKMS", "vm.Crypto.VMLocked.KeyMissingOnKMS"),
                "the key being given to a host or removed, or nothing that uses it",
                key_of,
                _succeeded("AddKey", "RemoveKey"),
            ),
            Definition(
                AlarmName.HOST_CONNECTION,
                "host",
                "a host does not answer vCenter",
                (Color.RED,),
                ("vim.event.HostConnectionLostEvent",),
                "vim.event.HostConnectedEvent",
                entity_of,
                _is("vim.event.HostConnectedEvent"),
            ),
            Definition(
                AlarmName.HOST_NEEDS_ENCRYPTION,
                "host",
                "a host needs encryption mode, which cannot be enabled or is disabled",
                (Color.RED,),
                ("host.Crypto.ReqEnable.KMSClusterError", "host.Crypto.HostCryptoDisabled"),
                f"{PREFIX}host.Crypto.Enabled",
                entity_of,
                _is("host.Crypto.Enabled"),
            ),
            Definition(
                AlarmName.HOST_KEY_MISSING,
                "host",
                "the key of a host cannot be had from its key server",
                (Color.RED,),
                ("host.Crypto.ReqEnable.KeyMissingOnKMS",),
                f"{PREFIX}host.Crypto.Enabled",
                entity_of,
                _is("host.Crypto.Enabled"),
            ),
            Definition(
                AlarmName.MACHINE_LOCKED,
                "machine",
                "a machine, or a disk of it, is locked",
                (Color.RED,),
                ("vm.Crypto.VMLocked",),
                f"{PREFIX}vm.Crypto.VMUnlocked",
            ),
            Definition(
                AlarmName.MACHINE_INTEGRITY,
                "machine",
                "the encrypted files of a machine were altered or are damaged",
                (Color.RED,),
                ("crypto.IntegrityCheckFailed",),
                f"{PREFIX}crypto.IntegrityCheckPassed",
                entity_of,
                _is("crypto.IntegrityCheckPassed"),
            ),
            Definition(
                AlarmName.MIXED_KEYS,
                "machine",
                "the layers of a disk are locked by different keys",
                (Color.YELLOW,),
                ("vm.crypto.DiskchainUsingMixedKeys",),
                "a re-encryption, or the next look at the machine",
            ),
            Definition(
                AlarmName.CONSOLIDATION_NEEDED,
                "machine",
                "the disks of a machine have layers that no snapshot needs",
                (Color.YELLOW,),
                (),
                "a consolidation, or the next look at the machine",
            ),
            Definition(
                AlarmName.POLICY_COMPLIANCE,
                "machine",
                "a machine is not encrypted as its storage policies require",
                (Color.YELLOW,),
                (),
                "the next check of its compliance that finds nothing",
            ),
            Definition(
                AlarmName.HOST_ATTESTATION,
                "host",
                "a host of a trusted cluster is not attested",
                (Color.RED,),
                ("TaHostAttestFailEvent",),
                f"{PREFIX}TaHostAttestPassEvent",
                entity_of,
                _is("TaHostAttestPassEvent"),
            ),
            Definition(
                AlarmName.TRUST_AUTHORITY,
                "trustAuthority or cluster",
                "hosts of a trust authority do not answer (red: none does), or are not up to date",
                _BOTH,
                (
                    "kms.crypto.TrustAuthority.ClusterNotAvailable",
                    "kms.crypto.TrustAuthority.ClusterUnhealthy",
                ),
                "the next look that finds nothing",
            ),
            Definition(
                AlarmName.PRIMARY_KEY,
                "provider",
                "a trust authority cannot use the primary key of a trusted key provider",
                (Color.RED,),
                ("kms.crypto.TrustAuthority.KmsUnhealthy",),
                "the next look that finds nothing",
            ),
        )
    }
)
"""By name."""
