"""The JSON form: values of every type there and back, and what is refused (Profiles 2.1 §5.5)."""

import json as standard
from typing import Any

import pytest

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import json
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item, ItemValue

EXTENSION = 0x540001
ODD_TEXT = ' \0"\\\n\u2028é\U0001f511'

VALUES: list[tuple[int, ItemType, ItemValue, Any]] = [
    (Tag.BATCH_COUNT, ItemType.INTEGER, -1, -1),
    (Tag.BATCH_COUNT, ItemType.INTEGER, -(2**31), -(2**31)),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0, 0),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0xC, "Encrypt|Decrypt"),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 4 - 2**31, "Encrypt|0x80000000"),
    (Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER, 2**52 - 1, 2**52 - 1),
    (Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER, 2**52, "0x0010000000000000"),
    (Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER, -(2**52), "0xfff0000000000000"),
    (Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER, -(2**63), "0x8000000000000000"),
    (Tag.MODULUS, ItemType.BIG_INTEGER, 0, 0),
    (Tag.MODULUS, ItemType.BIG_INTEGER, -1, -1),
    (Tag.MODULUS, ItemType.BIG_INTEGER, -(2**63), "0x80" + "00" * 7),
    (Tag.MODULUS, ItemType.BIG_INTEGER, -(2**63) - 1, "0x" + "ff" * 8 + "7f" + "ff" * 7),
    (Tag.MODULUS, ItemType.BIG_INTEGER, 2**63, "0x" + "00" * 8 + "80" + "00" * 7),
    (Tag.CRYPTOGRAPHIC_ALGORITHM, ItemType.ENUMERATION, 3, "AES"),
    (Tag.CRYPTOGRAPHIC_ALGORITHM, ItemType.ENUMERATION, 0x8000BEEF, "0x8000beef"),
    (EXTENSION, ItemType.ENUMERATION, 1, "0x00000001"),
    (Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, True, True),
    (Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, False, False),
    (Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "", ""),
    (Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, ODD_TEXT, ODD_TEXT),
    (Tag.NONCE_VALUE, ItemType.BYTE_STRING, b"", ""),
    (Tag.NONCE_VALUE, ItemType.BYTE_STRING, b"\0\xff", "00ff"),
    (Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 0, "1970-01-01T00:00:00+00:00"),
    (Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 2**63 - 1, "0x7fffffffffffffff"),
    (Tag.LEASE_TIME, ItemType.INTERVAL, 2**32 - 1, 2**32 - 1),
    (Tag.TIME_STAMP, ItemType.DATE_TIME_EXTENDED, 1_335_514_342_000_001, 1_335_514_342_000_001),
    (Tag.TIME_STAMP, ItemType.DATE_TIME_EXTENDED, -(2**63), "0x8000000000000000"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.IDENTIFIER, "id", "id"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.REFERENCE, "ref", "ref"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.NAME_REFERENCE, "name", "name"),
]


def text_of(item_type: str, value: Any, tag: str = "BatchCount") -> str:
    return standard.dumps({"tag": tag, "type": item_type, "value": value})


def structure(*items: Item) -> Item:
    return Item(Tag.ATTRIBUTE, ItemType.STRUCTURE, items)


def refused(text: bytes | str, limits: Limits | None = None) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        json.parse(text, limits or Limits())
    return caught.value


@pytest.mark.parametrize(("tag", "item_type", "value", "shown"), VALUES)
def test_values_are_written_and_read_back(
    tag: int, item_type: ItemType, value: ItemValue, shown: Any
) -> None:
    item = Item(tag, item_type, value)
    written = json.dump(item)
    parsed = standard.loads(written)["value"]
    assert parsed == shown
    assert type(parsed) is type(shown)
    assert json.parse(written) == json.parse(written.encode()) == item


def test_every_type_has_a_row() -> None:
    assert {row[1] for row in VALUES} | {ItemType.STRUCTURE} == set(ItemType)


