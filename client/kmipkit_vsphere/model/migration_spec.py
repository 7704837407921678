"""What vCenter gives both hosts for one migration, and whether it is encrypted.

vCenter makes a key and a nonce for each migration, which have nothing to do with a key server, and
hands them to source and target over its own channels; it erases them afterwards.
"""

import secrets
from enum import StrEnum
from typing import Annotated, Final, Self
from uuid import uuid4

from msgspec import Meta

from kmipkit_vsphere.model.errors import InvalidState
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.model.message import Message

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


class MigrationSpec(Message):
    """One migration; without a key its packets are plain, as vSphere does in that mode."""

    migration_id: Annotated[str, Meta(max_length=64, pattern="^[0-9A-Za-z-]+$")]
    nonce: Annotated[bytes, Meta(min_length=NONCE_SIZE, max_length=NONCE_SIZE)]
    key: Secret | None

    def __post_init__(self) -> None:
        if self.key is not None and len(self.key) != KEY_SIZE:
            raise ValueError(f"a migration's key has {KEY_SIZE} bytes")

    @classmethod
    def new(cls, *, encrypted: bool) -> Self:
        """A random id, nonce (64 bits) and key (256 bits)."""
        key = Secret.random(KEY_SIZE) if encrypted else None
        return cls(str(uuid4()), secrets.token_bytes(NONCE_SIZE), key)

    def erase(self) -> None:
        """Overwrite the key."""
        if self.key is not None:
            self.key.erase()
