"""What vCenter gives both hosts for one migration, and whether it is encrypted.

vCenter makes a key and a nonce for each migration, which have nothing to do with a key server, and
hands them to source and target over its own channels; afterwards they are thrown away.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self
from uuid import uuid4

from kmipkit_vsphere.model.errors import InvalidArgument, InvalidState
from kmipkit_vsphere.model.keys import Secret

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 8


class EncryptionMode(StrEnum):
    """``migrateEncryption`` of a machine."""

    DISABLED = "disabled"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"


def decide(mode: EncryptionMode, source_can: bool, target_can: bool) -> bool:
    """Whether a migration is encrypted; :class:`InvalidState` where it must be and cannot."""
    both = source_can and target_can
    if mode is EncryptionMode.REQUIRED and not both:
        side = "target" if source_can else "source"
        raise InvalidState(f"the machine moves encrypted only, and the {side} host cannot do that")
    return both and mode is not EncryptionMode.DISABLED


@dataclass(frozen=True, slots=True)
class MigrationSpec:
    """One migration; without a key its packets are plain, as vSphere does in that mode."""

    migration_id: str
    nonce: bytes
    key: Secret | None

    @classmethod
    def new(cls, *, encrypted: bool) -> Self:
        """A random id, nonce (64 bits) and key (256 bits)."""
        key = Secret.random(KEY_SIZE) if encrypted else None
        return cls(str(uuid4()), secrets.token_bytes(NONCE_SIZE), key)

    def to_json(self) -> dict[str, Any]:
        """For the channels to both hosts; never a log."""
        key = base64.b64encode(self.key.reveal()).decode("ascii") if self.key else None
        return {"migrationId": self.migration_id, "nonce": self.nonce.hex(), "key": key}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_json` made; :class:`InvalidArgument` for anything else."""
        try:
            nonce = bytes.fromhex(found["nonce"])
            key = found["key"] and base64.b64decode(found["key"], validate=True)
            name = str(found["migrationId"])
        except (KeyError, TypeError, ValueError):
            raise InvalidArgument("this is not a migration specification") from None
        if len(nonce) != NONCE_SIZE or (key is not None and len(key) != KEY_SIZE) or "/" in name:
            raise InvalidArgument("this is not a migration specification")
        return cls(name, nonce, Secret(key) if key is not None else None)

    def erase(self) -> None:
        """Throw the key away."""
        if self.key is not None:
            self.key.erase()
