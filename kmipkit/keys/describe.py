"""Properties of keys: algorithm, length and curve, as their attributes show them.

Cryptographic Length is in bits (KMIP 1.4 §3.5): the modulus of RSA, the order of the field of a
curve, the key of a cipher. Parity bits of DES keys do not count: 24 bytes of 3DES are 168 bits.
Certificates are in `certificates`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from kmipkit.keys.formats import load_private_key, load_public_key
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    ObjectType,
    RecommendedCurve,
)

CURVES: Mapping[str, RecommendedCurve] = MappingProxyType(
    {
        "secp192r1": RecommendedCurve.P_192,
        "secp224r1": RecommendedCurve.P_224,
        "secp256r1": RecommendedCurve.P_256,
        "secp384r1": RecommendedCurve.P_384,
        "secp521r1": RecommendedCurve.P_521,
        "secp256k1": RecommendedCurve.SECP256K1,
        "sect163k1": RecommendedCurve.K_163,
        "sect233k1": RecommendedCurve.K_233,
        "sect283k1": RecommendedCurve.K_283,
        "sect409k1": RecommendedCurve.K_409,
        "sect571k1": RecommendedCurve.K_571,
        "sect163r2": RecommendedCurve.B_163,
        "sect233r1": RecommendedCurve.B_233,
        "sect283r1": RecommendedCurve.B_283,
        "sect409r1": RecommendedCurve.B_409,
        "sect571r1": RecommendedCurve.B_571,
        "brainpoolP256r1": RecommendedCurve.BRAINPOOLP256R1,
        "brainpoolP384r1": RecommendedCurve.BRAINPOOLP384R1,
        "brainpoolP512r1": RecommendedCurve.BRAINPOOLP512R1,
    }
)
"""Name of a curve in the library -> Recommended Curve."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The properties of a key that its bytes show."""

    algorithm: CryptographicAlgorithm | None
    """``None`` if the bytes do not show it and the caller does not know it."""
    length: int
    """Cryptographic Length, in bits; 0 if the bytes do not show it."""
    curve: RecommendedCurve | None = None


_EC_ALGORITHMS = frozenset(
    {
        CryptographicAlgorithm.ECDSA,
        CryptographicAlgorithm.ECDH,
        CryptographicAlgorithm.ECMQV,
        CryptographicAlgorithm.EC,
    }
)
"""Algorithms of a key on a curve; its bytes do not show which one."""

_OPAQUE_FORMATS = frozenset({KeyFormatType.RAW, KeyFormatType.OPAQUE})
_ASYMMETRIC_RAW = frozenset({CryptographicAlgorithm.ED25519, CryptographicAlgorithm.ED448})


def _rsa_facts(key: rsa.RSAPublicKey, _: CryptographicAlgorithm | None) -> KeyFacts:
    return KeyFacts(CryptographicAlgorithm.RSA, key.key_size)


def _ec_facts(key: ec.EllipticCurvePublicKey, declared: CryptographicAlgorithm | None) -> KeyFacts:
    algorithm = declared if declared in _EC_ALGORITHMS else CryptographicAlgorithm.ECDSA
    return KeyFacts(algorithm, key.curve.key_size, CURVES.get(key.curve.name))


_FACTS: Mapping[type, Callable[..., KeyFacts]] = {
    rsa.RSAPublicKey: _rsa_facts,
    ec.EllipticCurvePublicKey: _ec_facts,
    dsa.DSAPublicKey: lambda key, _: KeyFacts(CryptographicAlgorithm.DSA, key.key_size),
    ed25519.Ed25519PublicKey: lambda _key, _: KeyFacts(CryptographicAlgorithm.ED25519, 256),
    ed448.Ed448PublicKey: lambda _key, _: KeyFacts(CryptographicAlgorithm.ED448, 456),
    x25519.X25519PublicKey: lambda _key, _: KeyFacts(
        CryptographicAlgorithm.ECDH, 256, RecommendedCurve.CURVE25519
    ),
    x448.X448PublicKey: lambda _key, _: KeyFacts(
        CryptographicAlgorithm.ECDH, 448, RecommendedCurve.CURVE448
    ),
}


def symmetric_length(size: int, algorithm: CryptographicAlgorithm | None) -> int:
    """The Cryptographic Length, in bits, of a symmetric key of ``size`` bytes."""
    with_parity = {CryptographicAlgorithm.DES, CryptographicAlgorithm.DES3}
    return size * (7 if algorithm in with_parity else 8)


def private_key(
    data: bytes, key_format: KeyFormatType, algorithm: CryptographicAlgorithm | None = None
) -> KeyFacts:
    """The facts of a private key from its Key Material; ``algorithm`` is that which the client declared.

    Raises:
        OperationError: Invalid Field if the bytes are not in the format; Key Format Type Not
            Supported for a format that is not supported.
    """
    return private_key_facts(load_private_key(data, key_format, algorithm), algorithm)


def public_key(
    data: bytes, key_format: KeyFormatType, algorithm: CryptographicAlgorithm | None = None
) -> KeyFacts:
    """The facts of a public key; like :func:`private_key`."""
    return public_key_facts(load_public_key(data, key_format, algorithm), algorithm)


def describe_key(
    data: bytes,
    key_format: KeyFormatType,
    object_type: ObjectType,
    algorithm: CryptographicAlgorithm | None = None,
) -> KeyFacts:
    """The facts of a key of any object type from its Key Material.

    Private and public keys in a known format are parsed; for all others the length is that of the
    bytes. Errors are those of :func:`private_key`.
    """
    parse = {ObjectType.PRIVATE_KEY: private_key, ObjectType.PUBLIC_KEY: public_key}.get(
        object_type
    )
    is_known = key_format not in _OPAQUE_FORMATS or algorithm in _ASYMMETRIC_RAW
    if parse is None or not is_known:
        return KeyFacts(algorithm, symmetric_length(len(data), algorithm))
    return parse(data, key_format, algorithm)


def private_key_facts(
    key: PrivateKeyTypes, declared: CryptographicAlgorithm | None = None
) -> KeyFacts:
    """The facts of a loaded private key, which are those of its public key."""
    return public_key_facts(key.public_key(), declared)


def public_key_facts(
    key: PublicKeyTypes, declared: CryptographicAlgorithm | None = None
) -> KeyFacts:
    """The facts of a loaded public key; ``declared`` selects the algorithm of a key on a curve."""
    for cls, facts in _FACTS.items():
        if isinstance(key, cls):
            return facts(key, declared)
    size = getattr(key, "key_size", 0)
    return KeyFacts(declared, size if isinstance(size, int) else 0)
