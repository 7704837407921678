"""Batches, versions, identities and dates, as a client of any version sees them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, material, messages, symmetric_key
from kmipkit_client.calls import Call
from laboratory import START, Laboratory, reasons

from kmipkit.model.attribute import Attributes, custom
from kmipkit.model.attributes import CryptographicParameters, UsageLimits
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.payloads.attributes import GetAttributesRequest
from kmipkit.model.payloads.get import GetRequest
from kmipkit.model.payloads.lifecycle import ActivateRequest
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    BlockCipherMode,
    CryptographicAlgorithm,
    ObjectType,
    Operation,
    ResultReason,
    ResultStatus,
    RevocationReasonCode,
    State,
    UniqueIdentifier,
    UsageLimitsUnit,
)
from kmipkit.spec.masks import CryptographicUsageMask, StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_2, V1_4, V2_0, V2_1, VERSIONS, Version

AES = CryptographicAlgorithm.AES
BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CONTINUE, STOP, UNDO = (
    BatchErrorContinuationOption.CONTINUE,
    BatchErrorContinuationOption.STOP,
    BatchErrorContinuationOption.UNDO,
)


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    made = Laboratory(tmp_path)
    yield made
    made.close()


def create(name: str | None = None, **attributes: Any) -> Call[str]:
    return calls.create(AES, 256, BOTH, name, attributes or None)


def state_of(laboratory: Laboratory, key: str) -> State:
    state = laboratory.ask(calls.get_attributes(key, ("State",))).get(Tag.STATE)
    assert isinstance(state, State)
    return state


BAD = calls.get("no such object", None, None, None)


def test_stop_is_the_default_and_leaves_what_follows_undone(laboratory: Laboratory) -> None:
    results = laboratory.batch(create("first"), BAD, create("never"))
    assert reasons(results)[1] == "OBJECT_NOT_FOUND"
    assert str(results[2]).endswith("not attempted")
    found = [laboratory.ask(calls.locate(n, *[None] * 5)).ids for n in ("first", "never")]
    assert [len(ids) for ids in found] == [1, 0]


def test_continue_goes_on_and_a_failed_item_leaves_nothing(laboratory: Laboratory) -> None:
    results = laboratory.batch(create("one"), create("one"), create("two"), on_error=CONTINUE)
    assert reasons(results) == ["", "NON_UNIQUE_NAME_ATTRIBUTE", ""]
    assert len(laboratory.ask(calls.locate(None, *[None] * 5)).ids) == 2


def test_undo_takes_all_of_the_batch_back(laboratory: Laboratory) -> None:
    kept = laboratory.ask(create("before"))
    request = messages.request(V2_1, [create("a"), calls.destroy(kept), BAD], on_error=UNDO)
    answer = laboratory.send(request)
    assert [item.result_status for item in answer.batch_items] == [
        ResultStatus.OPERATION_UNDONE,
        ResultStatus.OPERATION_UNDONE,
        ResultStatus.OPERATION_FAILED,
    ]
    assert laboratory.ask(calls.locate(None, *[None] * 5)).ids == (kept,)
    assert material(laboratory.ask(calls.get(kept, None, None, None)))


def test_the_id_placeholder_carries_an_identifier_through_a_batch(laboratory: Laboratory) -> None:
    got = calls.raw(Operation.GET, GetRequest())
    activated = calls.raw(Operation.ACTIVATE, ActivateRequest())
    for version in VERSIONS:
        key, _, value = laboratory.batch(
            create(f"placeholder {version}"), activated, got, version=version
        )
        assert value.unique_identifier == key
        assert state_of(laboratory, key) is State.ACTIVE


def test_in_2_x_the_placeholder_can_be_named_and_earlier_items_counted(
    laboratory: Laboratory,
) -> None:
    by_name = calls.raw(
        Operation.GET, GetRequest(unique_identifier=UniqueIdentifier.ID_PLACEHOLDER)
    )
    first = calls.raw(Operation.GET_ATTRIBUTES, GetAttributesRequest(unique_identifier=0))
    a, b, named, counted = laboratory.batch(create("a"), create("b"), by_name, first)
    assert (named.unique_identifier, counted.unique_identifier) == (b, a)


def test_without_a_placeholder_an_omitted_identifier_is_an_error(laboratory: Laboratory) -> None:
    results = laboratory.batch(calls.raw(Operation.GET, GetRequest()))
    assert reasons(results) == ["OBJECT_NOT_FOUND"]


def test_locate_of_several_objects_leaves_no_placeholder(laboratory: Laboratory) -> None:
    laboratory.ask(create("a"))
    one = laboratory.batch(calls.locate("a", *[None] * 5), calls.raw(Operation.GET, GetRequest()))
    assert not isinstance(one[1], OperationFailed)
    laboratory.ask(create("b"))
    two = laboratory.batch(calls.locate(None, *[None] * 5), calls.raw(Operation.GET, GetRequest()))
    assert reasons(two)[1] == "OBJECT_NOT_FOUND"


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_no_answer_holds_what_its_version_does_not_know(
    laboratory: Laboratory, version: Version
) -> None:
    """Strict clients fail on an attribute, a value or a field of a later version."""
    key = laboratory.ask(create("everything", **{"x-Owner": "me"}))
    found: Attributes = laboratory.ask(calls.get_attributes(key, ()), version)
    listed = laboratory.ask(calls.get_attribute_list(key), version)
    assert custom("x-Owner") in found
    assert {attribute.key for attribute in found} == set(listed)
    assert (Tag.ORIGINAL_CREATION_DATE in found) == (version >= V1_2)
    assert (Tag.OPERATION_POLICY_NAME in found) is False, "made by a client of 2.1"
    assert (Tag.SHORT_UNIQUE_IDENTIFIER in found) == (version >= V2_0)
    assert (Tag.SENSITIVE in found) == (version >= V1_4)
    # Nothing is left for a strict encoder of this version to object to.
    request = messages.request(version, [calls.get_attributes(key, ())])
    answer = laboratory.exchange(encode(request, version))
    assert len(answer) == len(laboratory.exchange(encode(request, version)))
    found = laboratory.ask(calls.query(()), version)
    assert all(operation.known_in(version) for operation in found.operations)  # type: ignore[attr-defined]  # the test knows the class


@pytest.mark.parametrize(
    ("version", "reason"),
    [(V1_0, ResultReason.INVALID_FIELD), (V2_1, ResultReason.NON_UNIQUE_NAME_ATTRIBUTE)],
)
def test_reasons_are_those_of_the_clients_version(
    laboratory: Laboratory, version: Version, reason: ResultReason
) -> None:
    laboratory.ask(create("taken"))
    with pytest.raises(OperationFailed) as refusal:
        laboratory.ask(create("taken"), version)
    assert refusal.value.reason is reason


def test_names_may_repeat_where_the_operator_says_so(tmp_path: Path) -> None:
    """PyKMIP's client gives the same name to everything that it registers."""
    laboratory = Laboratory(tmp_path, unique_names=False)
    assert laboratory.ask(create("same")) != laboratory.ask(create("same"))
    laboratory.close()


