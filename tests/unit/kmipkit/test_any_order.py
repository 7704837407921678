"""Tolerant readers take the items of a structure in any order, and ignore those that it does not have.

Real servers send such responses: Query with Server Information before Vendor Identification (SafeNet,
OpenKMIP/PyKMIP#100), Register with Object Type (hashicorp/vault#9147), a header of 1.0 with Server
Correlation Value (hashicorp/vault#24309).
"""

import itertools
from typing import Any

import pytest
from model_strategies import CLASSES, tag_of, versions_of
from sample_items import structure_of

from kmipkit.errors import RemoteProtocolError
from kmipkit.model import codec
from kmipkit.model.envelope import decode_response
from kmipkit.model.plan import plan
from kmipkit.model.structure import Structure
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import VERSIONS, Version
from kmipkit.ttlv import binary
from kmipkit.ttlv.tree import Item

pytestmark = pytest.mark.standard

FOREIGN = Item(Tag.SERVER_CORRELATION_VALUE, ItemType.TEXT_STRING, "x")

STRUCTURES = {
    cls: versions
    for cls in CLASSES
    if (
        versions := [
            version
            for version in versions_of(cls)
            if sum(field.required for field in plan(cls, version)) > 1
        ]
    )
}
"""By class, the versions in which several fields are required."""

with_a_structure = pytest.mark.parametrize("cls", STRUCTURES, ids=lambda cls: cls.__name__)


@with_a_structure
def test_any_order_means_the_same(cls: type[Structure]) -> None:
    tag = tag_of(cls)
    for version in STRUCTURES[cls]:
        whole = structure_of(tag, cls, version)
        assert isinstance(whole.value, tuple)
        expected = codec.from_tree(cls, whole, version, tag=tag)
        for items in itertools.islice(itertools.permutations(whole.value), 6):
            data = binary.encode(Item(tag, ItemType.STRUCTURE, items))
            assert codec.decode(cls, data, version, tag=tag, tolerant=True) == expected
            if items != whole.value:
                with pytest.raises(RemoteProtocolError):
                    codec.decode(cls, data, version, tag=tag)


@with_a_structure
def test_items_without_a_place_become_extensions_wherever_they_are(cls: type[Structure]) -> None:
    tag = tag_of(cls)
    for version in STRUCTURES[cls]:
        if any(field.form_of(FOREIGN.tag) for field in plan(cls, version)):
            continue
        whole = structure_of(tag, cls, version)
        assert isinstance(whole.value, tuple)
        expected = codec.from_tree(cls, whole, version, tag=tag)
        for index in range(len(whole.value) + 1):
            items = (*whole.value[:index], FOREIGN, *whole.value[index:])
            data = binary.encode(Item(tag, ItemType.STRUCTURE, items))
            value = codec.decode(cls, data, version, tag=tag, tolerant=True)
            assert value.replace(extensions=()) == expected
            assert value.extensions == (FOREIGN,)


def structure(tag: int, *items: Item) -> Item:
    return Item(tag, ItemType.STRUCTURE, items)


@pytest.mark.parametrize("version", VERSIONS[:5], ids=str)
def test_parts_of_attributes_may_have_any_order(version: Version) -> None:
    name = Item(Tag.ATTRIBUTE_NAME, ItemType.TEXT_STRING, "Contact Information")
    index = Item(Tag.ATTRIBUTE_INDEX, ItemType.INTEGER, 0)
    value = Item(Tag.ATTRIBUTE_VALUE, ItemType.TEXT_STRING, "me")
    payload_class = codec_class("GetAttributesResponse")
    identifier = Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "1")
    for parts in itertools.permutations((name, index, value)):
        payload = structure(Tag.RESPONSE_PAYLOAD, structure(Tag.ATTRIBUTE, *parts), identifier)
        response = codec.decode(
            payload_class,
            binary.encode(payload),
            version,
            tag=Tag.RESPONSE_PAYLOAD,
            tolerant=True,
        )
        assert response.attributes.get(Tag.CONTACT_INFORMATION) == "me"


def codec_class(name: str) -> type[Structure]:
    return next(cls for cls in CLASSES if cls.__name__ == name)


def answer(
    version: Version, operation: int, *payload: Item, header: tuple[Item, ...] = ()
) -> bytes:
    numbers = structure(
        Tag.PROTOCOL_VERSION,
        Item(Tag.PROTOCOL_VERSION_MAJOR, ItemType.INTEGER, version.major),
        Item(Tag.PROTOCOL_VERSION_MINOR, ItemType.INTEGER, version.minor),
    )
    time = Item(Tag.TIME_STAMP, ItemType.DATE_TIME, 1_700_000_000)
    count = Item(Tag.BATCH_COUNT, ItemType.INTEGER, 1)
    return binary.encode(
        structure(
            Tag.RESPONSE_MESSAGE,
            structure(Tag.RESPONSE_HEADER, numbers, time, *header, count),
            structure(
                Tag.BATCH_ITEM,
                Item(Tag.RESULT_STATUS, ItemType.ENUMERATION, 0),
                structure(Tag.RESPONSE_PAYLOAD, *payload),
                Item(Tag.OPERATION, ItemType.ENUMERATION, operation),
            ),
        )
    )


def test_whole_responses_of_real_servers() -> None:
    information = structure(Tag.SERVER_INFORMATION, Item(0x540001, ItemType.TEXT_STRING, "x"))
    vendor = Item(Tag.VENDOR_IDENTIFICATION, ItemType.TEXT_STRING, "Vendor, Inc.")
    supported = Item(Tag.OPERATION, ItemType.ENUMERATION, 1)
    data = answer(VERSIONS[2], 0x18, information, vendor, supported)
    query = payload_of(data)
    assert query.vendor_identification == "Vendor, Inc."
    assert query.server_information == information
    assert [int(each) for each in query.operations] == [1]
    identifier = Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "abc")
    object_type = Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, 2)
    assert payload_of(answer(VERSIONS[4], 3, object_type, identifier)).unique_identifier == "abc"
    located = payload_of(answer(VERSIONS[0], 8, identifier, header=(FOREIGN,)))
    assert located.unique_identifiers == ("abc",)


def payload_of(data: bytes) -> Any:
    message, _ = decode_response(data, tolerant=True)
    return message.batch_items[0].response_payload


def test_the_protocol_version_need_not_be_first() -> None:
    data = answer(VERSIONS[3], 8, Item(Tag.UNIQUE_IDENTIFIER, ItemType.TEXT_STRING, "abc"))
    message = binary.decode(data)
    assert isinstance(message.value, tuple)
    header, *items = message.value
    assert isinstance(header.value, tuple)
    turned = structure(header.tag, *reversed(header.value))
    for parts in ((turned, *items), (*items, turned)):
        reordered = binary.encode(structure(message.tag, *parts))
        response, version = decode_response(reordered, tolerant=True)
        assert version == VERSIONS[3]
        assert response == decode_response(data, tolerant=True)[0]
        with pytest.raises(RemoteProtocolError):
            decode_response(reordered)


@pytest.mark.parametrize("data", [b"", b"B\0{\1\0\0\0\0", b"B\0{\1\0\0\0\1"])
def test_a_tolerant_reader_refuses_what_has_no_version(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_response(data, tolerant=True)
