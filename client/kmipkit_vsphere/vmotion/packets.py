"""The packets of a migration, without any input or output.

    packet = length (4 bytes) | counter (8) | type (1) | body

In an encrypted migration the body is AES-256-GCM with the head as associated data; key and base IV
(96 bits) are derived from the migration's key and nonce by HKDF, one pair for each direction, and
the IV of a packet is the base XOR its counter (vsphere.md Q12).

The receiver accepts only the next counter. GCM alone authenticates one packet; the counter is what
detects that packets were replayed, dropped or reordered.
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
# Two directions, two keys: the counters of both begin at zero, and GCM fails completely if a key
# encrypts two packets under one IV. It also keeps a packet from being reflected to its sender.
TO_TARGET, TO_SOURCE = b"vmotion|source to target", b"vmotion|target to source"

_LENGTH_SIZE: Final = 4
_COUNTER_SIZE: Final = 8
_KEY_SIZE: Final = 32
_IV_SIZE: Final = 12
_TAG_SIZE: Final = 16


class Kind(IntEnum):
    """The type of a packet."""

    MANIFEST = 1
    DATA = 2
    FINISH = 3
    PREPARED = 4
    COMMIT = 5
    DONE = 6
    REFUSED = 7


class Packet(NamedTuple):
    """A packet after decryption."""

    kind: Kind
    body: bytes


class _Protection:
    """Key, base IV and counter of one direction; without a key packets are plain."""

    def __init__(self, spec: MigrationSpec, direction: bytes) -> None:
        self._cipher: AESGCM | None = None
        self._base = b""
        if spec.key is not None:
            size = _KEY_SIZE + _IV_SIZE
            kdf = HKDF(algorithm=hashes.SHA256(), length=size, salt=spec.nonce, info=direction)
            derived = kdf.derive(spec.key.reveal())
            self._cipher, self._base = AESGCM(derived[:_KEY_SIZE]), derived[_KEY_SIZE:]
        self.counter = 0

    @property
    def overhead(self) -> int:
        return _TAG_SIZE if self._cipher else 0

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
            raise MigrationBroken(
                f"packet {self._protection.counter} announces {length} bytes: {MAX_BODY} are allowed"
            )
        return length

    def open(self, head: bytes, body: bytes) -> Packet:
        """The packet; :class:`MigrationBroken` if it is not the next one of the other side."""
        expected = self._protection.counter
        counter = int.from_bytes(head[_LENGTH_SIZE : _LENGTH_SIZE + _COUNTER_SIZE], "big")
        if counter != expected:
            problem = "was replayed" if counter < expected else "is ahead of its turn"
            raise MigrationBroken(f"packet {counter} {problem}: expected packet {expected}")
        # Kind() fails on an unknown type, also in a plain migration, where nothing is authenticated.
        try:
            packet = Packet(Kind(head[-1]), self._protection.open(head, body))
        except (InvalidTag, ValueError):
            raise MigrationBroken(
                f"packet {counter} was altered, or encrypted with another key"
            ) from None
        self._protection.counter += 1
        return packet
