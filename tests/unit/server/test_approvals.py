"""Operations that need the approval of other persons, and counts of operations."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from approving import CREATE, RULE, Approving
from audited import AuditedLaboratory
from kmipkit_client import OperationFailed, calls, crypto_calls
from kmipkit_server.policy import counts
from kmipkit_server.policy.approvals import MAX_WAITING
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.errors import PolicyError
from policies import apply_policy

from kmipkit.model.payloads.lifecycle import DestroyRequest
from kmipkit.spec.enums import (
    BatchErrorContinuationOption,
    CryptographicAlgorithm,
    HashingAlgorithm,
    Operation,
    ResultReason,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask as Mask
from kmipkit.spec.versions import V1_4, V2_0, V2_1


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Approving]:
    laboratory = Approving(tmp_path / "data")
    yield laboratory
    laboratory.close()


def get(key: str) -> Any:
    return calls.get(key, None, None, None)


def test_an_approved_request_is_carried_out_once(laboratory: Approving) -> None:
    key = laboratory.key()
    number = laboratory.asked(calls.destroy(key))
    assert laboratory.asked(calls.destroy(key)) == number, "the same request has the same number"
    laboratory.approve(number, "officer-1")
    laboratory.do(calls.destroy(key))
    record = laboratory.record(key)
    assert record is not None
    assert record.stored_state is State.DESTROYED
    assert laboratory.waiting() == []


def test_a_read_needs_its_approval_each_time(laboratory: Approving) -> None:
    key = laboratory.key()
    for _ in range(2):
        laboratory.approve(laboratory.asked(get(key)), "officer-2")
        assert laboratory.do(get(key))
    assert "needs the approval of another person" in laboratory.refused(get(key))


def test_several_must_approve(laboratory: Approving) -> None:
    apply_policy(laboratory, RULE % 2)
    key = laboratory.key()
    number = laboratory.asked(calls.destroy(key))
    laboratory.approve(number, "officer-1")
    assert "with 1 of 2 approvals" in laboratory.refused(calls.destroy(key))
    laboratory.approve(number, "officer-3")
    laboratory.do(calls.destroy(key))


def test_the_refusal_says_what_to_do(laboratory: Approving) -> None:
    """In every version, with a reason that it has."""
    key = laboratory.key()
    for number, version in enumerate((V1_4, V2_0, V2_1), 1):
        [result] = laboratory.message("me", calls.destroy(key), version=version)
        assert isinstance(result, OperationFailed)
        assert result.reason is ResultReason.PERMISSION_DENIED
        for words in (
            "two persons",
            f"'kmipkit admin policy approvals approve {number}'",
            "2026-11-24 12:00",
        ):
            assert words in str(result)


def test_requests_survive_a_restart(laboratory: Approving, tmp_path: Path) -> None:
    key = laboratory.key()
    laboratory.approve(laboratory.asked(calls.destroy(key)), "officer-1")
    again = laboratory.restarted(tmp_path / "data")
    again.do(calls.destroy(key))


def test_a_request_expires(laboratory: Approving) -> None:
    """Also one that is approved: the reason for it may be gone."""
    key = laboratory.key()
    number = laboratory.asked(calls.destroy(key))
    laboratory.approve(number, "officer-1")
    laboratory.pass_time(hours=24)
    assert laboratory.waiting() == []
    assert laboratory.asked(calls.destroy(key)) == number + 1


def test_a_rejected_request_stays_so_until_it_expires(laboratory: Approving) -> None:
    key = laboratory.key()
    number = laboratory.asked(calls.destroy(key))
    laboratory.reject(number, "officer-2")
    assert "was rejected by 'officer-2'" in laboratory.refused(calls.destroy(key))
    laboratory.pass_time(hours=25)
    assert laboratory.asked(calls.destroy(key)) == number + 1


def test_what_would_fail_anyway_asks_nobody(laboratory: Approving) -> None:
    """An Active key cannot be destroyed; nobody is bothered with such a request."""
    key = laboratory.key()
    laboratory.do(calls.activate(key))
    assert "WRONG_KEY_LIFECYCLE_STATE" in laboratory.refused(calls.destroy(key))
    assert laboratory.waiting() == []


def test_an_account_has_a_number_of_waiting_requests(laboratory: Approving) -> None:
    keys = [laboratory.do(CREATE) for _ in range(MAX_WAITING + 1)]
    for key in keys[:-1]:
        laboratory.asked(calls.destroy(key))
    assert f"the account has {MAX_WAITING} requests" in laboratory.refused(calls.destroy(keys[-1]))
    other = laboratory.do(CREATE, "other")
    assert laboratory.asked(calls.destroy(other), "other")
    laboratory.pass_time(hours=24)
    assert laboratory.asked(calls.destroy(keys[-1]))


@pytest.mark.parametrize("option", list(BatchErrorContinuationOption), ids=lambda each: each.name)
def test_a_batch_with_a_refusal(
    laboratory: Approving, option: BatchErrorContinuationOption
) -> None:
    """The refusal is one as any other, and the request is there whatever becomes of the batch."""
    key = laboratory.key()
    results = laboratory.message("me", CREATE, calls.destroy(key), CREATE, on_error=option)
    failed = [isinstance(each, OperationFailed) for each in results]
    expected = {
        BatchErrorContinuationOption.CONTINUE: [False, True, False],
        BatchErrorContinuationOption.STOP: [False, True],
        BatchErrorContinuationOption.UNDO: [True, True],
    }
    assert failed[: len(expected[option])] == expected[option]
    [request] = laboratory.waiting()
    assert request.objects == (key,)
    laboratory.approve(request.number, "officer-1")
    undo = BatchErrorContinuationOption.UNDO
    failure = calls.activate("none")
    assert all(
        isinstance(each, OperationFailed)
        for each in laboratory.message("me", calls.destroy(key), failure, on_error=undo)
    )
    laboratory.do(calls.destroy(key))  # the approval was not used up by what was undone


def test_the_id_placeholder_stands_for_the_object(laboratory: Approving) -> None:
    """What was approved for one object is not done to another one that the batch finds."""
    for name in ("first", "second"):
        create = calls.create(CryptographicAlgorithm.AES, 256, Mask.ENCRYPT, name, None)
        laboratory.do(create)
    destroy = calls.raw(Operation.DESTROY, DestroyRequest())

    def through(name: str) -> list[Any]:
        locate = calls.locate(name, None, None, None, None, None)
        return laboratory.message("me", locate, destroy)

    assert "request 1" in str(through("first")[1])
    laboratory.approve(1, "officer-1")
    assert "request 2" in str(through("second")[1])
    assert not isinstance(through("first")[1], OperationFailed)


def test_new_objects_may_need_an_approval_too(laboratory: Approving) -> None:
    """Also those that a worker computes, of which each run of the message could be another one."""
    apply_policy(laboratory, (RULE % 1).replace('"get"', '"create objects"'))
    usage = (Mask.SIGN, Mask.VERIFY)
    pair = crypto_calls.create_key_pair(
        CryptographicAlgorithm.RSA, 2048, None, usage, (None, None), None
    )
    laboratory.approve(laboratory.asked(pair), "officer-1")
    assert laboratory.do(pair).private
    assert laboratory.asked(pair) == 2


# --- the audit -----------------------------------------------------------------------------------


def test_who_has_approved_is_in_the_record_of_the_operation(tmp_path: Path) -> None:
    audited = AuditedLaboratory(tmp_path / "data")
    helper = Approving.__new__(Approving)
    helper.__dict__ |= audited.__dict__
    helper.certificates, helper.revoked = {}, set()
    apply_policy(audited, RULE % 1)

    async def ask(_: object) -> str:
        [key] = await audited.request(CREATE)
        await audited.request(calls.destroy(key))
        return str(key)

    key = audited.run(ask)
    helper.approve(1, "officer-1")

    async def repeat(_: object) -> None:
        await audited.request(calls.destroy(key))

    audited.run(repeat)
    refused, done = [each for each in audited.operations() if each.operation == "Destroy"]
    assert "this is request 1, with 0 of 1 approvals" in refused.message
    assert done.notes == ("request 1 was approved by officer-1",)
    assert done.change
    audited.close()


# --- counts --------------------------------------------------------------------------------------

COUNT = """
[rules."a few"]
require = %s
count = { times = 2, per = "day" }
"""


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Approving]:
    laboratory = Approving(tmp_path / "data", number=0)
    apply_policy(laboratory, COUNT % '["get", "create objects", "hash"]')
    yield laboratory
    laboratory.close()


def test_operations_are_counted_for_each_account(counting: Approving) -> None:
    """A read becomes a write for it; the next day begins anew."""
    for who in ("me", "other"):
        keys = [counting.do(CREATE, who) for _ in range(2)]
        text = counting.refused(CREATE, who)
        assert "USAGE_LIMIT_EXCEEDED" in text
        assert "permits Create 2 times a day" in text
    counting.pass_time(hours=11, minutes=59)
    assert "2 times a day" in counting.refused(get(keys[0]), "other")
    counting.pass_time(minutes=1)
    for _ in range(2):
        assert counting.do(get(keys[0]), "other")
    assert counting.refused(get(keys[0]), "other")


def test_each_version_has_a_reason(counting: Approving) -> None:
    key = counting.key()
    counting.do(get(key))
    for version, reason in ((V1_4, "PERMISSION_DENIED"), (V2_1, "USAGE_LIMIT_EXCEEDED")):
        assert reason in counting.refused(get(key), version=version)


def test_what_does_not_take_place_does_not_count(counting: Approving) -> None:
    for _ in range(5):
        counting.refused(get("none"))
        undo = BatchErrorContinuationOption.UNDO
        counting.message("me", CREATE, calls.activate("none"), on_error=undo)
    assert counting.key()
    assert counting.key()
    assert counting.refused(CREATE)


def test_an_operation_counts_once_whatever_it_loads(counting: Approving) -> None:
    """Create Key Pair makes two objects, and is one operation."""
    apply_policy(counting, COUNT % '"create objects"')
    pair = crypto_calls.create_key_pair(
        CryptographicAlgorithm.ED25519,
        None,
        None,
        (0, 0),
        (None, None),
        None,  # type: ignore[arg-type]
    )
    assert counting.do(pair)
    assert counting.do(pair)
    assert counting.refused(pair)


def test_a_count_survives_a_restart(counting: Approving, tmp_path: Path) -> None:
    for _ in range(2):
        counting.do(crypto_calls.digest(b"", HashingAlgorithm.SHA_256))
    again = counting.restarted(tmp_path / "data")
    assert again.refused(crypto_calls.digest(b"", HashingAlgorithm.SHA_256))


def test_what_is_removed_leaves_no_count_behind(counting: Approving) -> None:
    """A tenant of the same name, or one whose name begins so, has counters of its own."""
    names = ("me", "tenant:acme:me", "tenant:acme2:me")
    for name in names:
        counting.do(CREATE, name)
        counting.do(CREATE, name)
    counting.change(lambda transaction: counts.forget_tenant(transaction, "acme"))
    assert [bool(counting.attempt(CREATE, name)) for name in names] == [True, False, True]
    counting.change(lambda transaction: counts.forget_account(transaction, "me"))
    assert [bool(counting.attempt(CREATE, name)) for name in names] == [False, False, True]


@pytest.mark.parametrize(
    ("per", "passes"),
    [("minute", timedelta(minutes=1)), ("hour", timedelta(hours=1)), ("day", timedelta(days=1)),
     ("week", timedelta(days=7)), ("month", timedelta(days=31))],
)  # fmt: skip
def test_periods(counting: Approving, per: str, passes: timedelta) -> None:
    apply_policy(counting, COUNT.replace("day", per) % '"create objects"')
    counting.key()
    counting.key()
    assert counting.refused(CREATE)
    counting.now += passes
    assert counting.key()


# --- documents -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("approvals = 2", "must be a table such as"),
        ("approvals = { number = 2 }", "must be a table such as"),
        ('approvals = { number = 0, by = "x" }', "whole number from 1 to 10"),
        ('approvals = { number = true, by = "x" }', "whole number from 1 to 10"),
        ('approvals = { by = "x", hours = 1000 }', "whole number from 1 to 720"),
        ('approvals = { by = "x", hour = 1 }', "unknown key 'hour'"),
        ("approvals = { by = {} }", "a table of conditions"),
        ('approvals = { by = { account = "x" } }', "did you mean accounts?"),
        ('approvals = { by = { networks = "10.0.0.0/8" } }', "approvers are named by"),
        ('approvals = { by = { groups = "none" } }', "none"),
        ("count = 3", "must be a table such as"),
        ('count = { times = 0, per = "day" }', "whole number from 1"),
        ('count = { times = 1, per = "fortnight" }', "one of minute, hour"),
    ],
)
def test_faults_in_a_document(text: str, fault: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_policy(f'[rules.r]\nrequire = "get"\n{text}')
    [found] = caught.value.faults
    assert fault in found
