"""New symmetric keys: the lengths of each algorithm, and key generation.

One table from algorithm to the Cryptographic Lengths that Create accepts (KMIP 1.4 §4.1), in bits.
The randomness is an argument. The lengths of 3DES may include the parity bits or not (KMIP does not
say; its cases use 168 for 24 bytes, the clients of PyKMIP 192).
"""

from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.keys.padding import Random
from kmipkit.keys.rules import MAX_PAD_LENGTH
from kmipkit.spec.enums import CryptographicAlgorithm, ResultReason

_ALGORITHM = CryptographicAlgorithm
_HMAC = range(8, 8193, 8)
"""RFC 2104 permits any key; the maximum protects against requests for megabytes."""

LENGTHS: Mapping[CryptographicAlgorithm, range | tuple[int, ...]] = MappingProxyType(
    {
        _ALGORITHM.ONE_TIME_PAD: range(8, 8 * MAX_PAD_LENGTH + 1, 8),
        _ALGORITHM.AES: (128, 192, 256, 512),  # 512: the two keys of XTS-AES-256
        _ALGORITHM.DES: (56, 64),
        _ALGORITHM.DES3: (112, 128, 168, 192),
        _ALGORITHM.CAMELLIA: (128, 192, 256),
        _ALGORITHM.ARIA: (128, 192, 256),
        _ALGORITHM.TWOFISH: (128, 192, 256),
        _ALGORITHM.BLOWFISH: range(32, 449, 8),
        _ALGORITHM.CAST5: range(40, 129, 8),
        _ALGORITHM.IDEA: (128,),
        _ALGORITHM.SEED: (128,),
        _ALGORITHM.SM4: (128,),
        _ALGORITHM.SKIPJACK: (80,),
        _ALGORITHM.RC2: range(8, 1025, 8),
        _ALGORITHM.RC4: range(40, 2049, 8),
        _ALGORITHM.RC5: range(8, 2041, 8),
        _ALGORITHM.CHACHA20: (256,),
        _ALGORITHM.POLY1305: (256,),
        _ALGORITHM.CHACHA20POLY1305: (256,),
        _ALGORITHM.HMAC_MD5: _HMAC,
        _ALGORITHM.HMAC_SHA1: _HMAC,
        _ALGORITHM.HMAC_SHA224: _HMAC,
        _ALGORITHM.HMAC_SHA256: _HMAC,
        _ALGORITHM.HMAC_SHA384: _HMAC,
        _ALGORITHM.HMAC_SHA512: _HMAC,
        _ALGORITHM.HMAC_SHA3_224: _HMAC,
        _ALGORITHM.HMAC_SHA3_256: _HMAC,
        _ALGORITHM.HMAC_SHA3_384: _HMAC,
        _ALGORITHM.HMAC_SHA3_512: _HMAC,
    }
)
"""Cryptographic Algorithm -> permitted Cryptographic Lengths, in bits."""

_WITH_PARITY = frozenset({_ALGORITHM.DES, _ALGORITHM.DES3})
_DES_SIZES: Mapping[int, int] = {56: 8, 64: 8, 112: 16, 128: 16, 168: 24, 192: 24}


def generate_key(algorithm: CryptographicAlgorithm, length: int, random: Random) -> bytes:
    """A new key of ``length`` bits for ``algorithm``, from ``random``.

    Keys of DES and 3DES get odd parity.

    Raises:
        OperationError: Invalid Field for an algorithm that is not symmetric, or a length that it
            does not permit; the message names the permitted lengths.
    """
    lengths = LENGTHS.get(algorithm)
    if lengths is None:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Cryptographic Algorithm {algorithm.name} is not symmetric",
        )
    if length not in lengths:
        raise OperationError(
            ResultReason.INVALID_FIELD,
            f"Cryptographic Length {length} is not valid for {algorithm.name}; "
            f"valid are {_describe_lengths(lengths)} bits",
        )
    if algorithm in _WITH_PARITY:
        return _des_key(_DES_SIZES[length], random)
    return random(length // 8)


def _describe_lengths(lengths: range | tuple[int, ...]) -> str:
    if isinstance(lengths, range):
        return f"{lengths[0]} to {lengths[-1]} in steps of {lengths.step}"
    return ", ".join(map(str, lengths))


def _des_key(size: int, random: Random) -> bytes:
    """Random bytes with odd parity (NIST SP 800-67 §3.2)."""
    return bytes(byte & 0xFE | (byte >> 1).bit_count() & 1 ^ 1 for byte in random(size))
