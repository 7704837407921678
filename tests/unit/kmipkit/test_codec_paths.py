"""Ordinary messages take the compiled path: a key server would otherwise be ten times slower, and
nothing else would show it, since the reference codec gives the same answers."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kmipkit.model import codec
from kmipkit.model.attribute import Attribute, Attributes, custom
from kmipkit.model.attribute_field_types import AttributeListType, AttributeType
from kmipkit.model.attributes import Link, Name
from kmipkit.model.field_types import ChoiceType
from kmipkit.model.headers import ProtocolVersion, RequestHeader, ResponseHeader
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.get import GetResponse
from kmipkit.model.structure import Structure
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    KeyFormatType,
    LinkType,
    NameType,
    ObjectType,
    Operation,
    ResultStatus,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import PUBLISHED, V2_0, Version


def create(version: Version) -> RequestMessage:
    index = 0 if version < V2_0 else None
    attributes = Attributes(
        (
            Attribute(Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
            Attribute(Tag.CRYPTOGRAPHIC_LENGTH, 256),
            Attribute(Tag.CRYPTOGRAPHIC_USAGE_MASK, CryptographicUsageMask.ENCRYPT),
            Attribute(
                Tag.NAME,
                Name(name_value="größe 仮想", name_type=NameType.UNINTERPRETED_TEXT_STRING),
                index,
            ),
            Attribute(Tag.ACTIVATION_DATE, datetime(2026, 11, 23, tzinfo=UTC)),
            Attribute(Tag.OBJECT_GROUP, "tape library 7"),
            Attribute(custom("x-Owner"), "storage"),
        )
    )
    payload = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
    return RequestMessage(
        request_header=RequestHeader(
            protocol_version=ProtocolVersion.of(version), batch_count=1, maximum_response_size=4096
        ),
        batch_items=(
            RequestBatchItem(
                operation=Operation.CREATE, unique_batch_item_id=b"1", request_payload=payload
            ),
        ),
    )


def got(version: Version) -> ResponseMessage:
    block = KeyBlock(
        key_format_type=KeyFormatType.RAW,
        key_value=KeyValue(key_material=bytes(range(32))),
        cryptographic_algorithm=CryptographicAlgorithm.AES,
        cryptographic_length=256,
    )
    payload = GetResponse(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifier="49a1ca88-6bea-4fb2-b450-7e58802c3038",
        object=SymmetricKey(key_block=block),
    )
    return ResponseMessage(
        response_header=ResponseHeader(
            protocol_version=ProtocolVersion.of(version),
            time_stamp=datetime(2026, 11, 23, 12, tzinfo=UTC),
            batch_count=1,
        ),
        batch_items=(
            ResponseBatchItem(
                operation=Operation.GET,
                result_status=ResultStatus.SUCCESS,
                response_payload=payload,
            ),
        ),
    )


@pytest.mark.parametrize("version", PUBLISHED, ids=str)
@pytest.mark.parametrize("make", [create, got], ids=["Create request", "Get response"])
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
def test_ordinary_messages_never_take_the_slow_path(
    monkeypatch: pytest.MonkeyPatch, version: Version, make: Any, strict: bool
) -> None:
    message: Structure = make(version)
    expected = codec.binary.encode(codec.to_tree(message, version))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the reference codec was asked")

    monkeypatch.setattr(codec, "from_tree", refuse)
    monkeypatch.setattr(codec, "to_tree", refuse)
    monkeypatch.setattr(codec.binary, "decode", refuse)
    data = codec.encode(message, version, strict=strict)
    assert data == expected
    assert codec.decode(type(message), data, version) == message


@pytest.mark.parametrize("version", PUBLISHED, ids=str)
def test_an_identifier_as_attribute_never_takes_the_slow_path(
    monkeypatch: pytest.MonkeyPatch, version: Version
) -> None:
    """Its value is one of several types, which are compiled like any other."""
    link = Link(link_type=LinkType.PUBLIC_KEY_LINK, linked_object_identifier="2")
    attributes = Attributes.of((Tag.UNIQUE_IDENTIFIER, "1"), (Tag.LINK, link))
    message = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
    expected = codec.binary.encode(codec.to_tree(message, version, tag=Tag.REQUEST_PAYLOAD))

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the reference codec was asked")

    for field_type in (ChoiceType, AttributeType, AttributeListType):
        monkeypatch.setattr(field_type, "read", fail)
        monkeypatch.setattr(field_type, "write", fail)
    data = codec.encode(message, version, tag=Tag.REQUEST_PAYLOAD)
    assert data == expected
    assert codec.decode(CreateRequest, data, version, tag=Tag.REQUEST_PAYLOAD) == message
