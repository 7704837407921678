"""About how long computations with keys take, in milliseconds on one core of a usual server.

The estimates decide where a computation runs, before it begins; a factor of two does no harm. A test
compares them with the library.
"""

from collections.abc import Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from kmipkit.spec.enums import CryptographicAlgorithm, HashingAlgorithm

PBKDF2_BLOCKS_PER_MILLISECOND = 1000

FAST, MODERATE, SLOW = 1_000_000, 150_000, 20_000
"""Bytes per millisecond: of AES and SHA-2, which processors have instructions for; of SHA-3; and of
everything else, such as 3DES."""

_CIPHERS: Mapping[CryptographicAlgorithm, int] = MappingProxyType(
    {
        CryptographicAlgorithm.AES: FAST,
        CryptographicAlgorithm.CHACHA20: FAST,
        CryptographicAlgorithm.CHACHA20POLY1305: FAST,
        CryptographicAlgorithm.POLY1305: FAST,
    }
)

_KEY_WRAP = 1_000
"""Bytes per millisecond of AES key wrap, which encrypts each block six times, one after the other; older
versions of the library do so in Python."""

PKCS_12 = 30.0
"""The encryption of a PKCS #12 file, whose iterations the library chooses."""

_RSA_BITS_PER_BYTE = 8 / 4.6
"""PKCS #1 has the modulus, an exponent of its length, and five numbers of half its length."""


def rsa_bits(size: int) -> float:
    """The bits of the modulus of an RSA private key whose PKCS #1 or PKCS #8 form has ``size`` bytes."""
    return size * _RSA_BITS_PER_BYTE


def rsa_operation(bits: float) -> float:
    """Signing or decrypting with a private key."""
    return 0.7 * (bits / 2048) ** 3


def rsa_validation(bits: float) -> float:
    """Validating a private key, which tests whether its factors are primes."""
    return 50 * (bits / 2048) ** 3


def generation(algorithm: CryptographicAlgorithm | None, bits: int) -> float:
    """Generating a key pair."""
    if algorithm == CryptographicAlgorithm.RSA:
        return 90 * (bits / 2048) ** 4
    if algorithm == CryptographicAlgorithm.DSA:
        return 250 * (bits / 2048) ** 4
    return 1.0


_FAST_CURVES = frozenset({"secp224r1", "secp256r1"})
"""Curves for which the library has code of their own."""


def _elliptic(curve: ec.EllipticCurve) -> float:
    return 0.15 if curve.name in _FAST_CURVES else 2.0 * (curve.key_size / 512) ** 2


def _dsa(bits: int) -> float:
    return 0.4 * (bits / 2048) ** 3


def public_operation(key: object) -> float:
    """Verifying or encrypting with a public key, and loading it."""
    match key:
        case rsa.RSAPublicKey():
            # Anybody may choose an exponent as long as the modulus.
            exponent = key.public_numbers().e.bit_length()
            return 0.03 + 5 * (key.key_size / 3072) ** 2 * exponent / 3072
        case ec.EllipticCurvePublicKey():
            return 2 * _elliptic(key.curve)
        case dsa.DSAPublicKey():
            return _dsa(key.key_size)
    return 0.5


def private_operation(key: object) -> float:
    """Signing, decrypting or agreeing on a secret with a private key, and loading it."""
    match key:
        case rsa.RSAPrivateKey():
            return rsa_operation(key.key_size)
        case ec.EllipticCurvePrivateKey():
            return 2 * _elliptic(key.curve)
        case dsa.DSAPrivateKey():
            return _dsa(key.key_size)
    return 1.0


def symmetric(size: int) -> float:
    """Processing ``size`` bytes with any cipher or hash."""
    return size / SLOW


def encryption(algorithm: CryptographicAlgorithm | None, size: int) -> float:
    """Encrypting or decrypting ``size`` bytes."""
    return size / SLOW if algorithm is None else size / _CIPHERS.get(algorithm, SLOW)


def hashing(algorithm: HashingAlgorithm | None, size: int) -> float:
    """The digest of ``size`` bytes."""
    is_sha_3 = algorithm is not None and algorithm.name.startswith("SHA3")
    return size / (MODERATE if is_sha_3 else FAST / 2)


def mac(algorithm: CryptographicAlgorithm | None, size: int) -> float:
    """The message authentication code of ``size`` bytes."""
    if algorithm is None or not algorithm.name.startswith("HMAC"):
        return encryption(algorithm, size)
    return size / (MODERATE if "SHA3" in algorithm.name else FAST / 2)


def key_wrap(size: int) -> float:
    """AES key wrap of ``size`` bytes, or the inverse."""
    return size / _KEY_WRAP
