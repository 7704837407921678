"""Clients that send what only a later version than theirs has, and the strict server."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory import Laboratory
from raw_messages import (
    attribute,
    enumeration,
    find,
    integer,
    request,
    send,
    structure,
    text,
    values,
)

from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_0, Version
from kmipkit.ttlv.tree import Item


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path)
    yield laboratory
    laboratory.close()


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "strict", strict=True)
    yield laboratory
    laboratory.close()


AES_256 = (
    attribute("Cryptographic Algorithm", enumeration(0, CryptographicAlgorithm.AES)),
    attribute("Cryptographic Length", integer(0, 256)),
    attribute("Cryptographic Usage Mask", integer(0, 12)),
)


def create(version: Version, *attributes: Item) -> bytes:
    payload = [
        enumeration(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY),
        structure(Tag.TEMPLATE_ATTRIBUTE, *AES_256, *attributes),
    ]
    return request(version, (Operation.CREATE, payload))


def locate(version: Version, offset: int) -> bytes:
    """As Percona Server and MySQL page through their keys."""
    payload = [
        integer(Tag.MAXIMUM_ITEMS, 2),
        integer(Tag.OFFSET_ITEMS, offset),
        attribute("Object Type", enumeration(0, ObjectType.SYMMETRIC_KEY)),
    ]
    return request(version, (Operation.LOCATE, payload))


def test_a_client_of_1_0_pages_with_offset_items(
    laboratory: Laboratory, caplog: pytest.LogCaptureFixture
) -> None:
    created = [values(send(laboratory, create(V1_0)), Tag.UNIQUE_IDENTIFIER)[0] for _ in range(5)]
    caplog.set_level(logging.WARNING, "kmipkit.server")
    pages = [send(laboratory, locate(V1_0, offset)) for offset in (0, 2, 4, 6)]
    located = [values(page, Tag.UNIQUE_IDENTIFIER) for page in pages]
    assert [len(page) for page in located] == [2, 2, 1, 0]
    assert sorted(str(each) for page in located for each in page) == sorted(map(str, created))
    assert not any(find(page, Tag.LOCATED_ITEMS) for page in pages), "came with 1.3"
    assert [record.getMessage() for record in caplog.records] == [
        "me: accepted a request with what only later versions have:"
        " KMIP 1.0 does not have OffsetItems here"
    ]
    send(laboratory, locate(V1_0, 0), "another")
    assert len(caplog.records) == 2, "once for each client"


def test_a_strict_server_refuses_what_only_later_versions_have(strict: Laboratory) -> None:
    answer = send(strict, locate(V1_0, 0))
    assert values(answer, Tag.RESULT_STATUS) == [ResultStatus.OPERATION_FAILED]
    assert values(answer, Tag.RESULT_REASON) == [ResultReason.INVALID_MESSAGE]
    assert values(answer, Tag.OPERATION) == [Operation.LOCATE]
    answer = send(strict, create(V1_0, attribute("Sensitive", Item(0, ItemType.BOOLEAN, True))))
    assert values(answer, Tag.RESULT_REASON) == [ResultReason.INVALID_FIELD]
    algorithm = attribute(
        "Cryptographic Algorithm", enumeration(0, CryptographicAlgorithm.CHACHA20)
    )
    payload = [
        enumeration(Tag.OBJECT_TYPE, ObjectType.SYMMETRIC_KEY),
        structure(Tag.TEMPLATE_ATTRIBUTE, algorithm, *AES_256[1:]),
    ]
    answer = send(strict, request(V1_0, (Operation.CREATE, payload)))
    assert values(answer, Tag.RESULT_REASON) == [ResultReason.INVALID_FIELD]
    assert values(send(strict, create(V1_0)), Tag.RESULT_STATUS) == [ResultStatus.SUCCESS]


def test_one_item_of_a_strict_batch_fails_alone(strict: Laboratory) -> None:
    good = [attribute("Object Type", enumeration(0, ObjectType.SYMMETRIC_KEY))]
    bad = [integer(Tag.OFFSET_ITEMS, 0), *good]
    option = enumeration(Tag.BATCH_ERROR_CONTINUATION_OPTION, 1)
    data = request(
        V1_0,
        (Operation.LOCATE, bad),
        (Operation.LOCATE, good),
        header=(option,),
    )
    assert values(send(strict, data), Tag.RESULT_STATUS) == [
        ResultStatus.OPERATION_FAILED,
        ResultStatus.SUCCESS,
    ]


def test_an_attribute_of_a_later_version_is_stored_and_not_returned_to_older_clients(
    laboratory: Laboratory,
) -> None:
    sensitive = attribute("Sensitive", Item(0, ItemType.BOOLEAN, True))
    identifier = find(send(laboratory, create(V1_0, sensitive)), Tag.UNIQUE_IDENTIFIER)[0]
    names = [text(Tag.ATTRIBUTE_NAME, name) for name in ("Sensitive", "Cryptographic Length")]
    for version, expected in ((V1_0, 1), (V1_4, 2)):
        data = request(version, (Operation.GET_ATTRIBUTES, [identifier, *names]))
        assert len(find(send(laboratory, data), Tag.ATTRIBUTE)) == expected
    listed = send(laboratory, request(V1_0, (Operation.GET_ATTRIBUTE_LIST, [identifier])))
    assert "Sensitive" not in values(listed, Tag.ATTRIBUTE_NAME)


def test_an_added_attribute_of_a_later_version_is_left_out_of_the_response(
    laboratory: Laboratory,
) -> None:
    identifier = find(send(laboratory, create(V1_0)), Tag.UNIQUE_IDENTIFIER)[0]
    comment = attribute("Comment", text(0, "for the archive"))
    answer = send(laboratory, request(V1_0, (Operation.ADD_ATTRIBUTE, [identifier, comment])))
    assert values(answer, Tag.RESULT_STATUS) == [ResultStatus.SUCCESS]
    assert not find(answer, Tag.ATTRIBUTE)
    named = text(Tag.ATTRIBUTE_NAME, "Comment")
    data = request(V1_4, (Operation.GET_ATTRIBUTES, [identifier, named]))
    assert values(send(laboratory, data), Tag.ATTRIBUTE_VALUE) == ["for the archive"]


def test_criteria_and_structures_of_later_versions(laboratory: Laboratory) -> None:
    comment = attribute("Comment", text(0, "for the archive"))
    created = values(send(laboratory, create(V1_0, comment)), Tag.UNIQUE_IDENTIFIER)
    found = send(laboratory, request(V1_0, (Operation.LOCATE, [comment])))
    assert values(found, Tag.UNIQUE_IDENTIFIER) == created
    # A request of 1.4 with the Attributes of 2.0.
    attributes = structure(
        Tag.ATTRIBUTES, enumeration(Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES)
    )
    found = send(laboratory, request(V1_4, (Operation.LOCATE, [attributes])))
    assert values(found, Tag.UNIQUE_IDENTIFIER) == created


def test_a_field_of_the_header_is_accepted(laboratory: Laboratory) -> None:
    correlation = text(Tag.CLIENT_CORRELATION_VALUE, "job 7")
    data = request(V1_2, (Operation.LOCATE, []), header=(correlation,))
    assert values(send(laboratory, data), Tag.RESULT_STATUS) == [ResultStatus.SUCCESS]


@pytest.mark.parametrize("version", [V1_0, V1_4, V2_0], ids=str)
def test_a_field_in_the_wrong_place_is_refused(laboratory: Laboratory, version: Version) -> None:
    payload = [
        integer(Tag.OFFSET_ITEMS, 0),
        integer(Tag.MAXIMUM_ITEMS, 2),
    ]
    answer = send(laboratory, request(version, (Operation.LOCATE, payload)))
    assert values(answer, Tag.RESULT_REASON) == [ResultReason.INVALID_MESSAGE]


def test_the_response_to_an_operation_of_a_later_version_repeats_it(
    laboratory: Laboratory, strict: Laboratory
) -> None:
    for operation in Operation:
        for version in (V1_0, V1_2, V2_0):
            if operation.since > version:
                for server in (laboratory, strict):
                    answer = send(server, request(version, (operation, [])))
                    assert values(answer, Tag.OPERATION) == [operation]
                    assert values(answer, Tag.RESULT_REASON) == [
                        ResultReason.OPERATION_NOT_SUPPORTED
                    ]
