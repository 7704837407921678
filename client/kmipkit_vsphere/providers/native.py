"""The native key provider: hosts derive keys from a primary key that vCenter made (vsphere.md §8).

There is no key server. vCenter makes the key derivation key (KDK) and pushes it to the hosts; then
a host derives keys by itself. The derivation of real hosts is not published; ours is:

    KEK = HKDF-SHA256(KDK, salt of 32 random bytes, "nkp-kek|v1|PROVIDER|KDK ID")

The id of such a key is base64 of version, KDK id, salt and a MAC over them, so that every host with
the KDK derives the same key from the id, and detects an altered one. The KDK encrypts nothing.
"""

import base64
import binascii
import hmac
import secrets
from typing import Final, Self
from uuid import UUID, uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import structs

from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.errors import DamagedData
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.model.message import Message, Text, field
from kmipkit_vsphere.model.records import ProviderRecord

SECRET_PREFIX: Final = "kdk"  # noqa: S105 -- not a secret itself
"""The prefix of the names of KDKs among the secrets of vCenter's store."""
KDK_SIZE: Final = 32
KEK_SIZE: Final = 32

_VERSION: Final = 1
_SALT_SIZE: Final = 32
_MAC_SIZE: Final = 16
_BODY_SIZE: Final = 1 + 16 + _SALT_SIZE


class PrimaryKey(Message):
    """A KDK that was replaced: the keys that were derived from it stay readable."""

    key_id: UUID
    kdk: Secret = field(name="keyDerivationKey")


class NativeSpec(Message):
    """A native provider with its KDK, as it is pushed to hosts and stored, encrypted."""

    provider_id: Text = field(name="provider")
    key_id: UUID
    kdk: Secret = field(name="keyDerivationKey")
    tpm_required: bool = True
    previous: tuple[PrimaryKey, ...] = ()

    def __post_init__(self) -> None:
        for kdk in (self.kdk, *(key.kdk for key in self.previous)):
            if len(kdk) != KDK_SIZE:
                raise ValueError(f"a key derivation key has {KDK_SIZE} bytes, not {len(kdk)}")

    @classmethod
    def new(cls, provider_id: str, *, tpm_required: bool) -> Self:
        """A provider with a new KDK of 256 bits (requirement R30)."""
        return cls(provider_id, uuid4(), Secret.random(KDK_SIZE), tpm_required)

    def with_new_kdk(self, key_id: UUID | None = None) -> Self:
        """The provider with a new KDK of this id, or of a new one; it still has the present one."""
        new = self.new(self.provider_id, tpm_required=self.tpm_required)
        return structs.replace(
            new,
            key_id=key_id or new.key_id,
            previous=(*self.previous, PrimaryKey(self.key_id, self.kdk)),
        )

    def has(self, key_id: UUID) -> bool:
        """Whether a KDK of this id is, or was, the provider's."""
        return key_id == self.key_id or any(key.key_id == key_id for key in self.previous)

    def erase(self) -> None:
        """Erase all KDKs."""
        for kdk in (self.kdk, *(key.kdk for key in self.previous)):
            kdk.erase()

    def new_key(self) -> CryptoKeyPlain:
        """A new key-encryption key; its id leads back to it."""
        body = bytes((_VERSION,)) + self.key_id.bytes + secrets.token_bytes(_SALT_SIZE)
        return self._key(body + self._mac(body))

    def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """The key of this id; :class:`DamagedData` if it was altered or is of another KDK."""
        try:
            blob = base64.b64decode(key_id.key_id, validate=True)
        except binascii.Error:
            blob = b""
        body, mac = blob[:_BODY_SIZE], blob[_BODY_SIZE:]
        if len(mac) != _MAC_SIZE or body[0] != _VERSION:
            raise DamagedData(f"{key_id} is not the id of a key of a native key provider")
        for known in self.previous:
            if body[1:17] == known.key_id.bytes:
                earlier = structs.replace(self, key_id=known.key_id, kdk=known.kdk, previous=())
                return earlier.key(key_id)
        if body[1:17] != self.key_id.bytes:
            raise DamagedData(
                f"key {key_id} was derived from another primary key ({UUID(bytes=body[1:17])});"
                f" the key provider has {self.key_id}: restore its backup"
            )
        if not hmac.compare_digest(mac, self._mac(body)):
            raise DamagedData(f"the key id {key_id} was altered")
        return self._key(blob)

    def _key(self, blob: bytes) -> CryptoKeyPlain:
        kek = self._derive("nkp-kek", blob[17:_BODY_SIZE], KEK_SIZE)
        name = CryptoKeyId(self.provider_id, base64.b64encode(blob).decode("ascii"))
        return CryptoKeyPlain(name, "AES-256", Secret(kek))

    def _mac(self, body: bytes) -> bytes:
        key = self._derive("nkp-mac", b"", KEK_SIZE)
        return hmac.digest(key, body, "sha256")[:_MAC_SIZE]

    def _derive(self, purpose: str, salt: bytes, size: int) -> bytes:
        info = f"{purpose}|v1|{self.provider_id}|{self.key_id}".encode()
        kdf = HKDF(algorithm=hashes.SHA256(), length=size, salt=salt or None, info=info)
        return kdf.derive(self.kdk.reveal())


def colour(record: ProviderRecord) -> tuple[Color, str]:
    """The colour of a native provider (§8).

    Red before a backup, and while no host can use it; yellow while a host lacks it. Hosts without the
    TPM that it needs are no problem as long as there are others.
    """
    details = record.details
    if not details.has_backup:
        return Color.RED, "not backed up: export it before you use it"
    unfit = (
        f"no TPM, which it needs: {', '.join(details.unfit_hosts)}" if details.unfit_hosts else ""
    )
    if details.missing_hosts:
        text = f"not yet on all hosts; missing on {', '.join(details.missing_hosts)}"
        return Color.YELLOW, "; ".join(filter(None, (text, unfit)))
    if details.unfit_hosts and not details.served_hosts:
        return Color.RED, f"no host can use it; {unfit}"
    if not details.served_hosts:
        return Color.RED, "no host has it: add a host to a cluster"
    if unfit:
        return Color.GREEN, f"active: backed up, and on all hosts that can have it; {unfit}"
    return Color.GREEN, "active: backed up, and on all hosts"
