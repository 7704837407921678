"""Which keys withstand a quantum computer, for the attribute Quantum Safe (KMIP 2.1 §4.45).

The standard does not say which keys are quantum safe. Grover's algorithm halves the strength of a
symmetric key: here, one of 256 bits or more is safe. Shor's algorithm breaks RSA, discrete
logarithms and elliptic curves of any length. The post-quantum algorithms of the enumeration are
safe. The official case QS-M-2 expects that a key of AES-128 is refused.
"""

from kmipkit.spec.enums import CryptographicAlgorithm as A

MIN_LENGTH = 256
"""The Cryptographic Length from which on a symmetric key is safe, in bits."""

BROKEN = frozenset(
    {
        A.RSA,
        A.DSA,
        A.ECDSA,
        A.DH,
        A.ECDH,
        A.ECMQV,
        A.EC,
        A.SM2,
        A.GOST_R_34_10_2012,
        A.ED25519,
        A.ED448,
    }
)
"""Algorithms whose keys are never safe."""

POST_QUANTUM = frozenset(
    {A.XMSS, A.SPHINCS_256, A.MCELIECE, A.MCELIECE_6960119, A.MCELIECE_8192128, A.ONE_TIME_PAD}
    | {member for member in A if member.name.startswith(("ML_KEM_", "ML_DSA_", "SLH_DSA_"))}
)
"""Algorithms whose keys are always safe. A one-time pad is secure whatever the attacker can compute."""


def is_quantum_safe(algorithm: A, length: int | None) -> bool:
    """Whether a key of this algorithm and length is quantum safe."""
    if algorithm in POST_QUANTUM:
        return True
    return algorithm not in BROKEN and length is not None and length >= MIN_LENGTH
