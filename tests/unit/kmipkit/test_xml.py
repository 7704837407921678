"""The XML form: values of every type there and back, and what is refused (Profiles 2.1 §5.4)."""

import pytest

from kmipkit.errors import Cause, LocalProtocolError, RemoteProtocolError
from kmipkit.spec.enums import CryptographicAlgorithm
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import xml
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item, ItemValue

EXTENSION = 0x540001

VALUES: list[tuple[int, ItemType, ItemValue, str]] = [
    (Tag.BATCH_COUNT, ItemType.INTEGER, -1, "-1"),
    (Tag.BATCH_COUNT, ItemType.INTEGER, -(2**31), "-2147483648"),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0, "0"),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0xC, "Encrypt Decrypt"),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0x40000004, "Encrypt 0x40000000"),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 4 - 2**31, "Encrypt 0x80000000"),
    (Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER, -(2**63), "-9223372036854775808"),
    (Tag.USAGE_LIMITS_TOTAL, ItemType.LONG_INTEGER, 2**63 - 1, "9223372036854775807"),
    (Tag.MODULUS, ItemType.BIG_INTEGER, 0, "00" * 8),
    (Tag.MODULUS, ItemType.BIG_INTEGER, -1, "ff" * 8),
    (Tag.MODULUS, ItemType.BIG_INTEGER, -(2**63), "80" + "00" * 7),
    (Tag.MODULUS, ItemType.BIG_INTEGER, -(2**63) - 1, "ff" * 8 + "7f" + "ff" * 7),
    (Tag.MODULUS, ItemType.BIG_INTEGER, 2**63, "00" * 8 + "80" + "00" * 7),
    (Tag.CRYPTOGRAPHIC_ALGORITHM, ItemType.ENUMERATION, CryptographicAlgorithm.AES, "AES"),
    (Tag.CRYPTOGRAPHIC_ALGORITHM, ItemType.ENUMERATION, 0x8000BEEF, "0x8000beef"),
    (EXTENSION, ItemType.ENUMERATION, 1, "0x00000001"),
    (Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, True, "true"),
    (Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, False, "false"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "", ""),
    (Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, " a\tb\nc\rd ", " a&#9;b&#10;c&#13;d "),
    (Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "<&>é\U0001f511", "&lt;&amp;&gt;é\U0001f511"),
    (Tag.NONCE_VALUE, ItemType.BYTE_STRING, b"", ""),
    (Tag.NONCE_VALUE, ItemType.BYTE_STRING, b"\0\xff", "00ff"),
    (Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 0, "1970-01-01T00:00:00+00:00"),
    (Tag.ACTIVATION_DATE, ItemType.DATE_TIME, -1, "1969-12-31T23:59:59+00:00"),
    (Tag.ACTIVATION_DATE, ItemType.DATE_TIME, -(2**63), "0x8000000000000000"),
    (Tag.LEASE_TIME, ItemType.INTERVAL, 2**32 - 1, "4294967295"),
    (Tag.TIME_STAMP, ItemType.DATE_TIME_EXTENDED, 1_335_514_342_000_001, "1335514342000001"),
    (Tag.TIME_STAMP, ItemType.DATE_TIME_EXTENDED, -(2**63), "-9223372036854775808"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.IDENTIFIER, "id", "id"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.REFERENCE, "ref", "ref"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.NAME_REFERENCE, "name", "name"),
]


def wrap(attributes: str, name: str = "BatchCount") -> str:
    return f"<{name} {attributes}/>"


def refused(text: bytes | str, limits: Limits | None = None) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        xml.parse(text, limits or Limits())
    return caught.value


@pytest.mark.parametrize(("tag", "item_type", "value", "text"), VALUES)
def test_values_are_written_and_read_back(
    tag: int, item_type: ItemType, value: ItemValue, text: str
) -> None:
    item = Item(tag, item_type, value)
    written = xml.dump(item)
    assert f'value="{text}"' in written
    assert xml.parse(written) == xml.parse(written.encode()) == item


def test_every_type_has_a_row() -> None:
    assert {row[1] for row in VALUES} | {ItemType.STRUCTURE} == set(ItemType)


def attribute(*items: Item) -> Item:
    return Item(Tag.ATTRIBUTE, ItemType.STRUCTURE, items)


NAME = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Cryptographic Algorithm")
OTHER_NAME = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Object Type")
VALUE = Item(Tag.ATTRIBUTE_VALUE, ItemType.ENUMERATION, 3)
INDEX = Item(Tag.ATTRIBUTE_INDEX, ItemType.INTEGER, 0)
VENDOR = Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, "x")


@pytest.mark.parametrize(
    ("items", "text"),
    [
        ((NAME, VALUE), "AES"),
        ((NAME, INDEX, VALUE), "AES"),
        ((VENDOR, NAME, VALUE), "0x00000003"),
        ((VALUE, NAME), "0x00000003"),
        ((NAME, VALUE, OTHER_NAME), "AES"),
        ((VALUE,), "0x00000003"),
    ],
)
def test_an_attribute_value_means_what_the_name_before_it_says(
    items: tuple[Item, ...], text: str
) -> None:
    item = attribute(*items)
    written = xml.dump(item)
    assert f'<AttributeValue type="Enumeration" value="{text}"/>' in written
    assert xml.parse(written) == item


