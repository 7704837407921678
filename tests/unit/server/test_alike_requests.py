"""Requests that differ in the Name only: what is kept of them, and what goes the ordinary way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls, messages, symmetric_key
from kmipkit_client.values import ENCRYPT_AND_DECRYPT
from kmipkit_server.engine import alike, created_items, response
from kmipkit_server.engine.alike import AlikeRequests
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.credentials import Credential, UsernameAndPassword
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import ResponseBatchItem
from kmipkit.model.payloads.create import CreateResponse
from kmipkit.model.payloads.lifecycle import ActivateResponse
from kmipkit.spec.enums import (
    CredentialType,
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    ResultStatus,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V2_1, VERSIONS
from kmipkit.ttlv.tree import Item

SECRET = b"sixteen bytes..."
PASSWORD = Credential(
    credential_type=CredentialType.USERNAME_AND_PASSWORD,
    credential_value=UsernameAndPassword(username="me", password="hunter2"),
)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def create(name: str, bits: int = 256, version: Any = V1_2) -> bytes:
    call = calls.create(CryptographicAlgorithm.AES, bits, ENCRYPT_AND_DECRYPT, name, None)
    return encode(messages.request(version, [call]), version)


def kept(laboratory: Laboratory) -> AlikeRequests:
    return laboratory.dispatcher._alike


def status(laboratory: Laboratory, data: bytes) -> ResultStatus:
    result, _ = decode_response(laboratory.exchange(data))
    return result.batch_items[0].result_status


def test_a_request_is_kept_when_it_comes_with_another_name(laboratory: Laboratory) -> None:
    for number, expected in enumerate((0, 1, 1, 1)):
        laboratory.exchange(create(f"name {number}"))
        assert len(kept(laboratory)) == expected
    laboratory.exchange(create("longer name"))
    laboratory.exchange(create("longer naam"))
    assert len(kept(laboratory)) == 2


def test_a_name_that_is_not_utf_8_is_refused_as_ever(laboratory: Laboratory) -> None:
    data = [create(f"name {number}").replace(b"name 3", b"name \xff") for number in range(5)]
    seen = [status(laboratory, each) for each in data]
    assert [each is ResultStatus.SUCCESS for each in seen] == [True, True, True, False, True]


def test_requests_with_credentials_are_not_kept(laboratory: Laboratory) -> None:
    for number in range(3):
        call = calls.create(
            CryptographicAlgorithm.AES, 256, ENCRYPT_AND_DECRYPT, f"n{number}", None
        )
        request = messages.request(V1_2, [call], PASSWORD)
        laboratory.exchange(encode(request, V1_2))
    assert len(kept(laboratory)) == 0


def test_no_request_with_a_key_is_kept(laboratory: Laboratory) -> None:
    for number in range(3):
        call = calls.register(symmetric_key(SECRET), ENCRYPT_AND_DECRYPT, f"name {number}", None)
        assert laboratory.ask(call, V1_2)
    assert len(kept(laboratory)) == 0


def test_several_items_go_the_ordinary_way(laboratory: Laboratory) -> None:
    for number in range(3):
        call = calls.create(
            CryptographicAlgorithm.AES, 256, ENCRYPT_AND_DECRYPT, f"n{number}", None
        )
        laboratory.batch(call, calls.query(), version=V1_2)
    assert len(kept(laboratory)) == 0


def test_a_version_that_is_not_offered_is_refused_each_time(tmp_path: Path) -> None:
    laboratory = Laboratory(tmp_path / "data", versions=(V1_2, V2_1))
    for number in range(4):
        assert (
            status(laboratory, create(f"name {number}", version=V1_0)) is not ResultStatus.SUCCESS
        )
    assert len(kept(laboratory)) == 0
    laboratory.close()


def test_as_many_are_kept_as_there_is_room_for(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alike, "MAX_KEPT", 2)
    for bits in (128, 192, 256):
        for number in range(3):
            assert status(laboratory, create(f"{bits} {number}", bits)) is ResultStatus.SUCCESS
    assert 0 < len(kept(laboratory)) <= 2


def created(**changes: Any) -> ResponseBatchItem:
    values: dict[str, Any] = {
        "operation": Operation.CREATE,
        "result_status": ResultStatus.SUCCESS,
        "response_payload": CreateResponse(
            object_type=ObjectType.SYMMETRIC_KEY,
            unique_identifier="3f8e1c1e-5d0c-4a52-9df0-0123456789ab",
        ),
    }
    return ResponseBatchItem(**(values | changes))


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_the_item_of_a_new_object_is_that_of_the_codec(version: Any) -> None:
    for kind in (ObjectType.SYMMETRIC_KEY, ObjectType.SECRET_DATA):
        payload = CreateResponse(object_type=kind, unique_identifier="é" * 36)
        for identifier in ("0" * 36, "f" * 36):
            item = created(response_payload=payload.replace(unique_identifier=identifier))
            encoded = created_items.encoded_create(version, item)
            assert encoded == response.encoded_item(version, item)
        assert created_items.encoded_create(version, created(response_payload=payload)) is None


EXTENSION = Item(Tag.MESSAGE_EXTENSION, ItemType.STRUCTURE, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"unique_batch_item_id": b"1"},
        {"result_status": ResultStatus.OPERATION_UNDONE},
        {"result_message": "undone"},
        {"response_payload": None},
        {"response_payload": created().response_payload.replace(unique_identifier="short")},  # type: ignore[union-attr]
        {"response_payload": created().response_payload.replace(extensions=(EXTENSION,))},  # type: ignore[union-attr]
        {"response_payload": ActivateResponse(unique_identifier="1")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_anything_else_is_left_to_the_codec(changes: dict[str, Any]) -> None:
    """A result that was undone must not become a success, for example."""
    assert created_items.encoded_create(V2_1, created(**changes)) is None
