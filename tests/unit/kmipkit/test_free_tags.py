"""Tags outside 42xxxx and 54xxxx where vendors define the contents, and nowhere else."""

import pytest

from kmipkit.errors import Cause, RemoteProtocolError
from kmipkit.model.codec import decode
from kmipkit.model.messages import MessageExtension
from kmipkit.model.payloads.query import QueryResponse
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, VERSIONS, Version
from kmipkit.ttlv import binary, json, xml
from kmipkit.ttlv.printer import format_item
from kmipkit.ttlv.tree import Item

FREE = (
    Item(0x014242, ItemType.TEXT_STRING, "na"),
    Item(0x123456, ItemType.STRUCTURE, (Item(0x000001, ItemType.INTEGER, 1),)),
)
EXTENSION = Item(
    Tag.MESSAGE_EXTENSION,
    ItemType.STRUCTURE,
    (
        Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, "Example"),
        Item(Tag.CRITICALITY_INDICATOR, ItemType.BOOLEAN, False),
        Item(Tag.VENDOR_EXTENSION, ItemType.STRUCTURE, FREE),
    ),
)
INFORMATION = Item(Tag.SERVER_INFORMATION, ItemType.STRUCTURE, FREE)


@pytest.mark.parametrize("item", [EXTENSION, INFORMATION], ids=["extension", "information"])
def test_every_encoding_has_them(item: Item) -> None:
    assert binary.decode(binary.encode(item)) == item
    assert xml.parse(xml.dump(item)) == item
    assert json.parse(json.dump(item)) == item
    assert "014242" in format_item(item)


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_the_model_reads_around_them(version: Version) -> None:
    extension = decode(MessageExtension, binary.encode(EXTENSION), version)
    assert extension.vendor_extension.value == FREE
    payload = Item(
        Tag.RESPONSE_PAYLOAD,
        ItemType.STRUCTURE,
        (Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, "Example"), INFORMATION),
    )
    response = decode(
        QueryResponse, binary.encode(payload), V1_1, tag=Tag.RESPONSE_PAYLOAD, tolerant=True
    )
    assert response.vendor_identification == "Example"
    assert response.server_information == INFORMATION


def test_they_are_refused_elsewhere() -> None:
    beside = Item(Tag.RESPONSE_PAYLOAD, ItemType.STRUCTURE, (INFORMATION, FREE[0]))
    for data in (binary.encode(beside), binary.encode(FREE[0])):
        with pytest.raises(RemoteProtocolError) as raised:
            binary.decode(data)
        assert raised.value.cause is Cause.BAD_TAG
    for parse, dump in ((xml.parse, xml.dump), (json.parse, json.dump)):
        with pytest.raises(RemoteProtocolError):
            parse(dump(beside))
