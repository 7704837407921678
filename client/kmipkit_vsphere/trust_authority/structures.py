"""The TPM 2.0 structures that a verifier reads (TPM 2.0 Part 2).

A verifier has no TPM and trusts none of this data: every length is checked, and no byte may follow.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kmipkit_vsphere.model.errors import AttestationFailed

ALG_RSA, ALG_SHA256, ALG_NULL, ALG_RSASSA, ALG_AES, ALG_CFB = 0x01, 0x0B, 0x10, 0x14, 0x06, 0x43
MAGIC: Final = 0xFF544347
ATTEST_QUOTE: Final = 0x8018

FIXED_TPM, FIXED_PARENT, RESTRICTED, DECRYPT, SIGN = 1 << 1, 1 << 4, 1 << 16, 1 << 17, 1 << 18
_MAX: Final = 4096


class Reader:
    """A cursor over big-endian fields that cannot run past the end."""

    def __init__(self, data: bytes, structure: str) -> None:
        self._data = data
        self._at = 0
        self._structure = structure
        if len(data) > _MAX:
            raise self.fail()

    def fail(self) -> AttestationFailed:
        return AttestationFailed(f"the {self._structure} of the TPM is malformed")

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise self.fail()
        data = self._data[self._at : self._at + size]
        self._at += size
        return data

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self) -> bytes:
        """A TPM2B: two bytes of length, then the contents."""
        return self.take(self.number(2))

    def end(self) -> None:
        if self._at != len(self._data):
            raise self.fail()


def sized(data: bytes) -> bytes:
    """A TPM2B with these contents."""
    return struct.pack(">H", len(data)) + data


@dataclass(frozen=True, slots=True)
class PublicArea:
    """A TPMT_PUBLIC of an RSA key (Part 2 §12.2.4)."""

    data: bytes
    attributes: int
    symmetric: int
    scheme: int
    modulus: bytes
    exponent: int

    @classmethod
    def parse(cls, data: bytes) -> "PublicArea":
        """Read a public area; :class:`AttestationFailed` unless it is RSA with a SHA-256 name."""
        reader = Reader(data, "public area")
        if (reader.number(2), reader.number(2)) != (ALG_RSA, ALG_SHA256):
            raise AttestationFailed("the key of the TPM is not RSA with a SHA-256 name")
        attributes = reader.number(4)
        reader.sized()  # the policy
        symmetric = reader.number(2)
        if symmetric != ALG_NULL:
            reader.take(4)
        scheme = reader.number(2)
        if scheme != ALG_NULL:
            reader.take(2)
        reader.number(2)  # the size of the modulus, in bits
        exponent = reader.number(4) or 65537
        modulus = reader.sized()
        reader.end()
        if len(modulus) < 256:
            raise AttestationFailed("the RSA key of the TPM is shorter than 2048 bits")
        return cls(data, attributes, symmetric, scheme, modulus, exponent)

    @property
    def name(self) -> bytes:
        """The name of the key: the algorithm, then the digest of the public area (Part 1 §16)."""
        return struct.pack(">H", ALG_SHA256) + hashlib.sha256(self.data).digest()

    def key(self) -> rsa.RSAPublicKey:
        """The RSA key itself."""
        modulus = int.from_bytes(self.modulus, "big")
        try:
            return rsa.RSAPublicNumbers(self.exponent, modulus).public_key()
        except ValueError:
            raise AttestationFailed("the RSA key of the TPM is malformed") from None

    def check_attestation_key(self) -> None:
        """Raise :class:`AttestationFailed` unless the TPM signs only its own statements with the key.

        With a key that lacks RESTRICTED, a TPM also signs a forged quote that somebody gives it.
        """
        required = FIXED_TPM | FIXED_PARENT | RESTRICTED | SIGN
        if self.attributes & required != required or self.attributes & DECRYPT:
            raise AttestationFailed("the attestation key is not a restricted signing key of a TPM")


@dataclass(frozen=True, slots=True)
class QuoteInfo:
    """The contents of a quote: TPMS_ATTEST with TPMS_QUOTE_INFO (Part 2 §10.12.8)."""

    nonce: bytes
    pcrs: tuple[int, ...]
    digest: bytes

    @classmethod
    def parse(cls, data: bytes) -> "QuoteInfo":
        """Read a quote; :class:`AttestationFailed` for any other statement that a TPM can sign."""
        reader = Reader(data, "quote")
        if (reader.number(4), reader.number(2)) != (MAGIC, ATTEST_QUOTE):
            raise AttestationFailed("the TPM signed something other than a quote")
        reader.sized()  # the signer's qualified name
        nonce = reader.sized()
        reader.take(8 + 4 + 4 + 1 + 8)  # clock, resets, restarts, safe, firmware
        if (reader.number(4), reader.number(2)) != (1, ALG_SHA256):
            raise AttestationFailed("the quote is not over the SHA-256 registers")
        bits = int.from_bytes(reader.take(reader.number(1)), "little")
        digest = reader.sized()
        reader.end()
        return cls(nonce, tuple(n for n in range(24) if bits >> n & 1), digest)


def verify_signature(key: PublicArea, data: bytes, signature: bytes) -> None:
    """Raise :class:`AttestationFailed` unless ``key`` made this TPMT_SIGNATURE over ``data``."""
    reader = Reader(signature, "signature")
    if (reader.number(2), reader.number(2)) != (ALG_RSASSA, ALG_SHA256):
        raise AttestationFailed("the quote is not signed with RSASSA and SHA-256")
    value = reader.sized()
    reader.end()
    try:
        key.key().verify(value, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise AttestationFailed("the signature of the quote was made with another key") from None