NAME = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Cryptographic Algorithm")
OTHER_NAME = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Object Type")
VALUE = Item(Tag.ATTRIBUTE_VALUE, ItemType.ENUMERATION, 3)
VENDOR = Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, "x")


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ((NAME, VALUE), "AES"),
        ((VENDOR, NAME, VALUE), "0x00000003"),
        ((VALUE, NAME), "0x00000003"),
        ((NAME, VALUE, OTHER_NAME), "AES"),
    ],
)
def test_an_attribute_value_means_what_the_name_before_it_says(
    items: tuple[Item, ...], text: str
) -> None:
    item = structure(*items)
    written = json.dump(item)
    assert f'"type":"Enumeration", "value":"{text}"' in written
    assert json.parse(written) == item


def test_structures_and_extensions() -> None:
    empty = Item(EXTENSION, ItemType.STRUCTURE, ())
    item = structure(empty, NAME)
    written = json.dump(item)
    assert written == (
        '{"tag":"Attribute", "value":[\n'
        '  {"tag":"0x540001", "value":[]},\n'
        '  {"tag":"AttributeName", "type":"TextString", "value":"Cryptographic Algorithm"}\n'
        "]}\n"
    )
    assert json.parse(written) == item


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The examples of Additional Message Encodings 1.0 §4.1.6
        (
            '{"tag": "0x420001", "type":"DateTime", "value":"2001-01-01T10:00:00+10:00"}',
            Item(Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 978_307_200),
        ),
        (
            '{"tag": "ArchiveDate", "type":"DateTime", "value":"0x000000003a505520"}',
            Item(Tag.ARCHIVE_DATE, ItemType.DATE_TIME, 0x3A505520),
        ),
        (
            '{"tag": "0x54FFFF", "name":"SomeExtension", "type":"Integer", "value":"0x00000001"}',
            Item(0x54FFFF, ItemType.INTEGER, 1),
        ),
        (
            '{"tag": "CryptographicUsageMask", "type":"Integer",'
            ' "value": "CertificateSign|0x00000004|0x0000008"}',
            Item(Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0x100C),
        ),
        (
            '{"tag": "0x540001", "type":"LongInteger", "value":"0xfffffffffffffffe"}',
            Item(EXTENSION, ItemType.LONG_INTEGER, -2),
        ),
        (
            '{"tag": "X", "type":"BigInteger", "value":"0x0000000000000000"}',
            Item(Tag.X, ItemType.BIG_INTEGER, 0),
        ),
        (
            '{"tag": "0x420057", "type":"Enumeration", "value":2}',
            Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, 2),
        ),
        (
            '{"tag": "BatchOrderOption", "type":"Boolean", "value":"0x0000000000000001"}',
            Item(Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, True),
        ),
        (
            '{"tag": "MACSignature", "type":"ByteString", "value":"C50F77"}',
            Item(Tag.MAC_SIGNATURE, ItemType.BYTE_STRING, b"\xc5\x0f\x77"),
        ),
        (
            '{"tag": "Offset", "type":"Interval", "value":"0x0000001b"}',
            Item(Tag.OFFSET, ItemType.INTERVAL, 27),
        ),
        ('\ufeff{"tag": "Attribute"}'.encode(), structure()),
        ('{"tag": "Attribute", "type": "Structure", "value": null}', structure()),
    ],
)
def test_what_else_is_read(text: bytes | str, expected: Item) -> None:
    assert json.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", Cause.BAD_SYNTAX),
        ("{", Cause.BAD_SYNTAX),
        ("]", Cause.BAD_SYNTAX),
        ("[]", Cause.BAD_SYNTAX),
        ("null", Cause.BAD_SYNTAX),
        ("[[]]", Cause.BAD_SYNTAX),
        ('"Attribute"', Cause.BAD_SYNTAX),
        ("{}", Cause.BAD_SYNTAX),
        ('{"tag": 5}', Cause.BAD_SYNTAX),
        ('{"tag": "Attribute"} {"tag": "Attribute"}', Cause.BAD_SYNTAX),
        ('{"tag": "Attribute"} x', Cause.BAD_SYNTAX),
        ('{"tag": "Attribute", "tag": "Attribute"}', Cause.BAD_SYNTAX),
        ('{"tag": "Attribute", "typo": "Integer"}', Cause.BAD_SYNTAX),
        ('{"tag": "Attribute", "value": [NaN]}', Cause.BAD_SYNTAX),
        ('{"tag": "Attribute", "value": [1]}', Cause.BAD_SYNTAX),
        ('{"tag": "Attribute", "name": "\\', Cause.BAD_SYNTAX),
        ("\ud800", Cause.BAD_SYNTAX),
        (b"{\xff}", Cause.BAD_SYNTAX),
        (text_of("Integer", 1, "Nonsense"), Cause.BAD_TAG),
        (text_of("Integer", 1, "\ud800"), Cause.BAD_TAG),
        (text_of("Integer", 1, "0x000001"), Cause.BAD_TAG),
        (text_of("Float", 1), Cause.BAD_TYPE),
        ('{"tag": "Attribute", "type": 2}', Cause.BAD_TYPE),
        ('{"tag": "Attribute", "value": "x"}', Cause.BAD_VALUE),
        ('{"tag": "BatchCount", "type": "Integer"}', Cause.BAD_VALUE),
        ('{"tag": "BatchCount", "type": "Integer", "value": 1.0}', Cause.BAD_SYNTAX),
        ('{"tag": "BatchCount", "type": "Integer", "value": 1e3}', Cause.BAD_SYNTAX),
    ],
)
def test_what_is_no_message(text: bytes | str, cause: Cause) -> None:
    assert refused(text).cause is cause


