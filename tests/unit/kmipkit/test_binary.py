"""What the binary codec says when it refuses."""

import pytest

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.ttlv.binary import Limits, decode, encode, message_length
from kmipkit.ttlv.tree import Item


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"GET / HT", "an HTTP request"),
        (b"POST /km", "an HTTP request"),
        (b"HTTP/1.1", "an HTTP response"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", "a TLS handshake"),
        (b"\x15\x03\x03\x00\x02\x02\x28\x00", "a TLS alert"),
        (b"SSH-2.0-", "SSH"),
        (b"<Request", "XML"),
        (b'{"tag":"', "JSON"),
        (b"\x00" * 8, "not with 00"),
    ],
)
def test_other_protocols_are_named(first: bytes, says: str) -> None:
    with pytest.raises(RemoteProtocolError, match=says) as caught:
        message_length(first)
    assert caught.value.cause is Cause.NOT_KMIP


def test_trace_is_not_taken_for_a_tag() -> None:
    """``T`` is 0x54, the prefix of extensions."""
    with pytest.raises(RemoteProtocolError, match="HTTP request"):
        message_length(b"TRACE / ")


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ("42007802 00000004", Cause.BAD_TYPE),
        ("42007801 00000004", Cause.BAD_LENGTH),
        ("42007801 80000000", Cause.TOO_LARGE),
        ("42007801 00100000", Cause.TOO_LARGE),
    ],
)
def test_bad_headers(header: str, cause: Cause) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        message_length(bytes.fromhex(header))
    assert caught.value.cause is cause


def test_a_message_may_be_as_large_as_the_limit() -> None:
    assert message_length(bytes.fromhex("4200780100000ff8"), Limits(max_message=4096)) == 4096


def test_a_short_header_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="8 bytes, not 7"):
        message_length(bytes(7))


WRONG = [
    (ItemType.INTEGER, 2**31),
    (ItemType.INTEGER, "1"),
    (ItemType.ENUMERATION, -1),
    (ItemType.LONG_INTEGER, 2**63),
    (ItemType.BIG_INTEGER, "1"),
    (ItemType.BOOLEAN, 1),
    (ItemType.TEXT_STRING, b"x"),
    (ItemType.TEXT_STRING, "\ud800"),
    (ItemType.BYTE_STRING, "hunter2"),
    (ItemType.STRUCTURE, 5),
]


@pytest.mark.parametrize(("item_type", "value"), WRONG)
def test_values_that_do_not_fit_their_type(item_type: ItemType, value: int | str | bytes) -> None:
    with pytest.raises(LocalProtocolError, match="cannot have this value") as caught:
        encode(Item(0x420094, item_type, value))
    assert caught.value.cause is Cause.BAD_VALUE
    assert "hunter2" not in str(caught.value)


def test_an_error_says_where() -> None:
    item = Item(0x540001, ItemType.INTEGER, 1)
    inner = Item(0x540002, ItemType.STRUCTURE, (item, item, item))
    data = bytearray(encode(Item(0x540003, ItemType.STRUCTURE, (item, inner, inner))))
    data[8 + 16 + 56 + 8 + 16 + 7] = 5
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    assert caught.value.path == "0x540003/0x540002[1]/0x540001[1]"
    assert caught.value.offset == 8 + 16 + 56 + 8 + 16
    assert "length of an Integer is 4, not 5" in str(caught.value)


def test_repr_shows_no_bytes() -> None:
    item = Item(0x540001, ItemType.BYTE_STRING, b"secret!!")
    assert repr(item) == "Item(0x540001, BYTE_STRING, <8 bytes>)"
    assert "secret" not in repr(Item(0x420045, ItemType.STRUCTURE, (item,)))


def test_items_are_immutable_and_compare_without_their_offset() -> None:
    item = Item(0x540001, ItemType.INTEGER, 1, 8)
    assert item == Item(0x540001, ItemType.INTEGER, 1)
    assert hash(item) == hash(Item(0x540001, ItemType.INTEGER, 1))
    with pytest.raises(AttributeError):
        item.tag = 1  # type: ignore[misc]  # that it is refused is what is tested