def test_structures_and_extensions() -> None:
    inner = Item(EXTENSION, ItemType.STRUCTURE, ())
    item = Item(Tag.REQUEST_MESSAGE, ItemType.STRUCTURE, (inner, inner))
    written = xml.dump(item)
    assert written == (
        '<RequestMessage>\n  <TTLV tag="0x540001"/>\n  <TTLV tag="0x540001"/>\n</RequestMessage>\n'
    )
    assert xml.parse(written) == item


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The examples of Additional Message Encodings 1.0 §6.1.6
        (
            '<TTLV tag="0x420001" name="ActivationDate" type="DateTime"'
            ' value="2001-01-01T10:00:00+10:00"/>',
            Item(Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 978_307_200),
        ),
        (
            '<ActivationDate xmlns="urn:oasis:tc:kmip:xmlns" type="DateTime"'
            ' value="2001-01-01T00:00:00.999Z"/>',
            Item(Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 978_307_200),
        ),
        (
            '<k:Offset xmlns:k="urn:oasis:tc:kmip:xmlns" type="Interval" value="27"/>',
            Item(Tag.OFFSET, ItemType.INTERVAL, 27),
        ),
        (
            '<TTLV tag="0x545352" name="SomeExtension" type="TextString" value="This is an extension"/>',
            Item(0x545352, ItemType.TEXT_STRING, "This is an extension"),
        ),
        ('<x540001 type="LongInteger" value="-2"/>', Item(EXTENSION, ItemType.LONG_INTEGER, -2)),
        (
            '<PrivateKeyTemplateAttribute type="Structure"/>',
            Item(Tag.PRIVATE_KEY_TEMPLATE_ATTRIBUTE, ItemType.STRUCTURE, ()),
        ),
        (
            '<CryptographicUsageMask type="Integer" value="CertificateSign 0x00000004 0x0000008"/>',
            Item(Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0x100C),
        ),
        (
            '<CryptographicUsageMask type="Integer" value="0x0000100c"/>',
            Item(Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0x100C),
        ),
        (
            '<ObjectType type="Enumeration" value="0x00000002"/>',
            Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, 2),
        ),
        (
            '<BatchOrderOption type="Boolean" value="1"/>',
            Item(Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, True),
        ),
        (
            '<MACSignature type="ByteString" value=" C50F77 "/>',
            Item(Tag.MAC_SIGNATURE, ItemType.BYTE_STRING, b"\xc5\x0f\x77"),
        ),
        (
            '<BatchCount type="Integer" value="0xffffffff"/>',
            Item(Tag.BATCH_COUNT, ItemType.INTEGER, -1),
        ),
    ],
)
def test_what_else_is_read(text: str, expected: Item) -> None:
    assert xml.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", Cause.BAD_SYNTAX),
        ("<BatchCount", Cause.BAD_SYNTAX),
        ("<KMIP/>", Cause.BAD_SYNTAX),
        ("<KMIP><Attribute/><Attribute/></KMIP>", Cause.BAD_SYNTAX),
        ("<Nonsense/>", Cause.BAD_TAG),
        ("<TTLV/>", Cause.BAD_TAG),
        ('<TTLV tag="0x12" type="Integer" value="1"/>', Cause.BAD_TAG),
        ('<TTLV tag="0x000001" type="Integer" value="1"/>', Cause.BAD_TAG),
        ('<TTLV tag="0x410001"/>', Cause.BAD_TAG),
        (wrap('type="Float" value="1"'), Cause.BAD_TYPE),
        (wrap('type="Integer"'), Cause.BAD_SYNTAX),
        (wrap('value="1"'), Cause.BAD_SYNTAX),
        (wrap('typo="Integer" value="1"'), Cause.BAD_SYNTAX),
        ('<BatchCount type="Integer" value="1"><Attribute/></BatchCount>', Cause.BAD_SYNTAX),
        ('<BatchCount xmlns="urn:other" type="Integer" value="1"/>', Cause.BAD_SYNTAX),
        ("<!DOCTYPE x><Attribute/>", Cause.BAD_SYNTAX),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><Attribute/>', Cause.BAD_SYNTAX),
        ("<?php 1 ?><Attribute/>", Cause.BAD_SYNTAX),
        ("\ud800", Cause.BAD_SYNTAX),
        (b'<?xml version="1.0" encoding="nonsense"?><Attribute/>', Cause.BAD_SYNTAX),
        (b'<?xml version="1.0" encoding="hex"?><Attribute/>', Cause.BAD_SYNTAX),
        (b'<?xml version="1.0" encoding="idna"?><Attribute/>', Cause.BAD_SYNTAX),
        (b'<?xml version="1.0" encoding="shift_jis"?><Attribute/>', Cause.BAD_SYNTAX),
        (b"<\xff", Cause.BAD_SYNTAX),
    ],
)
def test_what_is_no_message(text: bytes | str, cause: Cause) -> None:
    assert refused(text).cause is cause