def test_names_of_others_do_not_matter_and_objects_of_others_do_not_show(
    laboratory: Laboratory,
) -> None:
    mine = laboratory.ask(create("shared name"))
    theirs = laboratory.ask(create("shared name"), identity="them")
    assert laboratory.ask(calls.locate("shared name", *[None] * 5)).ids == (mine,)
    for forbidden in (
        calls.get(theirs, None, None, None),
        calls.get_attributes(theirs, ()),
        calls.add_attribute(theirs, "x-A", "1"),
        calls.activate(theirs),
        calls.destroy(theirs),
        calls.check(theirs, None, None, None),
    ):
        assert reasons(laboratory.batch(forbidden)) == ["PERMISSION_DENIED"], forbidden.operation
    assert state_of(laboratory, mine) is State.PRE_ACTIVE


def test_states_follow_the_dates_by_the_clock_alone(laboratory: Laboratory) -> None:
    key = laboratory.ask(
        create(
            "timed",
            **{
                "Activation Date": START + timedelta(hours=1),
                "Deactivation Date": START + timedelta(hours=2),
            },
        )
    )
    by_state = {}
    for hours, expected in ((0, State.PRE_ACTIVE), (1, State.ACTIVE), (2, State.DEACTIVATED)):
        laboratory.now = START + timedelta(hours=hours)
        assert state_of(laboratory, key) is expected
        found = laboratory.ask(calls.locate(None, None, {"State": expected}, None, None, None))
        by_state[expected] = found.ids
    assert set(by_state.values()) == {(key,)}
    laboratory.ask(calls.destroy(key))
    assert state_of(laboratory, key) is State.DESTROYED


def test_destroyed_objects_keep_attributes_and_lose_material(laboratory: Laboratory) -> None:
    key = laboratory.ask(create("gone", **{"x-Owner": "me"}))
    laboratory.ask(calls.destroy(key))
    attributes = laboratory.ask(calls.get_attributes(key, ("x-Owner", "Destroy Date")))
    assert attributes.get(custom("x-Owner")) == "me"
    assert attributes.get(Tag.DESTROY_DATE) == START
    assert reasons(laboratory.batch(calls.get(key, None, None, None))) == ["OBJECT_DESTROYED"]
    assert laboratory.ask(calls.locate("gone", *[None] * 5)).ids == ()
    mask = StorageStatusMask.DESTROYED_STORAGE
    assert laboratory.ask(calls.locate("gone", None, None, None, None, mask)).ids == (key,)
    assert laboratory.ask(create("gone")), "the name is free again"
    assert laboratory.record(key).material is None  # type: ignore[union-attr]  # it exists, or the test fails


