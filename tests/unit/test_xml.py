"""The XML form: values of every type there and back, and what is refused (Profiles 2.1 §5.4)."""

import pytest

from kmipkit.errors import RemoteProtocolError
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