@pytest.mark.parametrize(
    ("item_type", "value"),
    [
        ("Integer", ""),
        ("Integer", " | "),
        ("Integer", "2147483648"),
        ("Integer", "0x1ffffffff"),
        ("Integer", "0x"),
        ("Integer", "Encrypt"),
        ("Integer", "1.5"),
        ("LongInteger", "9223372036854775808"),
        ("LongInteger", "1e3"),
        ("BigInteger", "123"),
        ("BigInteger", "0x"),
        ("BigInteger", "xyz"),
        ("Enumeration", "NoSuchName"),
        ("Enumeration", "4294967296"),
        ("Enumeration", "-1"),
        ("Enumeration", "9" * 5000),
        ("Boolean", "yes"),
        ("Boolean", "2"),
        ("ByteString", "0x00"),
        ("ByteString", "abc"),
        ("ByteString", "éé"),
        ("DateTime", "yesterday"),
        ("DateTime", "2001-13-01T00:00:00Z"),
        ("DateTime", "2001-01-01T00:00:00+99:99"),
        ("DateTime", "0000-01-01T00:00:00Z"),
        ("DateTime", "0x10000000000000000"),
        ("Interval", "-1"),
        ("Interval", "4294967296"),
        ("DateTimeExtended", "2001-01-01T00:00:00Z"),
    ],
)
def test_values_that_their_type_cannot_have(item_type: str, value: str) -> None:
    text = f'<Attribute><BatchCount type="{item_type}" value="{value}"/></Attribute>'
    error = refused(text)
    assert error.cause is Cause.BAD_VALUE
    assert error.path == "Attribute/BatchCount"
    assert error.offset == len("<Attribute>")
    assert len(str(error)) < 200


def test_an_error_does_not_show_the_value() -> None:
    for item_type in ("ByteString", "BigInteger", "Integer", "DateTime", "Enumeration"):
        error = refused(f'<KeyMaterial type="{item_type}" value="hunter2"/>')
        assert "hunter2" not in str(error)
        assert error.__cause__ is None


def test_limits_are_those_of_the_binary_form() -> None:
    item = attribute(NAME, VALUE)
    text = xml.dump(item)
    assert xml.parse(text, Limits(max_message=8 + 32 + 16, max_depth=1, max_items=3)) == item
    assert refused(text, Limits(max_message=8 + 32 + 15)).cause is Cause.TOO_LARGE
    assert refused(text, Limits(max_depth=0)).cause is Cause.TOO_DEEP
    assert refused(text, Limits(max_items=2)).cause is Cause.TOO_MANY_ITEMS
    assert refused(" " * 1000 + text, Limits(max_message=62)).cause is Cause.TOO_LARGE


def test_each_message_has_the_limits_for_itself() -> None:
    text = xml.dump(attribute(NAME, VALUE))
    items = xml.parse_all(f"<KMIP><!-- two -->{text}{text}</KMIP>", Limits(max_items=3))
    assert items == [attribute(NAME, VALUE)] * 2


def test_placeholders_are_resolved_only_on_request() -> None:
    text = '<ActivationDate type="DateTime" value="$NOW"/>'
    assert refused(text).cause is Cause.BAD_VALUE
    item = Item(Tag.ACTIVATION_DATE, ItemType.DATE_TIME, 7)
    assert xml.parse_all(text, placeholder=lambda *_: 7) == [item]


@pytest.mark.parametrize("text", ["\0", "\x1b[2J", "\ufffe", "\ud800"])
def test_text_that_xml_cannot_carry(text: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        xml.dump(Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, text))
    assert caught.value.cause is Cause.BAD_VALUE
    assert caught.value.path == "UniqueIdentifier"


@pytest.mark.parametrize(
    ("item_type", "value"),
    [
        (ItemType.INTEGER, 2**31),
        (ItemType.INTEGER, "1"),
        (ItemType.BYTE_STRING, "hunter2"),
        (ItemType.INTERVAL, -1),
        (ItemType.BOOLEAN, 1),
    ],
)
def test_what_the_binary_form_refuses_is_not_written(item_type: ItemType, value: ItemValue) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        xml.dump(Item(Tag.BATCH_COUNT, item_type, value))
    assert caught.value.cause is Cause.BAD_VALUE


def test_a_tree_too_deep_is_a_protocol_error() -> None:
    item = attribute()
    for _ in range(5000):
        item = attribute(item)
    with pytest.raises(LocalProtocolError) as caught:
        xml.dump(item)
    assert caught.value.cause is Cause.TOO_DEEP


def test_redaction() -> None:
    key = Item(Tag.KEY_MATERIAL, ItemType.BYTE_STRING, b"hunter2!")
    length = Item(Tag.CRYPTOGRAPHIC_LENGTH, ItemType.INTEGER, 64)
    item = Item(Tag.KEY_VALUE, ItemType.STRUCTURE, (key, length))
    written = xml.dump(item, redact=True)
    assert b"hunter2!".hex() not in written
    assert 'value="&lt;redacted&gt;"' in written
    assert '"64"' in written
    assert refused(written).cause is Cause.BAD_VALUE
    assert b"hunter2!".hex() in xml.dump(item)
