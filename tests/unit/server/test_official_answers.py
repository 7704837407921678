"""Answers that the official cases decide, where the text of the standard leaves a choice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls
from laboratory import Laboratory

from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.payloads.attributes import AddAttributeRequest, SetAttributeRequest
from kmipkit.model.payloads.create import CreateRequest
from kmipkit.model.payloads.lifecycle import ObtainLeaseRequest
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    NameType,
    ObjectGroupMember,
    ObjectType,
    Operation,
    ResultReason,
    RevocationReasonCode,
)
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_2, V1_4, V2_0, V2_1, V3_0, Version
from kmipkit.ttlv.tree import Item

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
COMPROMISE = RevocationReasonCode.KEY_COMPROMISE


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data")
    yield laboratory
    laboratory.close()


def aes(bits: int = 256, name: str | None = None, group: str | None = None) -> Any:
    attributes = {} if group is None else {"Object Group": group}
    return calls.create(CryptographicAlgorithm.AES, bits, BOTH, name, attributes)


def refusal(laboratory: Laboratory, call: Any, version: Version = V2_1) -> ResultReason:
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(call, version=version)
    return error.value.reason


# --- reasons by operation and version ------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (V1_0, ResultReason.ITEM_NOT_FOUND),
        (V1_4, ResultReason.ITEM_NOT_FOUND),
        (V2_0, ResultReason.OBJECT_DESTROYED),
        (V3_0, ResultReason.OBJECT_DESTROYED),
    ],
    ids=str,
)
def test_get_of_a_destroyed_object(
    laboratory: Laboratory, version: Version, reason: ResultReason
) -> None:
    key = laboratory.ask(aes())
    laboratory.ask(calls.destroy(key))
    assert refusal(laboratory, calls.get(key, None, None, None), version) is reason


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (V1_4, ResultReason.PERMISSION_DENIED),
        (V2_0, ResultReason.PERMISSION_DENIED),
        (V2_1, ResultReason.WRONG_KEY_LIFECYCLE_STATE),
    ],
    ids=str,
)
def test_destroy_of_an_active_object(
    laboratory: Laboratory, version: Version, reason: ResultReason
) -> None:
    key = laboratory.ask(aes())
    laboratory.ask(calls.activate(key))
    assert refusal(laboratory, calls.destroy(key), version) is reason


# --- leases and groups ---------------------------------------------------------------------------


def test_a_compromised_object_has_no_lease(laboratory: Laboratory) -> None:
    key = laboratory.ask(aes())
    lease = calls.raw(Operation.OBTAIN_LEASE, ObtainLeaseRequest(unique_identifier=key))
    assert laboratory.ask(lease).lease_time
    laboratory.ask(calls.revoke(key, COMPROMISE, None, None))
    assert refusal(laboratory, lease, V1_2) is ResultReason.PERMISSION_DENIED


@pytest.mark.parametrize(("version", "first"), [(V1_2, 0), (V2_1, 1)], ids=str)
def test_fresh_members_come_in_the_order_of_the_version(
    laboratory: Laboratory, version: Version, first: int
) -> None:
    keys = [laboratory.ask(aes(group="pool")) for _ in range(2)]
    group = Item(Tag.OBJECT_GROUP, ItemType.TEXT_STRING, "pool")
    request = LocateRequest(
        maximum_items=1,
        object_group_member=ObjectGroupMember.GROUP_MEMBER_FRESH,
        attributes=Attributes((Attribute(Tag.OBJECT_GROUP, group),)),
    )
    located = laboratory.ask(calls.raw(Operation.LOCATE, request), version=version)
    assert located.unique_identifiers == (keys[first],)


# --- names and Quantum Safe ----------------------------------------------------------------------


def test_an_object_does_not_have_the_same_name_twice(laboratory: Laboratory) -> None:
    key = laboratory.ask(aes(name="N"))
    name = Name(name_value="N", name_type=NameType.UNINTERPRETED_TEXT_STRING)
    request = AddAttributeRequest(unique_identifier=key, attribute=Attribute(Tag.NAME, name))
    call = calls.raw(Operation.ADD_ATTRIBUTE, request)
    assert refusal(laboratory, call) is ResultReason.NON_UNIQUE_NAME_ATTRIBUTE


def create_quantum_safe(bits: int) -> Any:
    attributes = Attributes.of(
        (Tag.CRYPTOGRAPHIC_ALGORITHM, CryptographicAlgorithm.AES),
        (Tag.CRYPTOGRAPHIC_LENGTH, bits),
        (Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH),
        (Tag.QUANTUM_SAFE, True),
    )
    request = CreateRequest(object_type=ObjectType.SYMMETRIC_KEY, attributes=attributes)
    return calls.raw(Operation.CREATE, request)


def test_a_key_that_is_to_be_quantum_safe_is(laboratory: Laboratory) -> None:
    assert laboratory.ask(create_quantum_safe(256)).unique_identifier
    assert refusal(laboratory, create_quantum_safe(128)) is ResultReason.GENERAL_FAILURE


@pytest.mark.parametrize(("bits", "is_safe"), [(256, True), (192, False)])
def test_quantum_safe_is_only_set_on_a_key_that_is(
    laboratory: Laboratory, bits: int, is_safe: bool
) -> None:
    key = laboratory.ask(aes(bits))
    request = SetAttributeRequest(
        unique_identifier=key, attribute=Attribute(Tag.QUANTUM_SAFE, True)
    )
    call = calls.raw(Operation.SET_ATTRIBUTE, request)
    if is_safe:
        laboratory.ask(call)
    else:
        assert refusal(laboratory, call) is ResultReason.GENERAL_FAILURE
