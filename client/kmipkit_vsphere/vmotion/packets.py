"""The packets of a migration, without any input or output.

    packet = length (4 bytes) | counter (8) | type (1) | body

Encrypted, the body is AES-256-GCM with the head as associated data; key and base IV (96 bits) come
from the migration's key and nonce by HKDF, one pair for each direction, and the IV of a packet is
the base with its counter mixed in (vsphere.md Q12). The counter must be the next one: what is
replayed, left out, moved or altered ends the migration.
"""

from enum import IntEnum
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kmipkit_vsphere.model.errors import MigrationBroken
from kmipkit_vsphere.model.migration_spec import MigrationSpec

MAX_BODY: Final = 1 << 20
HEAD_SIZE: Final = 13
TO_TARGET, TO_SOURCE = b"vmotion|source to target", b"vmotion|target to source"

_LENGTH_SIZE: Final = 4
_COUNTER_SIZE: Final = 8
_IV_SIZE: Final = 12


class Kind(IntEnum):
    """What a packet is."""

    MANIFEST = 1
    DATA = 2
    FINISH = 3
    PREPARED = 4
    COMMIT = 5
    DONE = 6
    REFUSED = 7


class Packet(NamedTuple):
    """A packet, opened."""

    kind: Kind
    body: bytes


class _Protection:
    """Key and IV of one direction; without a key nothing is protected."""

    def __init__(self, spec: MigrationSpec, direction: bytes) -> None:
        self._cipher: AESGCM | None = None
        self._base = b""
        if spec.key is not None:
            size = 32 + _IV_SIZE
            kdf = HKDF(algorithm=hashes.SHA256(), length=size, salt=spec.nonce, info=direction)
            made = kdf.derive(spec.key.reveal())
            self._cipher, self._base = AESGCM(made[:32]), made[32:]
        self.counter = 0

    @property
    def overhead(self) -> int:
        return 16 if self._cipher else 0

    def _iv(self) -> bytes:
        number = int.from_bytes(self._base, "big") ^ self.counter
        return number.to_bytes(_IV_SIZE, "big")

    def seal(self, head: bytes, body: bytes) -> bytes:
        return self._cipher.encrypt(self._iv(), body, head) if self._cipher else body

    def open(self, head: bytes, body: bytes) -> bytes:
        return self._cipher.decrypt(self._iv(), body, head) if self._cipher else body


class Sealer:
    """The sending side of one direction."""

    def __init__(self, spec: MigrationSpec, direction: bytes) -> None:
        self._protection = _Protection(spec, direction)

    def seal(self, kind: Kind, body: bytes = b"") -> bytes:
        """The next packet."""
        length = len(body) + self._protection.overhead
        counter = self._protection.counter
        head = length.to_bytes(_LENGTH_SIZE, "big") + counter.to_bytes(_COUNTER_SIZE, "big")
        head += bytes((kind,))
        packet = head + self._protection.seal(head, body)
        self._protection.counter += 1
        return packet


class Opener:
    """The receiving side of one direction."""

    def __init__(self, spec: MigrationSpec, direction: bytes) -> None:
        self._protection = _Protection(spec, direction)

    def length(self, head: bytes) -> int:
        """How many bytes follow a head; :class:`MigrationBroken` for too many."""
        length = int.from_bytes(head[:_LENGTH_SIZE], "big")
        if length > MAX_BODY + self._protection.overhead:
            raise MigrationBroken(f"packet {self._protection.counter} says it has {length} bytes")
        return length

    def open(self, head: bytes, body: bytes) -> Packet:
        """The packet; :class:`MigrationBroken` if it is not the next one of the other side."""
        expected = self._protection.counter
        counter = int.from_bytes(head[_LENGTH_SIZE : _LENGTH_SIZE + _COUNTER_SIZE], "big")
        if counter != expected:
            verb = "was replayed" if counter < expected else "came too early"
            raise MigrationBroken(f"packet {counter} {verb}: {expected} was expected")
        try:
            opened = Packet(Kind(head[-1]), self._protection.open(head, body))
        except (InvalidTag, ValueError):
            raise MigrationBroken(f"packet {counter} was altered, or is of another key") from None
        self._protection.counter += 1
        return opened
