"""KMIP 3.0 beside the versions before it: the same objects under other names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, crypto_calls
from laboratory import Laboratory

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Link, Name
from kmipkit.model.codec import to_tree
from kmipkit.model.payloads.attributes import (
    AddAttributeRequest,
    DeleteAttributeRequest,
    GetAttributeListRequest,
)
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import DeactivateRequest, ObliterateRequest
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    LinkType,
    NameType,
    ObjectClass,
    Operation,
    ResultReason,
    State,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, V3_0

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
SIGN, VERIFY = CryptographicUsageMask.SIGN, CryptographicUsageMask.VERIFY


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def key(laboratory: Laboratory, name: str, version: Any = V3_0) -> str:
    call = calls.create(CryptographicAlgorithm.AES, 128, BOTH, name, None)
    return str(laboratory.ask(call, version=version))


def test_an_identifier_and_a_name_are_items_of_their_own_types() -> None:
    request = GetRequest(unique_identifier="abc")
    [item] = to_tree(request, V3_0, tag=Tag.REQUEST_PAYLOAD).value
    assert (item.type, item.value) == (ItemType.IDENTIFIER, "abc")
    by_name = GetRequest(unique_identifier=NameReference("größe"))
    [item] = to_tree(by_name, V3_0, tag=Tag.REQUEST_PAYLOAD).value
    assert (item.type, item.value) == (ItemType.NAME_REFERENCE, "größe")


def test_a_name_is_found_in_every_version(laboratory: Laboratory) -> None:
    identifiers = {version: key(laboratory, f"nom {version}", version) for version in (V1_4, V3_0)}
    for request_version in (V1_4, V2_1, V3_0):
        for version, identifier in identifiers.items():
            call = calls.locate(f"nom {version}", None, None, None, None, None)
            assert laboratory.ask(call, version=request_version).ids == (identifier,)


def test_an_object_can_be_asked_for_by_its_name(laboratory: Laboratory) -> None:
    identifier = key(laboratory, "Schlüssel")
    call = calls.raw(Operation.GET, GetRequest(unique_identifier=NameReference("Schlüssel")))
    assert laboratory.ask(call, version=V3_0).unique_identifier == identifier
    call = calls.raw(Operation.GET, GetRequest(unique_identifier=NameReference("nobody")))
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(call, version=V3_0)
    assert error.value.reason is ResultReason.OBJECT_NOT_FOUND


def test_links_have_a_tag_per_type_and_are_the_same_links(laboratory: Laboratory) -> None:
    pair = laboratory.ask(
        crypto_calls.create_key_pair(
            CryptographicAlgorithm.ECDSA, 256, None, (SIGN, VERIFY), (None, None), None
        ),
        version=V3_0,
    )
    link = Link(link_type=LinkType.PUBLIC_KEY_LINK, linked_object_identifier=pair.public)
    for version in (V1_4, V2_1, V3_0):
        response = laboratory.ask(calls.get_attributes(pair.private, ()), version=version)
        assert link in response.all(Tag.LINK)
    response = laboratory.ask(
        calls.get_attributes(pair.private, (Tag.PUBLIC_KEY_LINK,)), version=V3_0
    )
    assert response.all(Tag.LINK) == [link]
    request = GetAttributeListRequest(unique_identifier=pair.private)
    call = calls.raw(Operation.GET_ATTRIBUTE_LIST, request)
    listed = laboratory.ask(call, version=V3_0).attribute_references
    assert Tag.PUBLIC_KEY_LINK in listed
    assert Tag.LINK not in listed
    assert Tag.LINK in laboratory.ask(call, version=V2_1).attribute_references


def test_a_link_can_be_added_located_and_deleted(laboratory: Laboratory) -> None:
    first, second = key(laboratory, "first"), key(laboratory, "second")
    link = Link(link_type=LinkType.NEXT_LINK, linked_object_identifier=second)
    add = AddAttributeRequest(unique_identifier=first, attribute=Attribute(Tag.LINK, link))
    laboratory.ask(calls.raw(Operation.ADD_ATTRIBUTE, add), version=V3_0)
    response = laboratory.ask(calls.locate(None, None, {Tag.LINK: link}, None, None, None))
    assert response.ids == (first,)
    delete = DeleteAttributeRequest(unique_identifier=first, attribute_reference=Tag.NEXT_LINK)
    laboratory.ask(calls.raw(Operation.DELETE_ATTRIBUTE, delete), version=V3_0)
    assert not laboratory.ask(calls.get_attributes(first, (Tag.LINK,))).all(Tag.LINK)


def test_a_group_link_may_name_a_group_that_is_not_there_yet(laboratory: Laboratory) -> None:
    attributes = Attributes.of(
        (Tag.GROUP_LINK, NameReference("Gruppe")),
        (Tag.NAME, Name(name_value="n", name_type=NameType.UNINTERPRETED_TEXT_STRING)),
    )
    call = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, attributes)
    identifier = laboratory.ask(call, version=V3_0)
    response = laboratory.ask(calls.get_attributes(identifier, ()), version=V3_0)
    [group] = response.all(Tag.GROUP_LINK)
    assert isinstance(group, NameReference)
    assert group == "Gruppe"
    assert response.get(Tag.OBJECT_CLASS) is ObjectClass.USER
    earlier = laboratory.ask(calls.get_attributes(identifier, ()), version=V2_1)
    assert Tag.GROUP_LINK not in earlier


def test_deactivate_and_obliterate(laboratory: Laboratory) -> None:
    identifier = key(laboratory, "n")
    laboratory.ask(calls.activate(identifier), version=V3_0)
    request = DeactivateRequest(unique_identifier=identifier)
    laboratory.ask(calls.raw(Operation.DEACTIVATE, request), version=V3_0)
    response = laboratory.ask(calls.get_attributes(identifier, (Tag.STATE,)))
    assert response.get(Tag.STATE) is State.DEACTIVATED
    call = calls.raw(Operation.OBLITERATE, ObliterateRequest(unique_identifier=identifier))
    laboratory.ask(call, version=V3_0)
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(calls.get_attributes(identifier, ()))
    assert error.value.reason is ResultReason.OBJECT_NOT_FOUND, "not even its attributes stay"


def test_an_active_key_is_not_obliterated(laboratory: Laboratory) -> None:
    identifier = key(laboratory, "n")
    laboratory.ask(calls.activate(identifier))
    call = calls.raw(Operation.OBLITERATE, ObliterateRequest(unique_identifier=identifier))
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(call, version=V3_0)
    assert error.value.reason is ResultReason.WRONG_KEY_LIFECYCLE_STATE
