"""About how long computations with keys take, in milliseconds on one core of a usual server.

The estimates decide where a computation runs, before it begins; a factor of two does no harm.
"""

from kmipkit.spec.enums import CryptographicAlgorithm

PBKDF2_BLOCKS_PER_MILLISECOND = 1000
BYTES_PER_MILLISECOND = 20_000
"""Bytes that a slow cipher or hash processes, such as 3DES."""

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


def symmetric(size: int) -> float:
    """Processing ``size`` bytes with a cipher or hash."""
    return size / BYTES_PER_MILLISECOND
