"""Split keys: XOR, and Shamir's polynomials over three fields (KMIP 1.4 §2.2.5).

No library has these fields, so they are implemented here. A secret is split into pieces of one field
element each. For each piece there is a random polynomial whose value at 0 is the piece; a part holds
its values at the Key Part Identifier. As many values as the polynomial has coefficients determine it
(the threshold); fewer say nothing about its value at 0.

All pieces of a secret are processed at once. The places are the Key Part Identifiers, from 1 to 255,
and all multiplications have a place, or a quotient of places, as one factor. These are elements of
GF(2^8), also where the pieces are elements of GF(2^16): that field is GF(2^8)[y] / (y^2 + y + m), so
such a factor multiplies the two bytes of a piece separately. In both fields, one look-up in a table
of 256 bytes multiplies each byte of a whole part.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Protocol

from kmipkit.errors import OperationError
from kmipkit.keys.padding import Random
from kmipkit.spec.enums import ResultReason, SplitKeyMethod, SplitKeyPolynomial

MAX_PARTS = 255
"""GF(2^8) has 255 places other than 0, which is that of the secret."""

MAX_PRIME_BITS = 16384
"""The size of the largest Prime Field Size; a larger one would take seconds for each part."""


# --- GF(2^8) ---------------------------------------------------------------------------------------


class Field:
    """GF(2^8), represented by the polynomials modulo an irreducible one."""

    def __init__(self, polynomial: int, generator: int) -> None:
        """``generator`` is an element whose powers are all elements other than 0."""
        # Twice as many powers as elements, so that the sum of two logarithms needs no reduction.
        self._powers, self._logarithms, value = [0] * 510, [0] * 256, 1
        for exponent in range(255):
            self._powers[exponent] = self._powers[exponent + 255] = value
            self._logarithms[value] = exponent
            times_x = (value << 1) ^ (polynomial if value & 0x80 else 0)
            value = times_x ^ (value if generator & 1 else 0)

    def multiply(self, a: int, b: int) -> int:
        """The product of two elements."""
        if not a or not b:  # 0 has no logarithm
            return 0
        return self._powers[self._logarithms[a] + self._logarithms[b]]

    def invert(self, value: int) -> int:
        """The inverse of an element other than 0."""
        return self._powers[255 - self._logarithms[value]]

    def products(self, factor: int) -> bytes:
        """The products of a factor with all elements, for bytes.translate()."""
        return _products(self, factor)


@cache
def _products(field: Field, factor: int) -> bytes:
    return bytes(field.multiply(factor, value) for value in range(256))


FIELDS: Mapping[SplitKeyPolynomial, Field] = MappingProxyType(
    {
        SplitKeyPolynomial.POLYNOMIAL_283: Field(0x11B, generator=3),
        SplitKeyPolynomial.POLYNOMIAL_285: Field(0x11D, generator=2),
    }
)
"""x^8 + x^4 + x^3 + x + 1, that of FIPS 197, and x^8 + x^4 + x^3 + x^2 + 1."""

POLYNOMIALS: Mapping[SplitKeyMethod, SplitKeyPolynomial] = MappingProxyType(
    {
        SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8: SplitKeyPolynomial.POLYNOMIAL_285,
        SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16: SplitKeyPolynomial.POLYNOMIAL_283,
    }
)
"""The field of each method. The official case TC-SJ-3 of 1.2 to 2.1 has the second one for GF(2^8), and
KMIP 2.0 and 2.1 print both: the number 285 and a reference to FIPS 197 (KMIP 2.1 §13.1). The parts of
GF(2^16), for which there is no case, stay those of KMIP 1.4 §2.2.5."""


# --- polynomials -----------------------------------------------------------------------------------


class _Polynomials(Protocol):
    """The polynomials of all pieces of a secret."""

    def split(self, secret: bytes, parts: int, threshold: int, random: Random) -> list[bytes]:
        """Their values at the places from 1."""

    def at(self, place: int, shares: Mapping[int, bytes]) -> bytes:
        """Their values at a place, from their values at as many places as they have coefficients."""


@dataclass(frozen=True, slots=True)
class _Binary:
    """Over GF(2^8) and GF(2^16), with the pieces of a secret side by side."""

    field: Field

    def split(self, secret: bytes, parts: int, threshold: int, random: Random) -> list[bytes]:
        coefficients = [secret, *(random(len(secret)) for _ in range(threshold - 1))]
        shares = []
        for place in range(1, parts + 1):
            power = 1
            terms = []
            for coefficient in coefficients:
                terms.append(coefficient.translate(self.field.products(power)))
                power = self.field.multiply(power, place)
            shares.append(_xor(terms))
        return shares

    def at(self, place: int, shares: Mapping[int, bytes]) -> bytes:
        return _xor(
            share.translate(self.field.products(self._weight(place, at, shares)))
            for at, share in shares.items()
        )

    def _weight(self, place: int, at: int, places: Mapping[int, object]) -> int:
        """The factor of the value at one of the places, by Lagrange's formula."""
        numerator = denominator = 1
        for other in places:
            if other != at:
                numerator = self.field.multiply(numerator, place ^ other)
                denominator = self.field.multiply(denominator, at ^ other)
        return self.field.multiply(numerator, self.field.invert(denominator))


