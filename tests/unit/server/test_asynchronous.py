"""Asynchronous requests: what was put off is done, once, for the one who asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import OperationFailed, calls, messages
from kmipkit_server.engine import asynchronous
from kmipkit_server.engine.asynchronous import LIFETIME
from laboratory import START, Laboratory

from kmipkit.model.messages import RequestMessage, ResponseBatchItem
from kmipkit.model.payloads.asynchronous import (
    CancelRequest,
    PollRequest,
    ProcessRequest,
    QueryAsynchronousRequestsRequest,
)
from kmipkit.model.payloads.limits import Operations
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CancellationResult,
    CryptographicAlgorithm,
    Operation,
    ProcessingStage,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.versions import V1_2, V2_1, Version

BOTH = CryptographicUsageMask.ENCRYPT | CryptographicUsageMask.DECRYPT
CREATE = calls.create(CryptographicAlgorithm.AES, 128, BOTH, None, None)
ALL = calls.locate(None, None, None, None, None, None)
PENDING, SUCCESS = ResultStatus.OPERATION_PENDING, ResultStatus.SUCCESS


@pytest.fixture
def laboratory(tmp_path: Path) -> Iterator[Laboratory]:
    laboratory = Laboratory(tmp_path / "data", delay=1)
    yield laboratory
    laboratory.close()


def put_off(
    laboratory: Laboratory,
    *asked: Any,
    version: Version = V2_1,
    indicator: Any = None,
    identity: str = "me",
) -> list[ResponseBatchItem]:
    if indicator is None:
        indicator = True if version < V2_1 else AsynchronousIndicator.MANDATORY
    made = messages.request(version, asked)
    request = RequestMessage(
        request_header=made.request_header.replace(asynchronous_indicator=indicator),
        batch_items=made.batch_items,
    )
    return list(laboratory.send(request, version, identity).batch_items)


def poll(laboratory: Laboratory, value: bytes, version: Version = V2_1) -> ResponseBatchItem:
    request = messages.request(
        version, [calls.raw(Operation.POLL, PollRequest(asynchronous_correlation_value=value))]
    )
    return laboratory.send(request, version).batch_items[0]


def value_of(item: ResponseBatchItem) -> bytes:
    assert item.result_status is PENDING
    assert item.asynchronous_correlation_value
    return item.asynchronous_correlation_value


def count(laboratory: Laboratory) -> int:
    return len(laboratory.ask(ALL).ids)


@pytest.mark.parametrize("version", [V1_2, V2_1], ids=str)
def test_a_poll_gives_the_answer_of_the_operation_once(
    laboratory: Laboratory, version: Version
) -> None:
    [item] = put_off(laboratory, CREATE, version=version)
    value = value_of(item)
    assert item.operation is Operation.CREATE
    assert count(laboratory) == 0
    assert poll(laboratory, value, version).result_status is PENDING
    laboratory.pass_time(seconds=1)
    answer = poll(laboratory, value, version)
    assert (answer.operation, answer.result_status) == (Operation.CREATE, SUCCESS)
    assert count(laboratory) == 1
    again = poll(laboratory, value, version)
    assert again.result_status is ResultStatus.OPERATION_FAILED
    assert count(laboratory) == 1


def test_a_failure_is_told_by_the_poll(laboratory: Laboratory) -> None:
    [item] = put_off(laboratory, calls.destroy("nothing"))
    laboratory.pass_time(seconds=1)
    answer = poll(laboratory, value_of(item))
    assert answer.result_reason is ResultReason.OBJECT_NOT_FOUND
    assert answer.operation is Operation.DESTROY


def test_the_items_of_a_batch_have_values_of_their_own(laboratory: Laboratory) -> None:
    items = put_off(laboratory, CREATE, CREATE, calls.destroy("nothing"), CREATE)
    laboratory.pass_time(seconds=1)
    answers = [poll(laboratory, value_of(item)) for item in items]
    assert [item.result_status for item in answers[:2]] == [SUCCESS] * 2
    assert answers[2].result_reason is ResultReason.OBJECT_NOT_FOUND
    assert answers[3].result_status is ResultStatus.OPERATION_FAILED, "it stands behind a failure"


def cancel(laboratory: Laboratory, value: bytes, identity: str = "me") -> CancellationResult:
    request = CancelRequest(asynchronous_correlation_value=value)
    answer = laboratory.ask(calls.raw(Operation.CANCEL, request), identity=identity)
    assert isinstance(answer.cancellation_result, CancellationResult)
    return answer.cancellation_result


def test_what_is_cancelled_is_never_done(laboratory: Laboratory) -> None:
    first, second = map(value_of, put_off(laboratory, CREATE, CREATE))
    assert cancel(laboratory, first, "somebody else") is CancellationResult.UNAVAILABLE
    assert cancel(laboratory, first) is CancellationResult.CANCELED
    laboratory.pass_time(seconds=5)
    assert poll(laboratory, second).result_status is SUCCESS
    assert count(laboratory) == 1


def test_what_is_done_cannot_be_cancelled(laboratory: Laboratory) -> None:
    [item] = put_off(laboratory, CREATE)
    laboratory.pass_time(seconds=1)
    outstanding(laboratory)  # any of these operations carries out what is due
    assert cancel(laboratory, value_of(item)) is CancellationResult.COMPLETED
    assert count(laboratory) == 1


def outstanding(laboratory: Laboratory, **asked: Any) -> Any:
    request = QueryAsynchronousRequestsRequest(**asked)
    call = calls.raw(Operation.QUERY_ASYNCHRONOUS_REQUESTS, request)
    return laboratory.ask(call).asynchronous_requests


def test_process_does_it_now_and_once(laboratory: Laboratory) -> None:
    [item] = put_off(laboratory, CREATE)
    value = value_of(item)
    [told] = outstanding(laboratory)
    assert (told.operation, told.processing_stage) == (Operation.CREATE, ProcessingStage.SUBMITTED)
    assert told.submission_date == START
    process = calls.raw(Operation.PROCESS, ProcessRequest(asynchronous_correlation_value=value))
    laboratory.ask(process)
    [told] = outstanding(laboratory, operations=Operations(operations=(Operation.CREATE,)))
    assert told.processing_stage is ProcessingStage.COMPLETED
    with pytest.raises(OperationFailed) as error:
        laboratory.ask(process)
    assert error.value.reason is ResultReason.DUPLICATE_PROCESS_REQUEST
    assert poll(laboratory, value).result_status is SUCCESS
    assert outstanding(laboratory) == ()


def test_a_client_that_cannot_wait_is_answered_at_once(laboratory: Laboratory) -> None:
    for indicator in (AsynchronousIndicator.PROHIBITED, AsynchronousIndicator.OPTIONAL):
        [item] = put_off(laboratory, CREATE, indicator=indicator)
        assert item.result_status is SUCCESS


def test_results_that_nobody_fetches_are_forgotten(laboratory: Laboratory) -> None:
    [item] = put_off(laboratory, CREATE)
    laboratory.pass_time(seconds=1)
    outstanding(laboratory)
    laboratory.now += LIFETIME
    assert outstanding(laboratory) == ()
    answer = poll(laboratory, value_of(item))
    assert answer.result_reason is ResultReason.INVALID_ASYNCHRONOUS_CORRELATION_VALUE
    assert count(laboratory) == 1


def test_no_client_can_make_the_server_keep_more_than_it_bears(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "MAX_DEFERRALS", 2)
    put_off(laboratory, CREATE, CREATE)
    [item] = put_off(laboratory, CREATE)
    assert item.result_reason is ResultReason.SERVER_LIMIT_EXCEEDED


def test_an_account_cannot_take_the_share_of_others(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "MAX_DEFERRALS_PER_ACCOUNT", 2)
    put_off(laboratory, CREATE, CREATE)
    [mine] = put_off(laboratory, CREATE)
    assert mine.result_reason is ResultReason.SERVER_LIMIT_EXCEEDED
    [theirs] = put_off(laboratory, CREATE, identity="another")
    assert theirs.result_reason is None
