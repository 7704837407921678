"""Split keys: enough parts give the secret, fewer nothing; the fields are those of the standard."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmipkit.errors import OperationError
from kmipkit.keys.splitting import FIELDS, Field, Scheme, join, split
from kmipkit.spec.enums import ResultReason, SplitKeyMethod, SplitKeyPolynomial

PRIME = (1 << 521) - 1
M = SplitKeyMethod
SHAMIR = [
    M.POLYNOMIAL_SHARING_GF_2_8,
    M.POLYNOMIAL_SHARING_GF_2_16,
    M.POLYNOMIAL_SHARING_PRIME_FIELD,
]

secrets = st.integers(1, 32).flatmap(lambda half: st.binary(min_size=2 * half, max_size=2 * half))


@st.composite
def splits(draw: st.DrawFn) -> tuple[bytes, Scheme, dict[int, bytes]]:
    secret = draw(secrets)
    parts = draw(st.integers(1, 7))
    method = draw(st.sampled_from([*SHAMIR, M.XOR]))
    threshold = parts if method == M.XOR else draw(st.integers(1, parts))
    prime = PRIME if method == M.POLYNOMIAL_SHARING_PRIME_FIELD else None
    scheme = Scheme(method, parts, threshold, len(secret), prime)
    shares = dict(enumerate(split(secret, scheme, os.urandom), 1))
    return secret, scheme, shares


@given(splits(), st.data())
def test_any_parts_that_are_enough_give_the_secret(
    sharing: tuple[bytes, Scheme, dict[int, bytes]], data: st.DataObject
) -> None:
    secret, scheme, shares = sharing
    count = data.draw(st.integers(scheme.threshold, scheme.parts))
    chosen = data.draw(st.permutations(list(shares)))[:count]
    assert join({place: shares[place] for place in chosen}, scheme) == secret


@given(splits(), st.data())
def test_fewer_parts_are_refused(
    sharing: tuple[bytes, Scheme, dict[int, bytes]], data: st.DataObject
) -> None:
    _, scheme, shares = sharing
    chosen = data.draw(st.permutations(list(shares)))[: scheme.threshold - 1]
    with pytest.raises(OperationError) as caught:
        join({place: shares[place] for place in chosen}, scheme)
    assert caught.value.reason is ResultReason.CRYPTOGRAPHIC_FAILURE


@given(splits())
def test_one_altered_part_among_more_than_enough_is_noticed(
    sharing: tuple[bytes, Scheme, dict[int, bytes]],
) -> None:
    _, scheme, shares = sharing
    if scheme.threshold == scheme.parts:
        return
    shares[1] = bytes([shares[1][0] ^ 1]) + shares[1][1:]
    with pytest.raises(OperationError) as caught:
        join(shares, scheme)
    assert caught.value.reason is ResultReason.CRYPTOGRAPHIC_FAILURE


def test_a_part_alone_says_nothing() -> None:
    """With one known part, each byte of the secret is as likely as any other: all 256 occur."""
    scheme = Scheme(M.POLYNOMIAL_SHARING_GF_2_8, 2, 2, 1)
    firsts = [split(b"\x42", scheme, lambda size, n=n: bytes([n] * size))[0] for n in range(256)]  # type: ignore[misc]
    assert len(set(firsts)) == 256


elements = st.integers(0, 255)


@given(st.sampled_from(list(FIELDS.values())), elements, elements, elements)
def test_the_field_is_a_field(field: Field, a: int, b: int, c: int) -> None:
    multiply = field.multiply
    assert multiply(a, b) == multiply(b, a)
    assert multiply(multiply(a, b), c) == multiply(a, multiply(b, c))
    assert multiply(a, b ^ c) == multiply(a, b) ^ multiply(a, c)
    assert multiply(a, 1) == a
    if a:
        assert multiply(a, field.invert(a)) == 1


multiply = FIELDS[SplitKeyPolynomial.POLYNOMIAL_283].multiply


def test_the_polynomial_of_the_official_cases() -> None:
    """TC-SJ-3: x^8 is the rest of the polynomial 285, and lines through two points give the key."""
    assert FIELDS[SplitKeyPolynomial.POLYNOMIAL_285].multiply(0x80, 2) == 0x1D
    scheme = Scheme(M.POLYNOMIAL_SHARING_GF_2_8, 4, 2, 1)
    assert join({1: b"\x66", 3: b"\xa8"}, scheme) == b"\x01"


def test_parts_of_the_other_polynomial_are_joined_with_it() -> None:
    scheme = Scheme(
        M.POLYNOMIAL_SHARING_GF_2_8, 3, 3, 16, polynomial=SplitKeyPolynomial.POLYNOMIAL_283
    )
    secret = bytes(range(16))
    shares = dict(enumerate(split(secret, scheme, os.urandom), 1))
    assert join(shares, scheme) == secret


def multiply_16(a: int, b: int) -> int:
    """The product in GF(2^8)[y] / (y^2 + y + m), m = x^5 + x^4 + x^3 + x (KMIP 1.4 §2.2.5)."""
    r, s, u, v = a >> 8, a & 0xFF, b >> 8, b & 0xFF
    squares = multiply(r, u)
    high = squares ^ multiply(r, v) ^ multiply(s, u)
    return high << 8 | multiply(squares, 0x3A) ^ multiply(s, v)


def test_the_product_of_fips_197() -> None:
    """§4.2: {57} times {83} is {c1}; §4.2.1: {57} times {13} is {fe}."""
    assert multiply(0x57, 0x83) == 0xC1
    assert multiply(0x57, 0x13) == 0xFE
    # KMIP 1.4 §2.2.5: y times y is y + m.
    assert multiply_16(0x100, 0x100) == 0x13A


@given(secrets, st.integers(1, 5), st.binary(min_size=1, max_size=200))
def test_parts_in_gf_2_16_are_values_of_polynomials(
    secret: bytes, threshold: int, seed: bytes
) -> None:
    """The parts are the same as if each were computed element by element, as KMIP 1.4 §2.2.5 says."""
    coefficients = [secret]

    def random(size: int) -> bytes:
        coefficients.append((seed[len(coefficients) % len(seed) :] + seed * size)[:size])
        return coefficients[-1]

    scheme = Scheme(M.POLYNOMIAL_SHARING_GF_2_16, 7, threshold, len(secret))
    for place, share in enumerate(split(secret, scheme, random), 1):
        for at in range(0, len(secret), 2):
            value = 0
            for coefficient in reversed(coefficients):
                value = multiply_16(value, place) ^ int.from_bytes(coefficient[at : at + 2], "big")
            assert share[at : at + 2] == value.to_bytes(2, "big")


@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(M.XOR, 3, 2, 16),
        Scheme(M.POLYNOMIAL_SHARING_GF_2_8, 2, 3, 16),
        Scheme(M.POLYNOMIAL_SHARING_GF_2_8, 256, 3, 16),
        Scheme(M.POLYNOMIAL_SHARING_GF_2_8, 2, 0, 16),
        Scheme(M.POLYNOMIAL_SHARING_GF_2_16, 2, 2, 15),
        Scheme(M.POLYNOMIAL_SHARING_PRIME_FIELD, 2, 2, 16),
        Scheme(M.POLYNOMIAL_SHARING_PRIME_FIELD, 2, 2, 16, (1 << 61) - 1),
        Scheme(M.POLYNOMIAL_SHARING_PRIME_FIELD, 2, 2, 16, (1 << 19937) - 1),
    ],
)
def test_schemes_that_cannot_be(scheme: Scheme) -> None:
    with pytest.raises(OperationError) as caught:
        split(bytes(scheme.length), scheme, os.urandom)
    assert caught.value.reason is ResultReason.INVALID_FIELD


def test_parts_of_different_lengths_are_refused() -> None:
    scheme = Scheme(M.XOR, 2, 2, 4)
    with pytest.raises(OperationError) as caught:
        join({1: b"1234", 2: b"123"}, scheme)
    assert caught.value.reason is ResultReason.INVALID_FIELD


@pytest.mark.parametrize("method", [M.XOR, *SHAMIR])
@pytest.mark.parametrize("place", [-1, 0, 3, 256])
def test_parts_with_identifiers_that_the_scheme_lacks_are_refused(
    method: SplitKeyMethod, place: int
) -> None:
    """A client can register a part with any identifier; that of 0 would be the secret itself."""
    scheme = Scheme(method, 2, 2, 2, PRIME)
    with pytest.raises(OperationError) as caught:
        join({1: bytes(66), place: bytes(66)}, scheme)
    assert caught.value.reason is ResultReason.INVALID_FIELD


def test_a_prime_field_size_that_is_not_a_prime_is_refused() -> None:
    scheme = Scheme(M.POLYNOMIAL_SHARING_PRIME_FIELD, 3, 2, 1, 258)
    with pytest.raises(OperationError) as caught:
        join({1: bytes(2), 3: bytes(2)}, scheme)
    assert caught.value.reason is ResultReason.INVALID_FIELD
