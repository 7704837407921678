"""The strength of keys and hashes in bits, as NIST SP 800-57 Part 1 Revision 5 compares them.

Table 2 (§5.6.1.1) has the ciphers, RSA, DSA, Diffie-Hellman and elliptic curves; Table 3 (§5.6.1.2)
the hashes. Triple DES with two keys counts 80 bits, with three 112. The Edwards curves are in SP
800-186 §3.1.2, the post-quantum algorithms in FIPS 203 §8, FIPS 204 §4 and FIPS 205 §11: their
categories 1, 3 and 5 are those of AES with 128, 192 and 256 bits, and category 2 is that of a collision
of SHA-256. What no table has counts as long as its key, if it is a cipher; broken ciphers count nothing.
"""

from bisect import bisect_right
from collections.abc import Mapping
from types import MappingProxyType

from kmipkit.spec.enums import CryptographicAlgorithm as A
from kmipkit.spec.enums import HashingAlgorithm as H

_Steps = tuple[tuple[int, int], ...]

_FACTORING: _Steps = ((1024, 80), (2048, 112), (3072, 128), (7680, 192), (15360, 256))
"""Length from which on a key of RSA, DSA or Diffie-Hellman has a strength."""
_CURVES: _Steps = ((160, 80), (224, 112), (256, 128), (384, 192), (512, 256))
_TRIPLE_DES: _Steps = ((112, 80), (168, 112))

_BY_STEPS: Mapping[A, _Steps] = MappingProxyType(
    {
        **dict.fromkeys((A.RSA, A.DSA, A.DH), _FACTORING),
        **dict.fromkeys((A.EC, A.ECDSA, A.ECDH, A.ECMQV, A.SM2, A.GOST_R_34_10_2012), _CURVES),
        A.DES3: _TRIPLE_DES,
    }
)

_FIXED: Mapping[A, int] = MappingProxyType(
    {
        **dict.fromkeys((A.RC2, A.RC4, A.HMAC_MD5), 0),
        A.DES: 56,
        A.ED25519: 128,
        A.ED448: 224,
        A.ML_KEM_512: 128,
        A.ML_KEM_768: 192,
        A.ML_KEM_1024: 256,
        A.ML_DSA_44: 128,
        A.ML_DSA_65: 192,
        A.ML_DSA_87: 256,
        **{member: int(member.name[-4:-1]) for member in A if member.name.startswith("SLH_DSA_")},
    }
)

_MACS: Mapping[A, int] = MappingProxyType(
    {
        A.HMAC_SHA1: 128,
        **dict.fromkeys((A.HMAC_SHA224, A.HMAC_SHA3_224), 192),
        **dict.fromkeys(
            (
                *(A.HMAC_SHA256, A.HMAC_SHA384, A.HMAC_SHA512),
                *(A.HMAC_SHA3_256, A.HMAC_SHA3_384, A.HMAC_SHA3_512),
            ),
            256,
        ),
    }
)
"""The most that an HMAC has; a shorter key has less (Table 3, third column)."""

_CIPHERS = frozenset(
    {
        *(A.AES, A.CAMELLIA, A.ARIA, A.SEED, A.SM4, A.BLOWFISH, A.TWOFISH, A.CAST5, A.IDEA, A.MARS),
        *(A.RC5, A.SKIPJACK, A.CHACHA20, A.CHACHA20POLY1305, A.POLY1305, A.ONE_TIME_PAD),
        *(A.GOST_R_34_13_2015, A.GOST_28147_89),
    }
)

_COLLISIONS: Mapping[H, int] = MappingProxyType(
    {
        **dict.fromkeys((H.MD2, H.MD4, H.MD5, H.SHA_1), 0),
        **dict.fromkeys((H.SHA_224, H.SHA_512_224, H.SHA3_224), 112),
        **dict.fromkeys((H.SHA_256, H.SHA_512_256, H.SHA3_256), 128),
        **dict.fromkeys((H.SHA_384, H.SHA3_384), 192),
        **dict.fromkeys((H.SHA_512, H.SHA3_512), 256),
    }
)


def strength_of_key(algorithm: A, length: int | None) -> int | None:
    """The bits of security of a key; None if they are not known. ``length`` is in bits."""
    if algorithm in _FIXED:
        return _FIXED[algorithm]
    if length is None:
        return None
    if algorithm in _BY_STEPS:
        steps = _BY_STEPS[algorithm]
        index = bisect_right(steps, length, key=lambda step: step[0])
        return steps[index - 1][1] if index else 0
    if algorithm in _MACS:
        return min(length, _MACS[algorithm])
    return length if algorithm in _CIPHERS else None


def strength_of_signature_hash(algorithm: H) -> int | None:
    """The bits of security of a hash in a signature, against collisions; None if not known."""
    return _COLLISIONS.get(algorithm)