@pytest.mark.parametrize(
    ("item_type", "value"),
    [
        ("Integer", 2**31),
        ("Integer", True),
        ("Integer", None),
        ("Integer", []),
        ("Integer", {}),
        ("Integer", "|"),
        ("Integer", "0x1ffffffff"),
        ("LongInteger", 2**63),
        ("BigInteger", "0x123"),
        ("BigInteger", "0x"),
        ("Enumeration", -1),
        ("Enumeration", "NoSuchName"),
        ("Boolean", 1),
        ("Boolean", "yes"),
        ("TextString", 5),
        ("TextString", "\ud800"),
        ("ByteString", 5),
        ("ByteString", "abc"),
        ("DateTime", 0),
        ("DateTime", "2001-02-30T00:00:00Z"),
        ("Interval", -1),
        ("DateTimeExtended", 2**63),
    ],
)
def test_values_that_their_type_cannot_have(item_type: str, value: Any) -> None:
    error = refused(f'{{"tag": "Attribute", "value": [{text_of(item_type, value)}]}}')
    assert error.cause is Cause.BAD_VALUE
    assert error.path == "Attribute/BatchCount"


def test_a_number_of_thousands_of_digits() -> None:
    error = refused(text_of("BigInteger", 0).replace("0}", "9" * 5000 + "}"))
    assert error.cause is Cause.BAD_SYNTAX
    assert "digits" in str(error)
    assert "sys." not in str(error)


def test_a_large_big_integer_may_be_a_number() -> None:
    item = Item(Tag.MODULUS, ItemType.BIG_INTEGER, -(2**8192) + 1)
    assert json.parse(text_of("BigInteger", item.value, "Modulus")) == item


def test_an_error_does_not_show_the_value() -> None:
    for item_type in ("ByteString", "BigInteger", "Integer", "DateTime", "Enumeration"):
        assert "hunter2" not in str(refused(text_of(item_type, "hunter2", "KeyMaterial")))
    assert "hunter2" not in str(refused('{"tag": "KeyMaterial", "value": "hunter2'))


def test_syntax_errors_say_where() -> None:
    error = refused('{"tag": "é", }')
    assert "line 1, column" in str(error)
    assert error.offset is not None
    assert refused(b'{"tag": "\xff"}').offset == 9


