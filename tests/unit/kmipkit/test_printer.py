"""What the printer shows of every type, and what it hides."""

import pytest

from kmipkit.errors import Cause, LocalProtocolError
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.secrets import SECRET_TAGS
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.printer import MAX_BYTES, format_item
from kmipkit.ttlv.tree import Item, ItemValue

EXTENSION = 0x540001

SECRET = b"hunter2!"
NUMBER = int.from_bytes(SECRET, "big")

LINES: list[tuple[int, ItemType, ItemValue, str]] = [
    (Tag.BATCH_COUNT, ItemType.INTEGER, -1, "BatchCount (Integer): -1"),
    (
        Tag.CRYPTOGRAPHIC_USAGE_MASK,
        ItemType.INTEGER,
        0xC,
        "CryptographicUsageMask (Integer): Encrypt | Decrypt (0x0000000c)",
    ),
    (
        Tag.CRYPTOGRAPHIC_USAGE_MASK,
        ItemType.INTEGER,
        4 - 2**31,
        "CryptographicUsageMask (Integer): Encrypt | 0x80000000 (0x80000004)",
    ),
    (Tag.CRYPTOGRAPHIC_USAGE_MASK, ItemType.INTEGER, 0, "CryptographicUsageMask (Integer): 0"),
    (
        Tag.USAGE_LIMITS_TOTAL,
        ItemType.LONG_INTEGER,
        -(2**63),
        "UsageLimitsTotal (LongInteger): -9223372036854775808",
    ),
    (Tag.MODULUS, ItemType.BIG_INTEGER, -1, "Modulus (BigInteger): 0xffffffffffffffff"),
    (
        Tag.MODULUS,
        ItemType.BIG_INTEGER,
        2**63,
        "Modulus (BigInteger): 0x00000000000000008000000000000000",
    ),
    (
        Tag.CRYPTOGRAPHIC_ALGORITHM,
        ItemType.ENUMERATION,
        3,
        "CryptographicAlgorithm (Enumeration): AES (0x00000003)",
    ),
    (
        Tag.CRYPTOGRAPHIC_ALGORITHM,
        ItemType.ENUMERATION,
        0x8000BEEF,
        "CryptographicAlgorithm (Enumeration): 0x8000beef",
    ),
    (EXTENSION, ItemType.ENUMERATION, 1, "0x540001 (Enumeration): 0x00000001"),
    (Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, True, "BatchOrderOption (Boolean): True"),
    (Tag.BATCH_ORDER_OPTION, ItemType.BOOLEAN, False, "BatchOrderOption (Boolean): False"),
    (Tag.NAME_VALUE, ItemType.TEXT_STRING, "Straße", "NameValue (TextString): 'Straße'"),
    (Tag.NAME_VALUE, ItemType.TEXT_STRING, "", "NameValue (TextString): ''"),
    (Tag.NONCE_VALUE, ItemType.BYTE_STRING, b"", "NonceValue (ByteString, 0 bytes): "),
    (Tag.NONCE_VALUE, ItemType.BYTE_STRING, b"\xff", "NonceValue (ByteString, 1 byte): ff"),
    (
        Tag.ACTIVATION_DATE,
        ItemType.DATE_TIME,
        978_307_200,
        "ActivationDate (DateTime): 2001-01-01T00:00:00Z",
    ),
    (
        Tag.ACTIVATION_DATE,
        ItemType.DATE_TIME,
        -(2**63),
        "ActivationDate (DateTime): 0x8000000000000000",
    ),
    (Tag.LEASE_TIME, ItemType.INTERVAL, 3600, "LeaseTime (Interval): 3600 s"),
    (
        Tag.TIME_STAMP,
        ItemType.DATE_TIME_EXTENDED,
        -1,
        "TimeStamp (DateTimeExtended): -1 µs",
    ),
    (Tag.UNIQUE_IDENTIFIER, ItemType.IDENTIFIER, "id", "UniqueIdentifier (Identifier): 'id'"),
    (Tag.UNIQUE_IDENTIFIER, ItemType.REFERENCE, "id", "UniqueIdentifier (Reference): 'id'"),
    (
        Tag.UNIQUE_IDENTIFIER,
        ItemType.NAME_REFERENCE,
        "id",
        "UniqueIdentifier (NameReference): 'id'",
    ),
    (Tag.ATTRIBUTES, ItemType.STRUCTURE, (), "Attributes"),
]


def structure(tag: int, *items: Item) -> Item:
    return Item(tag, ItemType.STRUCTURE, items)


def secret(tag: int, item_type: ItemType = ItemType.BYTE_STRING) -> Item:
    """An item whose value shows itself in some way if it is not hidden."""
    values: dict[ItemType, ItemValue] = {
        ItemType.BYTE_STRING: SECRET,
        ItemType.TEXT_STRING: SECRET.decode(),
        ItemType.BIG_INTEGER: NUMBER,
        ItemType.LONG_INTEGER: NUMBER,
    }
    return Item(tag, item_type, values[item_type])


def shows(text: str) -> bool:
    return any(form in text for form in (SECRET.decode(), SECRET.hex(), str(NUMBER)))


@pytest.mark.parametrize(("tag", "item_type", "value", "line"), LINES)
def test_a_line_for_each_type(tag: int, item_type: ItemType, value: ItemValue, line: str) -> None:
    assert format_item(Item(tag, item_type, value)) == line + "\n"