@dataclass(frozen=True, slots=True)
class _Prime:
    """Over the integers modulo a prime, with the whole secret as the only piece."""

    prime: int
    length: int
    """The bytes of the secret."""

    def split(self, secret: bytes, parts: int, threshold: int, random: Random) -> list[bytes]:
        coefficients = [int.from_bytes(secret, "big")]
        coefficients += [_random_below(self.prime, random) for _ in range(threshold - 1)]
        shares = []
        for place in range(1, parts + 1):
            share = 0
            for coefficient in reversed(coefficients):
                share = (share * place + coefficient) % self.prime
            shares.append(share.to_bytes(_size(self.prime), "big"))
        return shares

    def at(self, place: int, shares: Mapping[int, bytes]) -> bytes:
        total = 0
        for at, share in shares.items():
            numerator = denominator = 1
            for other in shares:
                if other != at:
                    numerator *= place - other
                    denominator *= at - other
            try:
                weight = numerator * pow(denominator, -1, self.prime)
            except ValueError:
                raise _invalid("Prime Field Size is not a prime") from None
            total = (total + int.from_bytes(share, "big") * weight) % self.prime
        if place == 0 and total >> 8 * self.length:
            # A wrong secret may be longer than a correct one.
            raise _not_of_one_secret()
        return total.to_bytes(self.length if place == 0 else _size(self.prime), "big")


def _size(prime: int) -> int:
    """The bytes of an element of a prime field."""
    return (prime.bit_length() + 7) // 8


def _random_below(prime: int, random: Random) -> int:
    """A uniformly random number: those outside the field are discarded, not reduced."""
    excess = 8 * _size(prime) - (prime - 1).bit_length()
    while True:
        number = int.from_bytes(random(_size(prime)), "big") >> excess
        if number < prime:
            return number


# --- sharing ---------------------------------------------------------------------------------------

