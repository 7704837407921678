"""Key pairs for certificates, by the names used on the command line."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from kmipkit_certs.errors import CertificateError

SIGNING_KEYS = "RSA, ECDSA or Ed25519"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

ALGORITHMS: Mapping[str, Callable[[], PrivateKey]] = MappingProxyType(
    {
        "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ecdsa-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
        "rsa-3072": lambda: rsa.generate_private_key(65537, 3072),
        "rsa-4096": lambda: rsa.generate_private_key(65537, 4096),
    }
)
"""RSA is for devices that support nothing else; its handshakes cost the server ten times as much."""

DEFAULT_ALGORITHM = "ecdsa-p256"


def generate(algorithm: str = DEFAULT_ALGORITHM) -> PrivateKey:
    """A new key of an algorithm of :data:`ALGORITHMS`."""
    return ALGORITHMS[algorithm]()


def as_private_key(key: Any) -> PrivateKey:
    """``key`` if it can sign certificates.

    Raises:
        CertificateError: the key has another algorithm.
    """
    if isinstance(key, get_args(PrivateKey)):
        return key  # type: ignore[no-any-return]  # get_args() returns Any
    raise CertificateError(f"a {type(key).__name__} is not supported; use {SIGNING_KEYS}")


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """The hash that matches the strength of the key; Ed25519 has its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()