def test_every_type_has_a_row() -> None:
    assert {row[1] for row in LINES} == set(ItemType)


def test_structures_are_indented_and_attributes_are_understood() -> None:
    name = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Cryptographic Algorithm")
    value = Item(Tag.ATTRIBUTE_VALUE, ItemType.ENUMERATION, 3)
    item = structure(Tag.TEMPLATE_ATTRIBUTE, structure(Tag.ATTRIBUTE, name, value))
    assert format_item(item) == (
        "TemplateAttribute\n"
        "  Attribute\n"
        "    AttributeName (TextString): 'Cryptographic Algorithm'\n"
        "    AttributeValue (Enumeration): AES (0x00000003)\n"
    )


def test_long_values_are_cut_unless_all_is_to_be_shown() -> None:
    data = bytes(range(MAX_BYTES + 2))
    item = Item(Tag.CERTIFICATE_VALUE, ItemType.BYTE_STRING, data)
    assert format_item(item).endswith(f": {data[:MAX_BYTES].hex()}... (2 bytes more)\n")
    assert format_item(item, show_secrets=True).endswith(
        f", {MAX_BYTES + 2} bytes): {data.hex()}\n"
    )
    exact = Item(Tag.CERTIFICATE_VALUE, ItemType.BYTE_STRING, data[:MAX_BYTES])
    assert format_item(exact).endswith(f": {data[:MAX_BYTES].hex()}\n")
    number = Item(Tag.MODULUS, ItemType.BIG_INTEGER, 1 << (8 * MAX_BYTES - 1))
    assert "... (8 bytes more)" in format_item(number)
    assert "more" not in format_item(number, show_secrets=True)


def test_no_control_character_reaches_the_terminal() -> None:
    text = "\x1b[2J\r\n\x9b\u202e\x7f"
    for item_type in (ItemType.TEXT_STRING, ItemType.NAME_REFERENCE):
        shown = format_item(Item(Tag.NAME_VALUE, item_type, text))
        assert shown.count("\n") == 1
        assert shown.rstrip("\n").isprintable()


@pytest.mark.parametrize("tag", sorted(SECRET_TAGS))
@pytest.mark.parametrize(
    "item_type",
    [ItemType.BYTE_STRING, ItemType.TEXT_STRING, ItemType.BIG_INTEGER, ItemType.LONG_INTEGER],
)
def test_secret_tags_are_hidden_whatever_their_type(tag: int, item_type: ItemType) -> None:
    item = structure(Tag.REQUEST_PAYLOAD, secret(tag, item_type))
    shown = format_item(item)
    assert "): <redacted>" in shown
    assert not shows(shown)
    assert shows(format_item(item, show_secrets=True))


@pytest.mark.parametrize(
    "item_type", [ItemType.BYTE_STRING, ItemType.TEXT_STRING, ItemType.BIG_INTEGER]
)
@pytest.mark.parametrize("place", [Tag.KEY_VALUE, Tag.KEY_MATERIAL])
@pytest.mark.parametrize("tag", [EXTENSION, Tag.MODULUS, Tag.NAME_VALUE, Tag.ATTRIBUTE_VALUE])
def test_whatever_stands_in_a_key_value_is_hidden(
    tag: int, place: int, item_type: ItemType
) -> None:
    item = structure(place, structure(EXTENSION, structure(EXTENSION, secret(tag, item_type))))
    assert not shows(format_item(structure(Tag.KEY_BLOCK, item)))
    assert shows(format_item(structure(Tag.KEY_BLOCK, item), show_secrets=True))


def test_a_wrapped_key_value_is_hidden() -> None:
    item = structure(Tag.KEY_BLOCK, secret(Tag.KEY_VALUE))
    assert format_item(item) == "KeyBlock\n  KeyValue (ByteString, 8 bytes): <redacted>\n"


def test_what_is_beside_the_key_stays_visible() -> None:
    length = Item(Tag.CRYPTOGRAPHIC_LENGTH, ItemType.INTEGER, 128)
    name = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Activation Date")
    value = Item(Tag.ATTRIBUTE_VALUE, ItemType.DATE_TIME, 0)
    key = structure(Tag.KEY_VALUE, secret(Tag.KEY_MATERIAL), structure(Tag.ATTRIBUTE, name, value))
    iv = Item(Tag.NONCE_VALUE, ItemType.BYTE_STRING, b"\1")
    shown = format_item(structure(Tag.KEY_BLOCK, key, length, iv))
    assert not shows(shown)
    assert "'Activation Date'" in shown
    assert "1970-01-01T00:00:00Z" in shown
    assert "CryptographicLength (Integer): 128\n" in shown
    assert shown.endswith("  NonceValue (ByteString, 1 byte): 01\n")


def test_a_password_is_hidden_and_the_user_shown() -> None:
    user = Item(Tag.USERNAME, ItemType.TEXT_STRING, "alice")
    item = structure(Tag.CREDENTIAL_VALUE, user, secret(Tag.PASSWORD, ItemType.TEXT_STRING))
    assert format_item(item) == (
        "CredentialValue\n  Username (TextString): 'alice'\n  Password (TextString): <redacted>\n"
    )


def test_a_tree_too_deep_is_a_protocol_error() -> None:
    item = structure(EXTENSION)
    for _ in range(5000):
        item = structure(EXTENSION, item)
    with pytest.raises(LocalProtocolError) as caught:
        format_item(item)
    assert caught.value.cause is Cause.TOO_DEEP
