"""What a host tells about a machine."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kmipkit_vsphere.model.keys import CryptoKeyId


class MachineState(StrEnum):
    """``cryptoState`` of a machine (vsphere.md §2.5).

    ``plain`` for one that is not encrypted, ``invalid`` for one whose files are damaged.
    """

    PLAIN = "plain"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    INVALID = "invalid"


class PowerState(StrEnum):
    """``powerState`` of a machine."""

    ON = "poweredOn"
    OFF = "poweredOff"


@dataclass(frozen=True, slots=True)
class MachineInfo:
    """State, keys and files of a machine; ``locked_disks`` lack a key of their own."""

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

    @classmethod
    def damaged(cls, name: str, problem: str) -> "MachineInfo":
        """A machine of which nothing is known but why."""
        state, power = MachineState.INVALID, PowerState.OFF
        return cls(name, "", state, power, [], [], [], [], "", [], problem)

    def to_json(self) -> dict[str, Any]:
        """Field names of the vSphere API where it has them."""
        return {
            "name": self.name,
            "uuid": self.uuid,
            "cryptoState": self.crypto_state.value,
            "powerState": self.power_state.value,
            "keyIds": [key.to_json() for key in self.key_ids],
            "pendingKeyIds": [key.to_json() for key in self.pending_key_ids],
            "disks": self.disks,
            "lockedDisks": self.locked_disks,
            "migrateEncryption": self.migrate_encryption,
            "files": self.files,
            "problem": self.problem,
        }
