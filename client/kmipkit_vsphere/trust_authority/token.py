"""Tokens of the Attestation Service: what was seen of a host, signed, for some hours (§7.4).

JWT with ES256. ``cnf`` holds a public key (X25519) that the host made for this token: whatever the
Key Provider Service answers is encrypted to it, so a stolen token opens nothing.
"""

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kmipkit_vsphere.model.errors import NotAttested

LIFE: Final = timedelta(hours=8)
ALGORITHM: Final = "ES256"
KMS_AUTH, REPORTING = "KMS_AUTH_JWT", "REPORTING_JWT"

_KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12


def issue(
    key: ec.EllipticCurvePrivateKey,
    service: str,
    group: str,
    host: str,
    now: datetime,
    kind: str,
    claims: Mapping[str, Any],
) -> str:
    """A token about a host; ``claims`` are what was seen of it."""
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
            **claims,
        },
        key,
        algorithm=ALGORITHM,
    )


def check(token: str, keys: Mapping[str, str], group: str, now: datetime) -> dict[str, Any]:
    """The claims of a token for keys.

    ``keys`` are the public keys (PEM) of the Attestation Services of the group. Raises
    :class:`NotAttested` with the reason for any other token.
    """
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        if not isinstance(issuer, str) or issuer not in keys:
            raise NotAttested("the token is of no Attestation Service of this group")
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
    return dict(claims)


def seal_to(public: bytes, data: bytes, about: bytes) -> bytes:
    """Encrypt for the holder of a token's key: X25519, HKDF, AES-256-GCM."""
    own = X25519PrivateKey.generate()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise NotAttested("the token holds no key to answer to") from None
    sender = own.public_key().public_bytes_raw()
    nonce = secrets.token_bytes(_NONCE_SIZE)
    return sender + nonce + AESGCM(_derive(shared, sender, public)).encrypt(nonce, data, about)


def open_sealed(own: X25519PrivateKey, sealed: bytes, about: bytes) -> bytes:
    """What :func:`seal_to` encrypted; :class:`NotAttested` if it is for another key."""
    sender, rest = sealed[:_KEY_SIZE], sealed[_KEY_SIZE:]
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(sender))
        key = _derive(shared, sender, own.public_key().public_bytes_raw())
        return AESGCM(key).decrypt(rest[:_NONCE_SIZE], rest[_NONCE_SIZE:], about)
    except (InvalidTag, ValueError):
        raise NotAttested("the answer is for another host, or was altered") from None


def _derive(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    info = b"kmipkit-kps|" + sender + receiver
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(shared)


def text(data: bytes) -> str:
    """Bytes for JSON."""
    return base64.b64encode(data).decode("ascii")
