"""Split keys: enough parts give the secret, fewer nothing; the fields are fields."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmipkit.errors import OperationError
from kmipkit.keys.splitting import GF_8, GF_16, Field, Scheme, join, prime_field, split
from kmipkit.spec.enums import ResultReason, SplitKeyMethod

PRIME = (1 << 521) - 1
M = SplitKeyMethod
FIELDS = {"GF(2^8)": GF_8, "GF(2^16)": GF_16, "GF(p)": prime_field(PRIME)}
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


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
def test_the_fields_are_fields(name: str, data: st.DataObject) -> None:
    field: Field = FIELDS[name]
    elements = st.integers(0, field.size - 1)
    a, b, c = (data.draw(elements) for _ in range(3))
    add, times = field.add, field.multiply
    assert add(a, b) == add(b, a)
    assert add(add(a, b), c) == add(a, add(b, c))
    assert field.subtract(add(a, b), b) == a
    assert times(a, b) == times(b, a)
    assert times(times(a, b), c) == times(a, times(b, c))
    assert times(a, add(b, c)) == add(times(a, b), times(a, c))
    assert times(a, 1) == a
    if a:
        assert times(a, field.invert(a)) == 1


def test_the_product_of_fips_197() -> None:
    """§4.2: {57} times {83} is {c1}; §4.2.1: {57} times {13} is {fe}."""
    assert GF_8.multiply(0x57, 0x83) == 0xC1
    assert GF_8.multiply(0x57, 0x13) == 0xFE
    # KMIP 1.4 §2.2.5: y times y is y + m.
    assert GF_16.multiply(0x100, 0x100) == 0x13A


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
