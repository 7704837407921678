"""The numbers of asymmetric keys: whether they can belong together, and the length of the key.

Only relations that are fast to compute are checked; whether numbers are prime is not. Each function
returns algorithm and length, and raises ``ValueError`` for numbers that are no key.
"""

from kmipkit.keys.identifiers import RECOMMENDED_LENGTHS
from kmipkit.spec.enums import CryptographicAlgorithm as Algorithm
from kmipkit.spec.enums import RecommendedCurve

_Contents = tuple[Algorithm, int | None]


MAX_VERIFIED = 16_384
"""The longest number whose relations are computed, in bits: more takes too long."""


def _require(is_valid: bool, relation: str) -> None:
    if not is_valid:
        raise ValueError(f"the numbers violate {relation}")


def rsa_contents(
    n: int,
    e: int | None,
    d: int | None = None,
    p: int | None = None,
    q: int | None = None,
    dp: int | None = None,
    dq: int | None = None,
    coefficient: int | None = None,
) -> _Contents:
    """An RSA key with the numbers of PKCS#1 that are known (RFC 8017 §3)."""
    if n.bit_length() > MAX_VERIFIED:
        return Algorithm.RSA, n.bit_length()
    _require(n > 3 and n % 2 == 1, "modulus > 3 and odd")
    _require(e is None or (1 < e < n and e % 2 == 1), "1 < public exponent < modulus, and odd")
    _require(d is None or 0 < d < n, "0 < private exponent < modulus")
    if p is not None and q is not None:
        _require(1 < p < n and 1 < q < n and p * q == n, "modulus = p * q")
    primes = ((p, dp), (q, dq))
    for prime, exponent in primes:
        if prime is None:
            continue
        _require(1 < prime < n and n % prime == 0, "a prime divides the modulus")
        if e is not None and d is not None:
            _require(e * d % (prime - 1) == 1 % (prime - 1), "e * d = 1 (mod prime - 1)")
        if exponent is not None and d is not None:
            _require(exponent == d % (prime - 1), "a prime exponent = d (mod prime - 1)")
    if coefficient is not None and p is not None and q is not None:
        _require(0 < coefficient < p, "0 < coefficient < p")
        _require(coefficient * q % p == 1 % p, "q * coefficient = 1 (mod p)")
    return Algorithm.RSA, n.bit_length()


def dsa_contents(
    p: int, q: int, g: int, *, x: int | None = None, y: int | None = None
) -> _Contents:
    """A DSA key (FIPS 186-4 §4.1)."""
    if p.bit_length() > MAX_VERIFIED:
        return Algorithm.DSA, p.bit_length()
    _require(1 < q < p and (p - 1) % q == 0, "q divides p - 1")
    _require(1 < g < p, "1 < g < p")
    _require(x is None or 0 < x < q, "0 < x < q")
    _require(y is None or 1 < y < p, "1 < y < p")
    return Algorithm.DSA, p.bit_length()


def dh_contents(
    p: int,
    q: int | None,
    g: int,
    *,
    j: int | None = None,
    x: int | None = None,
    y: int | None = None,
) -> _Contents:
    """A Diffie-Hellman key (KMIP 1.4 §2.1.7: P = JQ + 1)."""
    if p.bit_length() > MAX_VERIFIED:
        return Algorithm.DH, p.bit_length()
    _require(p > 3 and p % 2 == 1, "p > 3 and odd")
    _require(1 < g < p, "1 < g < p")
    _require(q is None or (1 < q < p and (p - 1) % q == 0), "q divides p - 1")
    _require(q is None or j is None or (0 < j < p and p == j * q + 1), "p = j * q + 1")
    _require(x is None or 0 < x < p, "0 < x < p")
    _require(y is None or 1 < y < p, "1 < y < p")
    return Algorithm.DH, p.bit_length()


def ec_contents(
    curve: RecommendedCurve, *, d: int | None = None, point: bytes | None = None
) -> _Contents:
    """A key on a curve (SEC 1 §2.3.3 for the form of a point)."""
    length = RECOMMENDED_LENGTHS.get(curve)
    _require(d is None or d > 0, "d > 0")
    if length is not None:
        _require(d is None or d.bit_length() <= length + 1, "d < the order of the curve")
        if point is not None and curve not in _MONTGOMERY:
            _require(
                len(point) in _point_sizes(point[:1], (length + 7) // 8), "the form of a point"
            )
    _require(point is None or bool(point), "a point is not empty")
    return Algorithm.ECDSA, length


_MONTGOMERY = frozenset({RecommendedCurve.CURVE25519, RecommendedCurve.CURVE448})


def _point_sizes(form: bytes, field: int) -> tuple[int, ...]:
    if form in (b"\x02", b"\x03"):
        return (1 + field,)
    return (1 + 2 * field,) if form in (b"\x04", b"\x06", b"\x07") else ()
