"""Split keys: XOR, and Shamir's polynomials over three fields (KMIP 1.4 §2.2.5).

No library has these fields, so they are implemented here. A secret is split into pieces of one field
element each. For each piece there is a random polynomial whose value at 0 is the piece; a part holds
its values at the Key Part Identifier. As many values as the polynomial has coefficients determine it
(the threshold); fewer say nothing about its value at 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType

from kmipkit.errors import OperationError
from kmipkit.keys.padding import Random
from kmipkit.spec.enums import ResultReason, SplitKeyMethod

MAX_PARTS = 255
"""GF(2^8) has 255 places other than 0, which is that of the secret."""


@dataclass(frozen=True, slots=True)
class Field:
    """A finite field whose elements are numbers from 0; ``size`` of them, of ``width`` bytes."""

    size: int
    width: int
    add: Callable[[int, int], int]
    subtract: Callable[[int, int], int]
    multiply: Callable[[int, int], int]
    invert: Callable[[int], int]


def _xor(a: int, b: int) -> int:
    return a ^ b


# --- GF(2^8) as in FIPS 197: x^8 + x^4 + x^3 + x + 1 ------------------------------------------------


def _times_x(value: int) -> int:
    return (value << 1) ^ (0x11B if value & 0x80 else 0)


def _powers() -> tuple[list[int], list[int]]:
    """The powers of the generator x + 1, and the logarithms to that base."""
    # Twice as many powers as elements, so that the sum of two logarithms needs no reduction.
    powers, logarithms, value = [0] * 510, [0] * 256, 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logarithms[value] = exponent
        value ^= _times_x(value)
    return powers, logarithms


_POWERS, _LOGARITHMS = _powers()


def _multiply_8(a: int, b: int) -> int:
    return _POWERS[_LOGARITHMS[a] + _LOGARITHMS[b]] if a and b else 0  # 0 has no logarithm


def _invert_8(value: int) -> int:
    return _POWERS[255 - _LOGARITHMS[value]]


# --- GF(2^16) as GF(2^8)[y] / (y^2 + y + m), m = x^5 + x^4 + x^3 + x --------------------------------

_M = 0x3A


def _multiply_16(a: int, b: int) -> int:
    # (ry + s)(uy + v), where y^2 = y + m, with three multiplications instead of four (Karatsuba).
    r, s, u, v = a >> 8, a & 0xFF, b >> 8, b & 0xFF
    high = _multiply_8(r ^ s, u ^ v) ^ _multiply_8(s, v)
    low = _multiply_8(_multiply_8(r, u), _M) ^ _multiply_8(s, v)
    return high << 8 | low


def _invert_16(value: int) -> int:
    # The inverse of uy + v is (uy + u + v) / d, where d = mu^2 + (u + v)v is the norm.
    u, v = value >> 8, value & 0xFF
    d = _invert_8(_multiply_8(u ^ v, v) ^ _multiply_8(_M, _multiply_8(u, u)))
    return _multiply_8(u, d) << 8 | _multiply_8(u ^ v, d)


GF_8 = Field(1 << 8, 1, _xor, _xor, _multiply_8, _invert_8)
GF_16 = Field(1 << 16, 2, _xor, _xor, _multiply_16, _invert_16)


def prime_field(prime: int) -> Field:
    """The integers modulo a prime."""
    return Field(
        prime,
        (prime.bit_length() + 7) // 8,
        lambda a, b: (a + b) % prime,
        lambda a, b: (a - b) % prime,
        lambda a, b: a * b % prime,
        lambda value: pow(value, -1, prime),
    )


FIELDS: Mapping[SplitKeyMethod, Field] = MappingProxyType(
    {
        SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8: GF_8,
        SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16: GF_16,
    }
)


# --- sharing ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scheme:
    """How to split a secret of ``length`` bytes; errors of all methods are Invalid Field."""

    method: SplitKeyMethod
    parts: int
    threshold: int
    length: int
    prime: int | None = None

    def check(self) -> None:
        """Refuse parameters that do not fit together."""
        if not 1 <= self.threshold <= self.parts <= MAX_PARTS:
            raise _invalid(
                f"a threshold of {self.threshold} of {self.parts} parts is not valid; there may be"
                f" at most {MAX_PARTS} parts"
            )
        if self.method == SplitKeyMethod.XOR and self.threshold != self.parts:
            raise _invalid("XOR needs all parts: the threshold must be the number of parts")
        if self.method == SplitKeyMethod.POLYNOMIAL_SHARING_PRIME_FIELD and (
            self.prime is None or self.prime <= 1 << 8 * self.length
        ):
            raise _invalid(f"Prime Field Size must be a prime above 2^{8 * self.length}")
        if self.method != SplitKeyMethod.XOR and self.length % self._element_size:
            raise _invalid(
                f"the key must have a multiple of {self._element_size} bytes for this method"
            )

    @property
    def field(self) -> Field:
        """The field of the polynomials. Feature Not Supported for an unknown method."""
        if self.method == SplitKeyMethod.POLYNOMIAL_SHARING_PRIME_FIELD:
            assert self.prime is not None
            return prime_field(self.prime)
        field = FIELDS.get(self.method)
        if field is None:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED,
                f"Split Key Method {self.method.name} is not supported",
            )
        return field

    @property
    def _element_size(self) -> int:
        """Number of bytes of the secret in one element: all of it in a prime field."""
        in_prime = self.method == SplitKeyMethod.POLYNOMIAL_SHARING_PRIME_FIELD
        return self.length if in_prime else self.field.width


def split(secret: bytes, scheme: Scheme, random: Random) -> list[bytes]:
    """The parts, in the order of their identifiers from 1."""
    scheme.check()
    if scheme.method == SplitKeyMethod.XOR:
        parts = [random(len(secret)) for _ in range(scheme.parts - 1)]
        return [*parts, reduce(_xor_bytes, parts, secret)]
    field = scheme.field
    # Each element of the secret has its own polynomial, so their shares are independent.
    shares: list[list[int]] = [[] for _ in range(scheme.parts)]
    for element in _elements(secret, scheme._element_size):
        coefficients = [element]
        coefficients += [_random_element(field, random) for _ in range(scheme.threshold - 1)]
        for place, share in enumerate(shares, 1):
            share.append(_value(field, coefficients, place))
    return [b"".join(element.to_bytes(field.width, "big") for element in share) for share in shares]


def join(shares: Mapping[int, bytes], scheme: Scheme) -> bytes:
    """The secret from at least ``threshold`` parts, by their identifiers.

    Raises:
        OperationError: Invalid Field for parts of different lengths; Cryptographic Failure for too
            few parts, and for surplus parts that do not belong to the same secret.
    """
    scheme.check()
    if len(shares) < scheme.threshold:
        raise OperationError(
            ResultReason.CRYPTOGRAPHIC_FAILURE,
            f"{scheme.threshold} parts are required, {len(shares)} were specified",
        )
    if len({len(share) for share in shares.values()}) != 1:
        raise _invalid("the parts have different lengths")
    if scheme.method == SplitKeyMethod.XOR:
        return reduce(_xor_bytes, shares.values())
    field = scheme.field
    places = list(shares)
    rows = [_elements(share, field.width) for share in shares.values()]
    secret = []
    for column in zip(*rows, strict=True):
        points = list(zip(places, column, strict=True))
        needed, surplus = points[: scheme.threshold], points[scheme.threshold :]
        # Surplus parts are redundant, and therefore a check: otherwise wrong parts would yield a wrong
        # key without an error.
        if any(_interpolated(field, needed, place) != value for place, value in surplus):
            raise OperationError(
                ResultReason.CRYPTOGRAPHIC_FAILURE, "the parts do not belong to the same secret"
            )
        secret.append(_interpolated(field, needed, 0))
    # In a prime field, a wrong secret may be longer than a correct one.
    if max(secret, default=0) >> 8 * scheme._element_size:
        raise OperationError(
            ResultReason.CRYPTOGRAPHIC_FAILURE, "the parts do not belong to the same secret"
        )
    return b"".join(element.to_bytes(scheme._element_size, "big") for element in secret)


def _elements(data: bytes, width: int) -> list[int]:
    return [int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width)]


def _random_element(field: Field, random: Random) -> int:
    """A uniformly random element: numbers outside the field are discarded, not reduced."""
    excess = 8 * field.width - (field.size - 1).bit_length()
    while True:
        number = int.from_bytes(random(field.width), "big") >> excess
        if number < field.size:
            return number


def _value(field: Field, coefficients: Sequence[int], place: int) -> int:
    """The value of the polynomial at a place, by Horner's rule."""
    value = 0
    for coefficient in reversed(coefficients):
        value = field.add(field.multiply(value, place), coefficient)
    return value


def _interpolated(field: Field, points: Sequence[tuple[int, int]], place: int) -> int:
    """The value at a place of the polynomial through these points, by Lagrange's formula."""
    total = 0
    for x, value in points:
        term = value
        for other_x, _ in points:
            if other_x != x:
                term = field.multiply(term, field.subtract(place, other_x))
                term = field.multiply(term, field.invert(field.subtract(x, other_x)))
        total = field.add(total, term)
    return total


def _xor_bytes(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def _invalid(message: str) -> OperationError:
    return OperationError(ResultReason.INVALID_FIELD, message)
