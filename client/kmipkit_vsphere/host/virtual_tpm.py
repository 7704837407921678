"""The virtual TPM of a machine: its state is a part of the machine's home, and encrypted with it.

The state is what a software TPM keeps in its file: the seed of its endorsement key, which identifies it,
and the seed of its storage keys, with which it seals. It stands in the ``.nvram`` in one of two slots.
A write goes to the older one, so that a crash leaves the earlier state. Wherever the home goes, by
migration, clone or snapshot, the state goes with it as ciphertext.
"""

import hashlib
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kmipkit_vsphere.host.disk import DiskFile
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.model.message import Message

AREA: Final = 16 * 1024
"""Where the slots begin in the home; before them are the variables of the firmware."""
SLOT: Final = 24 * 1024
_MAGIC: Final = b"kmipkit vTPM 1\0\0"
_HEAD: Final = struct.Struct(">16sQI32s")
_SEED_SIZE: Final = 32
_NONCE_SIZE: Final = 12
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class TPMState(Message):
    """The secrets of one virtual TPM."""

    endorsement_seed: Secret
    storage_seed: Secret

    @classmethod
    def new(cls) -> "TPMState":
        """The state of a TPM that has just been manufactured."""
        return cls(Secret.random(_SEED_SIZE), Secret.random(_SEED_SIZE))

    def endorsement_key(self) -> str:
        """The SHA-256 of the public endorsement key, which the seed determines."""
        # 64 bits more than the order has, so that the remainder is as good as uniform.
        number = int.from_bytes(_derived(self.endorsement_seed, b"endorsement", 40), "big")
        private = ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())
        public = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(public).hexdigest()

    def seal(self, data: bytes) -> bytes:
        """Data that only this TPM unseals."""
        nonce = Secret.random(_NONCE_SIZE).reveal()
        return nonce + self._cipher().encrypt(nonce, data, _MAGIC)

    def unseal(self, data: bytes) -> bytes:
        """The reverse; :class:`InvalidArgument` for what another TPM has sealed."""
        try:
            return self._cipher().decrypt(data[:_NONCE_SIZE], data[_NONCE_SIZE:], _MAGIC)
        except (InvalidTag, ValueError):
            raise InvalidArgument(
                "the virtual TPM does not unseal this: another TPM sealed it, or it was altered"
            ) from None

    def _cipher(self) -> AESGCM:
        return AESGCM(_derived(self.storage_seed, b"storage", 32))


def _derived(seed: Secret, use: bytes, size: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=size, salt=None, info=use).derive(seed.reveal())


def read(home: DiskFile) -> TPMState:
    """The state in an open home; :class:`DamagedData` if there is none that is whole."""
    slots = [slot for slot in (_slot(home, at) for at in (0, 1)) if slot is not None]
    if not slots:
        raise DamagedData(
            f"{home.path} has no state of a virtual TPM; remove the virtual TPM, and add a new one"
        )
    return max(slots, key=lambda slot: slot[0])[1]


def write(home: DiskFile, state: TPMState) -> None:
    """Store a state; durable on return."""
    slots = [_slot(home, at) for at in (0, 1)]
    sequences = [slot[0] if slot is not None else 0 for slot in slots]
    data = encode(state)
    head = _HEAD.pack(_MAGIC, max(sequences) + 1, len(data), hashlib.sha256(data).digest())
    older = sequences.index(min(sequences))
    home.write_at(AREA + older * SLOT, head + data)
    home.flush()


def erase(home: DiskFile) -> None:
    """Overwrite both slots; durable on return."""
    home.write_at(AREA, bytes(2 * SLOT))
    home.flush()


def _slot(home: DiskFile, number: int) -> tuple[int, TPMState] | None:
    """The number and the state of a slot, None if it is empty or was not written to its end."""
    slot = home.read_at(AREA + number * SLOT, SLOT)
    magic, sequence, size, digest = _HEAD.unpack_from(slot)
    data = slot[_HEAD.size : _HEAD.size + size]
    if magic != _MAGIC or hashlib.sha256(data).digest() != digest:
        return None
    try:
        return sequence, decode(data, TPMState)
    except InvalidArgument:
        return None
