"""Answers that the official cases decide, where the text of the standard leaves a choice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls
from laboratory import Laboratory

from kmipkit.keys import splitting
from kmipkit.model.attribute import Attribute, Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.keyblock import KeyBlock
from kmipkit.model.objects import SymmetricKey
from kmipkit.model.payloads.attributes import AddAttributeRequest, SetAttributeRequest
from kmipkit.model.payloads.create import (
    CreateRequest,
    CreateSplitKeyRequest,
    JoinSplitKeyRequest,
)
from kmipkit.model.payloads.lifecycle import ObtainLeaseRequest
from kmipkit.model.payloads.locate import LocateRequest
from kmipkit.model.payloads.query import QueryRequest
from kmipkit.model.payloads.register import RegisterRequest
from kmipkit.spec.enums import (
    ClientRegistrationMethod,
    CryptographicAlgorithm,
    KeyFormatType,
    NameType,
    ObjectGroupMember,
    ObjectType,
    Operation,
    QueryFunction,
    ResultReason,
    RevocationReasonCode,
    SplitKeyMethod,
    SplitKeyPolynomial,
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


# --- keys without their value, and parts of keys -------------------------------------------------


@pytest.mark.parametrize("version", [V1_2, V1_4, V2_0, V2_1], ids=str)
def test_get_of_a_key_without_value_gives_the_rest(
    laboratory: Laboratory, version: Version
) -> None:
    """The official cases TC-MDO-1 and -3."""
    block = KeyBlock(
        key_format_type=KeyFormatType.RAW,
        cryptographic_algorithm=CryptographicAlgorithm.AES,
        cryptographic_length=128,
    )
    request = RegisterRequest(
        object_type=ObjectType.SYMMETRIC_KEY,
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH)),
        object=SymmetricKey(key_block=block),
    )
    call = calls.raw(Operation.REGISTER, request)
    key = laboratory.ask(call, version=version).unique_identifier
    got = laboratory.ask(calls.get(key, None, None, None), version=version)
    assert got == SymmetricKey(key_block=block)
    other = calls.get(key, KeyFormatType.TRANSPARENT_SYMMETRIC_KEY, None, None)
    reason = refusal(laboratory, other, version)
    assert reason in (ResultReason.KEY_VALUE_NOT_PRESENT, ResultReason.ILLEGAL_OPERATION)


@pytest.mark.parametrize(
    ("method", "polynomial"),
    [
        (SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_8, SplitKeyPolynomial.POLYNOMIAL_285),
        (SplitKeyMethod.POLYNOMIAL_SHARING_GF_2_16, SplitKeyPolynomial.POLYNOMIAL_283),
    ],
)
def test_the_parts_of_a_key_say_which_polynomial_they_have(
    laboratory: Laboratory, method: SplitKeyMethod, polynomial: SplitKeyPolynomial
) -> None:
    key = laboratory.ask(aes(128))
    request = CreateSplitKeyRequest(
        object_type=ObjectType.SPLIT_KEY,
        unique_identifier=key,
        split_key_parts=3,
        split_key_threshold=2,
        split_key_method=method,
        attributes=Attributes(),
    )
    created = laboratory.ask(calls.raw(Operation.CREATE_SPLIT_KEY, request))
    parts = created.unique_identifiers
    attributes = laboratory.ask(calls.get_attributes(parts[0], ()), version=V3_0)
    assert attributes.get(Tag.SPLIT_KEY_POLYNOMIAL) is polynomial
    shares = {}
    for part in parts[1:]:
        value = laboratory.ask(calls.get(part, None, None, None))
        shares[value.key_part_identifier] = value.key_block.key_value.key_material
    scheme = splitting.Scheme(method, 3, 2, 16, polynomial=polynomial)
    secret = laboratory.ask(calls.get(key, None, None, None)).key_block.key_value.key_material
    assert splitting.join(shares, scheme) == secret
    join = JoinSplitKeyRequest(
        object_type=ObjectType.SYMMETRIC_KEY,
        unique_identifiers=parts[:2],
        attributes=Attributes.of((Tag.CRYPTOGRAPHIC_USAGE_MASK, BOTH)),
    )
    joined = laboratory.ask(calls.raw(Operation.JOIN_SPLIT_KEY, join)).unique_identifier
    value = laboratory.ask(calls.get(joined, None, None, None))
    assert value.key_block.key_value.key_material == secret


def test_query_lists_the_client_registration_methods(laboratory: Laboratory) -> None:
    """KMIP 1.4 §4.25: it "SHALL list all the client registration methods that the server supports"."""
    function = QueryFunction.QUERY_CLIENT_REGISTRATION_METHODS
    request = QueryRequest(query_functions=(function,))
    answer = laboratory.ask(calls.raw(Operation.QUERY, request), version=V1_4)
    methods = set(ClientRegistrationMethod) - {ClientRegistrationMethod.UNSPECIFIED}
    assert set(answer.client_registration_methods) == methods
