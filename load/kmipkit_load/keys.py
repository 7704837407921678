"""The kinds and sizes of keys that a mix can name: ``AES-256``, ``RSA-4096``, ``EC-P256``."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from kmipkit.spec.enums import CryptographicAlgorithm as Algorithm
from kmipkit.spec.enums import HashingAlgorithm, RecommendedCurve


class Kind(Enum):
    """What a key is for."""

    SYMMETRIC = "symmetric"
    MAC = "mac"
    PAIR = "pair"


@dataclass(frozen=True, slots=True)
class Key:
    """An algorithm with a size."""

    name: str
    kind: Kind
    algorithm: Algorithm
    bits: int
    curve: RecommendedCurve | None = None
    digest: HashingAlgorithm | None = None


def _keys() -> Mapping[str, Key]:
    rows = [
        *(Key(f"AES-{bits}", Kind.SYMMETRIC, Algorithm.AES, bits) for bits in (128, 192, 256)),
        Key("3DES-168", Kind.SYMMETRIC, Algorithm.DES3, 168),
        *(
            Key(f"HMAC-{name}", Kind.MAC, Algorithm[f"HMAC_{name}"], bits, digest=digest)
            for name, bits, digest in (
                ("SHA256", 256, HashingAlgorithm.SHA_256),
                ("SHA512", 512, HashingAlgorithm.SHA_512),
            )
        ),
        *(Key(f"RSA-{bits}", Kind.PAIR, Algorithm.RSA, bits) for bits in (2048, 3072, 4096)),
        *(
            Key(f"EC-P{bits}", Kind.PAIR, Algorithm.ECDSA, bits, RecommendedCurve[f"P_{bits}"])
            for bits in (256, 384, 521)
        ),
    ]
    return MappingProxyType({row.name: row for row in rows})


KEYS = _keys()
"""The keys by name."""
