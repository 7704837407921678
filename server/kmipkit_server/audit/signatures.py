"""Signatures of checkpoints: Ed25519 (RFC 8032), with a key that follows from the root key.

A signature is the last field of its record, before the hash, and is over the bytes of the record without
these two fields. The record has the hash of the one before, so the signature covers the whole chain.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from kmipkit.errors import KMIPError

PURPOSE = "audit signature"
"""For which purpose the store derives the key."""

_SIGNED = re.compile(rb'(\{.*),"signature":"([A-Za-z0-9+/=]{88})"\}')


class PublicKeyError(KMIPError):
    """A file is not a public key that can verify checkpoints."""


class Signer:
    """Signs checkpoints."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key()
        self.key_id = key_id(self.public_key)

    def sign(self, body: bytes) -> bytes:
        """A record with its signature."""
        signature = b64encode(self._key.sign(body))
        return b'%b,"signature":"%b"}' % (body[:-1], signature)


def key_id(key: Ed25519PublicKey) -> str:
    """The beginning of the hash of a public key."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return sha256(raw).hexdigest()[:16]


def to_pem(key: Ed25519PublicKey) -> str:
    """The public key as OpenSSL and others read it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def load_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a file. PublicKeyError if there is none that verifies checkpoints."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise PublicKeyError(f"{path}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise PublicKeyError(f"{path} is not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise PublicKeyError(
            f"{path} is not an Ed25519 public key, as kmipkit admin audit public-key prints it"
        )
    return key


class Verifier:
    """Verifies signatures with a set of public keys."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {key_id(key): key for key in keys}

    def knows(self, key: str) -> bool:
        """Whether the public key with this identifier is among them."""
        return key in self._keys

    def is_valid(self, key: str, body: bytes) -> bool:
        """Whether a record has a valid signature of this key."""
        match = _SIGNED.fullmatch(body)
        if match is None or key not in self._keys:
            return False
        try:
            self._keys[key].verify(b64decode(match[2]), match[1] + b"}")
        except (InvalidSignature, ValueError):  # ValueError: not Base64
            return False
        return True
