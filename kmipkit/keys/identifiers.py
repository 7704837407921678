"""Object identifiers of the keys in PKCS#8, X.509 and certificates: their algorithms and curves.

RFC 3279, RFC 5480, RFC 8410, RFC 5639, SEC 2, RFC 9215 (GOST), and the algorithms of FIPS 203 to 205.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from kmipkit.spec.enums import CryptographicAlgorithm as Algorithm
from kmipkit.spec.enums import RecommendedCurve as Curve

RSA, EC, DSA = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.2.840.10040.4.1"
RSA_KEYS = frozenset({RSA, "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.7"})
"""RSA keys for any use, for PSS only, and for OAEP only: all contain the same structure."""

ED25519, ED448, X25519, X448 = (f"1.3.101.{n}" for n in (112, 113, 110, 111))


class Fixed(NamedTuple):
    """A key whose object identifier alone determines algorithm and length."""

    algorithm: Algorithm | None
    """``None`` if no version of KMIP has a value for it."""
    length: int | None
    """``None`` if KMIP defines no length for it."""
    size: int | None = None
    """Bytes of the private and the public key, if they are the same for both."""


_NIST_KEM, _NIST_SIGNATURE = "2.16.840.1.101.3.4.4", "2.16.840.1.101.3.4.3"

FIXED: Mapping[str, Fixed] = MappingProxyType(
    {
        ED25519: Fixed(Algorithm.ED25519, 256, 32),
        ED448: Fixed(Algorithm.ED448, 456, 57),
        X25519: Fixed(Algorithm.ECDH, 256, 32),
        X448: Fixed(Algorithm.ECDH, 448, 56),
        "1.2.643.2.2.19": Fixed(None, 256),  # GOST R 34.10-2001
        "1.2.643.7.1.1.1.1": Fixed(Algorithm.GOST_R_34_10_2012, 256),
        "1.2.643.7.1.1.1.2": Fixed(Algorithm.GOST_R_34_10_2012, 512),
        **{
            f"{_NIST_KEM}.{1 + n}": Fixed(Algorithm(Algorithm.ML_KEM_512 + n), None)
            for n in range(3)
        },
        **{
            f"{_NIST_SIGNATURE}.{17 + n}": Fixed(Algorithm(Algorithm.ML_DSA_44 + n), None)
            for n in range(3)
        },
        **{
            f"{_NIST_SIGNATURE}.{20 + n}": Fixed(Algorithm(Algorithm.SLH_DSA_SHA2_128S + n), None)
            for n in range(12)
        },
    }
)

_SECG = {
    1: "SECT163K1",
    2: "SECT163R1",
    3: "SECT239K1",
    4: "SECT113R1",
    5: "SECT113R2",
    6: "SECP112R1",
    7: "SECP112R2",
    8: "SECP160R1",
    9: "SECP160K1",
    10: "SECP256K1",
    15: "SECT163R2",
    16: "SECT283K1",
    17: "SECT283R1",
    22: "SECT131R1",
    23: "SECT131R2",
    24: "SECT193R1",
    25: "SECT193R2",
    26: "SECT233K1",
    27: "SECT233R1",
    28: "SECP128R1",
    29: "SECP128R2",
    30: "SECP160R2",
    31: "SECP192K1",
    32: "SECP224K1",
    33: "SECP224R1",
    34: "SECP384R1",
    35: "SECP521R1",
    36: "SECT409K1",
    37: "SECT409R1",
    38: "SECT571K1",
    39: "SECT571R1",
}
_X9_PRIME = {1: "P_192", 2: "192V2", 3: "192V3", 4: "239V1", 5: "239V2", 6: "239V3", 7: "P_256"}
_X9_BINARY = {
    1: 163,
    2: 163,
    3: 163,
    4: 176,
    5: 191,
    6: 191,
    7: 191,
    8: 191,
    9: 191,
    10: 208,
    11: 239,
    12: 239,
    13: 239,
    14: 239,
    15: 239,
    16: 272,
    17: 304,
    18: 359,
    19: 368,
    20: 431,
}
_BRAINPOOL = (160, 192, 224, 256, 320, 384, 512)


def _bits(name: str) -> int:
    [bits] = re.findall(r"\d{3,}", name)
    return int(bits)


CURVE_LENGTHS: Mapping[str, int] = MappingProxyType(
    {
        **{f"1.3.132.0.{arc}": _bits(name) for arc, name in _SECG.items()},
        **{f"1.2.840.10045.3.1.{arc}": _bits(name) for arc, name in _X9_PRIME.items()},
        **{f"1.2.840.10045.3.0.{arc}": bits for arc, bits in _X9_BINARY.items()},
        **{
            f"1.3.36.3.3.2.8.1.1.{1 + 2 * n + twisted}": bits
            for n, bits in enumerate(_BRAINPOOL)
            for twisted in (0, 1)
        },
        "1.2.156.10197.1.301": 256,  # SM2
    }
)
"""The curves of a key with the identifier :data:`EC`, and their lengths in bits."""

RECOMMENDED_LENGTHS: Mapping[Curve, int] = MappingProxyType(
    {
        **{curve: _bits(curve.name) for curve in Curve if not curve.name.startswith("CURVE")},
        Curve.CURVE25519: 256,
        Curve.CURVE448: 448,
    }
)
"""The Cryptographic Length of keys on each Recommended Curve."""