_WIDTHS: Mapping[SplitKeyMethod, int] = {
    SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8: 1,
    SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16: 2,
}
"""The bytes of an element of each binary field."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How to split a secret of ``length`` bytes; errors of all methods are Invalid Field."""

    method: SplitKeyMethod
    parts: int
    threshold: int
    length: int
    prime: int | None = None
    polynomial: SplitKeyPolynomial | None = None
    """That of a binary field, if it is not the one in :data:`POLYNOMIALS`."""

    def check(self) -> None:
        """Refuse parameters that do not fit together. Feature Not Supported for other methods."""
        if not 1 <= self.threshold <= self.parts <= MAX_PARTS:
            raise _invalid(
                f"a threshold of {self.threshold} of {self.parts} parts is not valid; there may be"
                f" at most {MAX_PARTS} parts"
            )
        if self.method == SplitKeyMethod.XOR:
            if self.threshold != self.parts:
                raise _invalid("XOR needs all parts: the threshold must be the number of parts")
        elif self.method == SplitKeyMethod.POLYNOMIAL_SHARING_PRIME_FIELD:
            self._check_prime()
        elif self.method not in _WIDTHS:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED,
                f"Split Key Method {self.method.name} is not supported",
            )
        elif self.length % _WIDTHS[self.method]:
            raise _invalid(
                f"the key must have a multiple of {_WIDTHS[self.method]} bytes for this method"
            )

    def _check_prime(self) -> None:
        smallest = max(1 << 8 * self.length, self.parts)
        if self.prime is None or self.prime <= smallest:
            raise _invalid(f"Prime Field Size must be a prime above 2^{8 * self.length}")
        if self.prime.bit_length() > MAX_PRIME_BITS:
            raise _invalid(f"Prime Field Size may have {MAX_PRIME_BITS} bits at most")

    @property
    def cost(self) -> float:
        """About how many milliseconds it takes to split or join."""
        if self.method == SplitKeyMethod.XOR:
            return self.parts * self.length / 200_000
        if self.prime is not None:
            size = _size(self.prime)
            return self.parts * self.threshold * (0.002 + size / 400_000) + (
                self.threshold * size * size / 300_000
            )
        return self.parts * self.threshold * (0.002 + self.length / 500_000)

    @property
    def _polynomials(self) -> _Polynomials:
        if self.method == SplitKeyMethod.POLYNOMIAL_SHARING_PRIME_FIELD:
            assert self.prime is not None
            return _Prime(self.prime, self.length)
        return _Binary(FIELDS[self.polynomial or POLYNOMIALS[self.method]])


def split(secret: bytes, scheme: Scheme, random: Random) -> list[bytes]:
    """The parts, in the order of their identifiers from 1."""
    scheme.check()
    if scheme.method == SplitKeyMethod.XOR:
        parts = [random(len(secret)) for _ in range(scheme.parts - 1)]
        return [*parts, _xor([*parts, secret])]
    return scheme._polynomials.split(secret, scheme.parts, scheme.threshold, random)


def join(shares: Mapping[int, bytes], scheme: Scheme) -> bytes:
    """The secret from at least ``threshold`` parts, by their identifiers.

    Raises:
        OperationError: Invalid Field for parts of different lengths, or with identifiers that the
            scheme does not have; Cryptographic Failure for too few parts, and for surplus parts
            that do not belong to the same secret.
    """
    scheme.check()
    if len(shares) < scheme.threshold:
        raise OperationError(
            ResultReason.CRYPTOGRAPHIC_FAILURE,
            f"{scheme.threshold} parts are required, {len(shares)} were specified",
        )
    if len({len(share) for share in shares.values()}) != 1:
        raise _invalid("the parts have different lengths")
    if not all(1 <= place <= scheme.parts for place in shares):
        raise _invalid(f"the Key Part Identifier of a part must be 1 to {scheme.parts}")
    if scheme.method == SplitKeyMethod.XOR:
        return _xor(shares.values())
    polynomials = scheme._polynomials
    places = list(shares)
    sufficient = {place: shares[place] for place in places[: scheme.threshold]}
    # Surplus parts are redundant, and therefore a check: otherwise wrong parts would yield a wrong
    # key without an error.
    for place in places[scheme.threshold :]:
        if polynomials.at(place, sufficient) != shares[place]:
            raise _not_of_one_secret()
    return polynomials.at(0, sufficient)


def _xor(terms: Iterable[bytes]) -> bytes:
    """The sum of terms of the same length; there is at least one."""
    total = size = 0
    for term in terms:
        # The order of the bytes does not matter for the sum, and this one is converted faster.
        total ^= int.from_bytes(term, "little")
        size = len(term)
    return total.to_bytes(size, "little")


def _invalid(message: str) -> OperationError:
    return OperationError(ResultReason.INVALID_FIELD, message)


def _not_of_one_secret() -> OperationError:
    return OperationError(
        ResultReason.CRYPTOGRAPHIC_FAILURE, "the parts do not belong to the same secret"
    )
