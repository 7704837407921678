"""Tokens of the Attestation Service: signed claims about a host, valid for some hours (§7.4).

JWT with ES256. ``cnf`` holds a public key (X25519) that the host generated for this token. The Key
Provider Service seals its answers to it, so a stolen token gives access to no key.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kmipkit_vsphere.model.encoding import convert, to_builtins
from kmipkit_vsphere.model.errors import InvalidArgument, NotAttested
from kmipkit_vsphere.model.message import Message, field

LIFE: Final = timedelta(hours=8)
ALGORITHM: Final = "ES256"
KMS_AUTH, REPORTING = "KMS_AUTH_JWT", "REPORTING_JWT"


class ImageClaim(Message):
    """The base image that a host has booted."""

    name: str
    version: str


class Confirmation(Message):
    """The public key to which answers for the token are sealed (RFC 7800 calls this ``cnf``)."""

    x25519: bytes


class HostClaims(Message):
    """What the Attestation Service has verified about a host."""

    ek_fingerprint: str = field(name="ek_fingerprint")
    image: ImageClaim
    cnf: Confirmation
    pcr_digest: str = field(name="pcr_digest")
    secure_boot: bool = field(name="secure_boot", default=True)
    event_log_reliable: bool = field(name="event_log_reliable", default=True)


_HOST_CLAIMS: Final = HostClaims.__struct_encode_fields__
_KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12


def issue(
    key: ec.EllipticCurvePrivateKey,
    service: str,
    group: str,
    host: str,
    now: datetime,
    kind: str,
    claims: HostClaims,
) -> str:
    """A token about a host, of the kind :data:`KMS_AUTH` or :data:`REPORTING`."""
    return jwt.encode(
        {
            "iss": service,
            "sub": host,
            "aud": group,
            "iat": now,
            "nbf": now,
            "exp": now + LIFE,
            "jti": str(uuid4()),
            "typ": kind,
            **to_builtins(claims),
        },
        key,
        algorithm=ALGORITHM,
    )


def check(token: str, keys: Mapping[str, str], group: str, now: datetime) -> HostClaims:
    """The claims of a token for keys.

    ``keys`` are the public keys (PEM) of the Attestation Services of the group. Raises
    :class:`NotAttested` with the reason for any other token.
    """
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        if not isinstance(issuer, str) or issuer not in keys:
            raise NotAttested("no Attestation Service of this group issued the token")
        claims = jwt.decode(
            token,
            keys[issuer],
            algorithms=[ALGORITHM],
            audience=group,
            # Times are checked below, by the clock of the service.
            options={
                "require": ["exp", "nbf", "sub", "jti"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.InvalidAudienceError:
        raise NotAttested("the token is for another group") from None
    except jwt.InvalidTokenError as error:
        raise NotAttested(f"the token is not valid: {error}") from None
    if claims.get("typ") != KMS_AUTH:
        raise NotAttested("the token is for reports, not for keys")
    if not claims["nbf"] <= now.timestamp() < claims["exp"]:
        raise NotAttested("the token has expired; attest again")
    try:
        return convert({name: claims.get(name) for name in _HOST_CLAIMS}, HostClaims)
    except InvalidArgument as error:
        raise NotAttested(f"the token is not valid: {error.message}") from None


def seal_to(public: bytes, data: bytes, context: bytes) -> bytes:
    """Encrypt to a token's key, bound to a context: X25519, HKDF, AES-256-GCM."""
    ephemeral = X25519PrivateKey.generate()
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise NotAttested("the token does not hold a key for sealed answers") from None
    sender = ephemeral.public_key().public_bytes_raw()
    nonce = secrets.token_bytes(_NONCE_SIZE)
    return sender + nonce + AESGCM(_derive(shared, sender, public)).encrypt(nonce, data, context)


def open_sealed(own: X25519PrivateKey, sealed: bytes, context: bytes) -> bytes:
    """Reverses :func:`seal_to`; :class:`NotAttested` if the answer is for another key."""
    sender, rest = sealed[:_KEY_SIZE], sealed[_KEY_SIZE:]
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(sender))
        key = _derive(shared, sender, own.public_key().public_bytes_raw())
        return AESGCM(key).decrypt(rest[:_NONCE_SIZE], rest[_NONCE_SIZE:], context)
    except (InvalidTag, ValueError):
        raise NotAttested("the answer was sealed for another host, or altered") from None


def _derive(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    # Both public keys are part of the derivation, so that a key belongs to this one exchange.
    info = b"kmipkit-kps|" + sender + receiver
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(shared)
