"""Every message of the official test cases is read into the model and written back equal.

The reference codec and the compiled one are both tried, on the same messages. Values such as
``$NOW`` get a value of their item's type. Where a case is itself at odds with the standard, a row
of MALFORMED says how; such a case must fail, so that no row outlives its reason.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kmipkit.errors import ProtocolError
from kmipkit.model.codec import decode, encode, from_tree, to_tree
from kmipkit.model.messages import RequestMessage, ResponseMessage
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, VERSIONS, Version
from kmipkit.ttlv import binary, xml
from kmipkit.ttlv.tree import Item, ItemValue

TESTED = tuple(version for version in VERSIONS if version <= V2_1)
MESSAGES = {Tag.REQUEST_MESSAGE: RequestMessage, Tag.RESPONSE_MESSAGE: ResponseMessage}

MALFORMED: dict[str, str] = {
    "CS-AC-M-3-12": "an Attribute of the public key has no Attribute Name",
    "CS-AC-M-8-12": "an Attribute of the public key has no Attribute Name",
    "TC-NP-2-12": "the server's requests are in 1.0, and have a field of 1.1",
    "SUITEB_128-M-1-20": "the server supports Templates, which 2.0 does not have",
    "SUITEB_192-M-1-20": "the server supports Templates, which 2.0 does not have",
}

_PLACEHOLDERS: dict[ItemType, ItemValue] = {
    ItemType.DATE_TIME: 1_700_000_000,
    ItemType.BYTE_STRING: b"12345678",
    ItemType.ENUMERATION: 1,
}


def _placeholder(text: str, item_type: ItemType, tag: int) -> ItemValue:
    return text if item_type is ItemType.TEXT_STRING else _PLACEHOLDERS[item_type]


def _version_of(message: Item) -> Version:
    """From the header itself: some cases have messages of another version than their own."""
    numbers = message.value[0].value[0].value  # type: ignore[union-attr,index]  # trees are untyped
    return Version(*(number.value for number in numbers))  # type: ignore[arg-type,union-attr]


def _cases(shared: Path, version: Version) -> Iterator[tuple[str, list[Item]]]:
    for path in sorted((shared / "oasis-all" / str(version)).rglob("*.xml")):
        yield path.stem, xml.parse_all(path.read_bytes(), placeholder=_placeholder)


def _trouble(message: Item) -> str:
    """What goes wrong with a message; empty if nothing does."""
    cls, version = MESSAGES[Tag(message.tag)], _version_of(message)
    data = binary.encode(message)
    try:
        value = from_tree(cls, message, version)
        if to_tree(value, version) != message:
            return "the reference codec writes another message"
        if decode(cls, data, version) != value:
            return "the compiled codec reads another value"
        if encode(value, version) != data:
            return "the compiled codec writes another message"
    except ProtocolError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("version", TESTED, ids=str)
def test_all_cases_are_read_and_written_back(shared: Path, version: Version) -> None:
    count, trouble = 0, dict[str, str]()
    for name, messages in _cases(shared, version):
        for message in messages:
            count += 1
            if said := _trouble(message):
                trouble[name] = said
    expected = {name for name in MALFORMED if name.endswith(str(version).replace(".", ""))}
    assert {name: said for name, said in trouble.items() if name not in expected} == {}
    assert set(trouble) == expected
    assert count > 100
