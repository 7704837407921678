"""The binary codec against its promises, for random trees and random damage."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ttlv_strategies import VALUES, count, depth, items, messages

from kmipkit.errors import Cause, LocalProtocolError, ProtocolError, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv.binary import Limits, decode, encode, message_length
from kmipkit.ttlv.tree import Item

LIMITS = Limits(max_message=4096, max_depth=8, max_items=64)


def test_every_type_is_drawn() -> None:
    assert {*VALUES, ItemType.STRUCTURE} == set(ItemType)


@given(items)
def test_round_trip(item: Item) -> None:
    assert decode(encode(item)) == item


@given(items)
def test_any_buffer_will_do(item: Item) -> None:
    data = encode(item)
    assert decode(bytearray(data)) == decode(memoryview(data)) == item
    assert len(data) % 8 == 0


@given(messages)
def test_offsets_point_at_the_items(message: Item) -> None:
    data = encode(message)
    todo = [decode(data)]
    while todo:
        item = todo.pop()
        assert data[item.offset : item.offset + 4] == struct.pack(">I", item.tag << 8 | item.type)
        todo.extend(item.value if isinstance(item.value, tuple) else ())


@given(messages)
def test_the_first_eight_bytes_tell_the_length(message: Item) -> None:
    data = encode(message)
    assert message_length(data[:8]) == message_length(memoryview(data)) == len(data)


@given(messages)
def test_a_message_passes_at_its_limits_and_fails_below(message: Item) -> None:
    data = encode(message)
    size, deep, many = len(data), depth(message), count(message)
    assert decode(data, Limits(size, deep, many)) == message
    for limits, cause in (
        (Limits(size - 1, deep, many), Cause.TOO_LARGE),
        (Limits(size, deep - 1, many), Cause.TOO_DEEP),
        (Limits(size, deep, many - 1), Cause.TOO_MANY_ITEMS),
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            decode(data, limits)
        assert caught.value.cause is cause


damage = st.lists(
    st.tuples(st.sampled_from("xdi"), st.integers(0, 4095), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    out = bytearray(data)
    for kind, place, byte in changes:
        at = place % len(out) if out else 0
        if kind == "i" or not out:
            out.insert(at, byte)
        elif kind == "d":
            del out[at]
        else:
            out[at] = byte
    return bytes(out)


@given(messages, damage)
def test_damage_gives_an_item_or_a_protocol_error(
    message: Item, changes: list[tuple[str, int, int]]
) -> None:
    read_or_refuse(damaged(encode(message), changes))


@given(st.binary(max_size=200))
def test_noise_gives_an_item_or_a_protocol_error(data: bytes) -> None:
    read_or_refuse(data)


def read_or_refuse(data: bytes) -> None:
    try:
        item = decode(data, LIMITS)
    except RemoteProtocolError as error:
        refused = error
    else:
        accept(item, data)
        return
    assert refused.offset is None or 0 <= refused.offset <= len(data)


def accept(item: Item, data: bytes) -> None:
    assert count(item) <= LIMITS.max_items
    assert depth(item) <= LIMITS.max_depth
    again = encode(item)
    assert decode(again, LIMITS) == item
    assert encode(decode(again)) == again
    if again != data:
        assert_listed_difference(item, data)


def assert_listed_difference(item: Item, data: bytes) -> None:
    """Bytes differ from the canonical ones only in padding or in the length of a Big Integer."""
    if item.type is ItemType.STRUCTURE:
        assert isinstance(item.value, tuple)
        for child in item.value:
            assert_listed_difference(child, data)
        return
    (length,) = struct.unpack_from(">I", data, item.offset + 4)
    there = data[item.offset : item.offset + 8 + length]
    if item.type is not ItemType.BIG_INTEGER:
        assert encode(item)[: len(there)] == there


@given(st.binary(min_size=8, max_size=8))
def test_a_header_gives_a_length_or_a_protocol_error(header: bytes) -> None:
    try:
        size = message_length(header, LIMITS)
    except ProtocolError:
        return
    assert 8 <= size <= LIMITS.max_message


def test_a_depth_bomb_costs_nothing() -> None:
    bomb = b""
    for _ in range(50_000):
        bomb = struct.pack(">II", 0x42007801, len(bomb)) + bomb
    with pytest.raises(RemoteProtocolError, match="more than 32 deep") as caught:
        decode(bomb)
    assert caught.value.offset == 32 * 8


def test_even_a_careless_limit_does_not_overrun_the_stack() -> None:
    bomb = b""
    for _ in range(5_000):
        bomb = struct.pack(">II", 0x42007801, len(bomb)) + bomb
    item = decode(bomb, Limits(max_depth=10_000))
    with pytest.raises(LocalProtocolError, match="too deep"):
        encode(item)
