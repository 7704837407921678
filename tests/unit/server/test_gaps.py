"""The places of values in a message: found for certain, or not at all.

A loss: bytes of one field of a request are taken for those of another one.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kmipkit_server.engine.gaps import cut, fill, find_gaps

from kmipkit.model.codec import encode
from kmipkit.model.payloads.crypto import EncryptRequest
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4

FIELDS = {
    "data": Tag.DATA,
    "iv_counter_nonce": Tag.IV_COUNTER_NONCE,
    "authenticated_encryption_additional_data": Tag.AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA,
}


def encoded(**values: Any) -> bytes:
    request = EncryptRequest(unique_identifier="key", **values)
    return encode(request, V1_4, tag=Tag.REQUEST_PAYLOAD)


def tagged(values: dict[str, bytes]) -> list[tuple[Tag, bytes]]:
    return [(FIELDS[name], value) for name, value in values.items()]


_values = st.tuples(*[st.binary(max_size=40)] * len(FIELDS)).map(
    lambda values: dict(zip(FIELDS, values, strict=True))
)


@given(_values)
def test_a_message_with_other_values_of_the_same_lengths_has_them_in_the_same_places(
    values: dict[str, bytes],
) -> None:
    message = encoded(**values)
    gaps = find_gaps(message, tagged(values))
    assert gaps is not None
    parts, found = cut(message, gaps)
    assert found == tuple(values.values())
    assert b"".join(fill(parts, found)) == message
    others = {name: bytes(255 - each for each in value) for name, value in values.items()}
    other_parts, other_found = cut(encoded(**others), gaps)
    assert other_parts == parts
    assert other_found == tuple(others.values())
    assert b"".join(fill(parts, other_found)) == encoded(**others)


def test_a_place_that_is_not_certain_is_none() -> None:
    item = bytes.fromhex("4200C20800000004") + b"1234"
    values = {"data": b"1234", "iv_counter_nonce": item}
    assert find_gaps(encoded(**values), tagged(values)) is None


def test_values_in_another_order_are_not_found() -> None:
    values = {"data": b"1234", "iv_counter_nonce": b"5678"}
    assert find_gaps(encoded(**values), tagged(values)[::-1]) is None
    assert find_gaps(encoded(data=b"1234"), tagged(values)) is None


def test_the_length_of_each_value_is_in_the_parts() -> None:
    """So that no two requests with the same parts have their values in other places."""
    one, two = encoded(data=b"1" * 8), encoded(data=b"1" * 7)
    assert len(one) == len(two)
    gaps = find_gaps(one, [(Tag.DATA, b"1" * 8)])
    assert gaps is not None
    assert cut(one, gaps)[0] != cut(two, gaps)[0]
