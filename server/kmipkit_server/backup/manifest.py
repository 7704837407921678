"""What is said of a part in clear, next to its data: signed by its server, and bound to the part before.

A manifest is one JSON object. Its signature, with a key that follows from the root key of the server, is
over all of it, the hash of the encrypted data and the hash of the manifest before included. So a part
that is missing, was exchanged, moved or changed does not fit.
"""

from base64 import b64decode
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated

import msgspec

from kmipkit_server.audit.signatures import Signer, Verifier

PURPOSE = "backup signature"
"""For which purpose the store derives the key."""
FORM = 1


class Kind(StrEnum):
    """What a part has of the database."""

    FULL = "full"
    """All of it: a chain begins."""
    INCREMENT = "increment"
    """What has changed since the part before."""


class Manifest(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The manifest of a part."""

    form: int
    """The version of this form."""
    number: int
    """Of the part in its directory; without gaps within a chain."""
    kind: Kind
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    """When the copy of the database was made."""
    data: str
    """The name of the file with the encrypted data."""
    size: int
    """Bytes of this file."""
    sha256: str
    """Its hash."""
    previous: str = ""
    """The SHA-256 hash of the manifest before; empty for the first part of a chain."""
    software: str
    schema: int
    counter: int
    """The transactions of the database so far."""
    objects: int
    database: int
    """Bytes of the database."""
    root_key: str
    """Where the root key is: in the ``backup``, or what opens the database instead."""
    recipients: tuple[str, ...]
    envelopes: tuple[str, ...] = ()
    """For each certificate, CMS EnvelopedData (DER, Base64) with the secret key for the data."""
    key: str
    """The identifier of the server's key, with which the manifest is signed."""
    signature: str = ""

    @property
    def cms(self) -> tuple[bytes, ...]:
        """The envelopes as bytes."""
        return tuple(map(b64decode, self.envelopes))


def sign(manifest: Manifest, signer: Signer) -> bytes:
    """The file of a manifest."""
    return signer.sign(msgspec.json.encode(manifest)) + b"\n"


def is_signed(text: bytes, manifest: Manifest, verifier: Verifier) -> bool:
    """Whether the file of a manifest has a valid signature."""
    return verifier.is_valid(manifest.key, text.rstrip(b"\n"))


def digest(text: bytes) -> str:
    """The hash by which the next manifest refers to this file."""
    return sha256(text).hexdigest()


def parse(text: bytes) -> Manifest:
    """A manifest from its file. ValueError if it is none, or has a newer form."""
    manifest = msgspec.json.decode(text, type=Manifest)
    if manifest.form > FORM:
        raise ValueError("it was written by a newer version of kmipkit")
    return manifest