def test_compromise_is_remembered_through_destruction(laboratory: Laboratory) -> None:
    key = laboratory.ask(create())
    code = RevocationReasonCode.KEY_COMPROMISE
    laboratory.ask(calls.revoke(key, code, "laptop stolen", START - timedelta(days=3)))
    assert state_of(laboratory, key) is State.COMPROMISED
    laboratory.ask(calls.destroy(key))
    assert state_of(laboratory, key) is State.DESTROYED_COMPROMISED
    found = laboratory.ask(
        calls.get_attributes(key, ("Revocation Reason", "Compromise Occurrence Date"))
    )
    assert found.get(Tag.REVOCATION_REASON).revocation_message == "laptop stolen"
    assert found.get(Tag.COMPROMISE_OCCURRENCE_DATE) == START - timedelta(days=3)


def test_keys_are_used_as_state_mask_and_limits_allow(laboratory: Laboratory) -> None:
    parameters = CryptographicParameters(block_cipher_mode=BlockCipherMode.GCM, tag_length=16)
    limits = UsageLimits(
        usage_limits_total=100, usage_limits_count=100, usage_limits_unit=UsageLimitsUnit.BYTE
    )
    key = laboratory.ask(create("limited", **{"Usage Limits": limits}))

    def encrypt(size: int) -> Call[Any]:
        return calls.encrypt(key, bytes(size), parameters, None, None)

    assert reasons(laboratory.batch(encrypt(10))) == ["WRONG_KEY_LIFECYCLE_STATE"]
    laboratory.ask(calls.activate(key))
    sealed = laboratory.ask(encrypt(60))
    assert reasons(laboratory.batch(encrypt(60))) == ["PERMISSION_DENIED"]
    assert laboratory.ask(encrypt(40))
    laboratory.ask(calls.revoke(key, RevocationReasonCode.SUPERSEDED, None, None))
    assert reasons(laboratory.batch(encrypt(0))) == ["WRONG_KEY_LIFECYCLE_STATE"]
    decrypt = calls.decrypt(key, sealed.data, parameters, sealed.iv, None, sealed.tag)
    assert laboratory.ask(decrypt) == bytes(60), "what was encrypted can still be read"
    changed = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    altered = calls.decrypt(key, changed, parameters, sealed.iv, None, sealed.tag)
    assert reasons(laboratory.batch(altered)) == ["CRYPTOGRAPHIC_FAILURE"]


def test_sensitive_keys_leave_wrapped_only_and_unextractable_ones_never(
    laboratory: Laboratory,
) -> None:
    sensitive = laboratory.ask(create("s", Sensitive=True))
    assert reasons(laboratory.batch(calls.get(sensitive, None, None, None))) == ["SENSITIVE"]
    fixed = laboratory.ask(create("f", Extractable=False))
    assert reasons(laboratory.batch(calls.get(fixed, None, None, None))) == ["NOT_EXTRACTABLE"]


def test_the_maximum_response_size_is_kept(laboratory: Laboratory) -> None:
    request = messages.request(V1_4, [create()])
    header = request.request_header.replace(maximum_response_size=64)
    [item] = laboratory.send(request.replace(request_header=header), V1_4).batch_items
    assert item.result_reason is ResultReason.RESPONSE_TOO_LARGE


def test_one_unreadable_item_does_not_spoil_the_others(laboratory: Laboratory) -> None:
    """A batch with one operation that this version lacks: the rest is served."""
    request = messages.request(V1_1, [create("a"), create("b")], on_error=CONTINUE)
    data = encode(request, V1_1)
    operation = bytes.fromhex("42005c0500000004")
    spoiled = data.replace(operation + b"\0\0\0\1", operation + b"\0\0\0\x7f", 1)
    assert spoiled != data
    answer, _ = decode_response(laboratory.exchange(spoiled))
    assert [item.result_status for item in answer.batch_items] == [
        ResultStatus.OPERATION_FAILED,
        ResultStatus.SUCCESS,
    ]


def test_a_registered_key_comes_back_as_it_was_in_every_version(laboratory: Laboratory) -> None:
    data = bytes(range(32))
    key = laboratory.ask(calls.register(symmetric_key(data), BOTH, "r", {"x-Größe": "仮想"}))
    for version in VERSIONS:
        assert material(laboratory.ask(calls.get(key, None, None, None), version)) == data
        found = laboratory.ask(calls.get_attributes(key, ("x-Größe", "Object Type")), version)
        assert found.get(custom("x-Größe")) == "仮想"
        assert found.get(Tag.OBJECT_TYPE) is ObjectType.SYMMETRIC_KEY


def test_too_many_criteria_are_refused_in_words(laboratory: Laboratory) -> None:
    wanted = {"Object Group": [f"group {number}" for number in range(600)]}
    with pytest.raises(OperationFailed, match="takes 500 at most"):
        laboratory.ask(calls.locate(None, None, wanted, None, None, None))


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_responses_have_unique_correlation_values_since_2_1(
    laboratory: Laboratory, version: Version
) -> None:
    request = messages.request(version, [calls.query(())])
    headers = [laboratory.send(request, version).response_header for _ in range(3)]
    values = {header.server_correlation_value for header in headers}
    assert len(values) == 3 if version >= V2_1 else values == {None}