def test_limits_are_those_of_the_binary_form() -> None:
    item = structure(NAME, VALUE)
    text = json.dump(item)
    assert json.parse(text, Limits(max_message=8 + 32 + 16, max_depth=1, max_items=3)) == item
    assert refused(text, Limits(max_message=8 + 32 + 15)).cause is Cause.TOO_LARGE
    assert refused(text, Limits(max_depth=0)).cause is Cause.TOO_DEEP
    assert refused(text, Limits(max_items=2)).cause is Cause.TOO_MANY_ITEMS


def test_brackets_and_commas_within_text_do_not_count() -> None:
    item = Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, '[{"\\,' * 100)
    assert json.parse(json.dump(item), Limits(max_items=1, max_depth=0)) == item


@pytest.mark.parametrize("bomb", ["[" * 1_000_000, '{"value":[' * 100_000])
def test_depth_bombs_cost_nothing(bomb: str) -> None:
    assert refused(bomb).cause is Cause.TOO_DEEP


def test_even_a_careless_limit_does_not_overrun_the_stack() -> None:
    text = '{"tag":"Attribute","value":[' * 5000 + "]}" * 5000
    assert refused(text, Limits(max_depth=10_000)).cause is Cause.TOO_DEEP


@pytest.mark.parametrize("bomb", ["[{}" + ",{}" * 500_000, "[" + "1," * 1_000_000])
def test_item_bombs_are_refused_before_they_are_built(bomb: str) -> None:
    assert refused(bomb).cause is Cause.TOO_MANY_ITEMS


def test_text_without_an_end_is_scanned_once() -> None:
    """A backtracking scan would take hours for this."""
    assert refused('{"tag":"' + '\\"' * 1_000_000).cause is Cause.BAD_SYNTAX


def test_several_messages() -> None:
    text = json.dump(structure(NAME))
    assert json.parse_all(text * 3) == [structure(NAME)] * 3
    assert json.parse_all(f"[{text},{text}]") == [structure(NAME)] * 2
    assert json.parse_all("[]") == []


def test_placeholders_are_resolved_only_on_request() -> None:
    text = text_of("DateTime", "$NOW", "ActivationDate")
    assert refused(text).cause is Cause.BAD_VALUE
    item = Item(Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 7)
    assert json.parse_all(text, placeholder=lambda *_: 7) == [item]


@pytest.mark.parametrize(
    ("item_type", "value"),
    [
        (ItemType.INTEGER, 2**31),
        (ItemType.INTEGER, "1"),
        (ItemType.BYTE_STRING, "hunter2"),
        (ItemType.INTERVAL, -1),
        (ItemType.TEXT_STRING, "\ud800"),
    ],
)
def test_what_the_binary_form_refuses_is_not_written(item_type: ItemType, value: ItemValue) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        json.dump(Item(Tag.BATCH_COUNT, item_type, value))
    assert caught.value.cause is Cause.BAD_VALUE


def test_a_tree_too_deep_is_a_protocol_error() -> None:
    item = structure()
    for _ in range(5000):
        item = structure(item)
    with pytest.raises(LocalProtocolError) as caught:
        json.dump(item)
    assert caught.value.cause is Cause.TOO_DEEP


def test_no_control_character_reaches_a_terminal() -> None:
    item = Item(Tag.NAME_VALUE, ItemType.TEXT_STRING, "\x1b[2J\x7f\x9b2J\x85")
    written = json.dump(item)
    assert written.rstrip("\n").isprintable()
    assert json.parse(written) == item


def test_redaction() -> None:
    key = Item(Tag.KEY_MATERIAL, ItemType.BYTE_STRING, b"hunter2!")
    length = Item(Tag.CRYPTOGRAPHIC_LENGTH, ItemType.INTEGER, 64)
    item = Item(Tag.KEY_VALUE, ItemType.STRUCTURE, (key, length))
    written = json.dump(item, redact=True)
    parsed = standard.loads(written)["value"]
    assert [child["value"] for child in parsed] == ["<redacted>", 64]
    assert refused(written).cause is Cause.BAD_VALUE
    assert json.parse(json.dump(item)) == item
