"""A response that the client cannot take: the request behind it must not have taken effect.

A client that sets a Maximum Response Size (KMIP 1.4 §6.3, KMIP 2.1 §9.12) and reads "failed" believes
that nothing has happened. If something has, it loses keys, or pays for keys that it does not know.
"""

from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls, messages
from laboratory import Laboratory

from kmipkit.model.codec import encode
from kmipkit.model.payloads.asynchronous import PollRequest, QueryAsynchronousRequestsRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    BatchErrorContinuationOption,
    CryptographicAlgorithm,
    Operation,
    ResultReason,
    ResultStatus,
    State,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_4, V2_1, Version

CREATE = calls.create(CryptographicAlgorithm.AES, 128, CryptographicUsageMask.ENCRYPT, None, None)
LOCATE = calls.locate(None, None, None, None, None, None)
BOTH_VERSIONS = pytest.mark.parametrize("version", [V1_4, V2_1], ids=str)


def send(
    laboratory: Laboratory, *batch: Any, maximum: int = 64, version: Version = V2_1, **header: Any
) -> Any:
    """The first item of the response to a request with a Maximum Response Size."""
    request = messages.request(version, batch)
    limited = request.request_header.replace(maximum_response_size=maximum, **header)
    return laboratory.send(request.replace(request_header=limited), version).batch_items[0]


def poll(value: bytes) -> Any:
    return calls.raw(Operation.POLL, PollRequest(asynchronous_correlation_value=value))


def require_refusal(item: Any) -> None:
    assert item.result_status is ResultStatus.OPERATION_FAILED
    assert item.result_reason is ResultReason.RESPONSE_TOO_LARGE


@BOTH_VERSIONS
def test_destroy_does_not_destroy(laboratory: Laboratory, version: Version) -> None:
    """The user loses a key that the client reports as not destroyed."""
    key = laboratory.ask(CREATE)
    require_refusal(send(laboratory, calls.destroy(key), version=version))
    record = laboratory.record(key)
    assert record is not None
    assert record.stored_state is State.PRE_ACTIVE
    assert record.material


@BOTH_VERSIONS
def test_create_leaves_no_orphan(laboratory: Laboratory, version: Version) -> None:
    """The user has a key without knowing its identifier, and another one with each retry."""
    require_refusal(send(laboratory, CREATE, version=version))
    assert laboratory.ask(LOCATE).ids == ()


@pytest.mark.parametrize("option", list(BatchErrorContinuationOption))
def test_no_item_of_a_batch_takes_effect(
    laboratory: Laboratory, option: BatchErrorContinuationOption
) -> None:
    """The user cannot know which items of the batch have taken effect."""
    key = laboratory.ask(CREATE)
    batch = (CREATE, calls.destroy(key), CREATE)
    require_refusal(send(laboratory, *batch, batch_error_continuation_option=option))
    assert laboratory.ask(LOCATE).ids == (key,)


def test_get_leaves_the_key_fresh(laboratory: Laboratory) -> None:
    """Fresh says that nobody has received the key, which stays true (KMIP 1.4 §3.34)."""
    key = laboratory.ask(CREATE)
    require_refusal(send(laboratory, calls.get(key, None, None, None)))
    record = laboratory.record(key)
    assert record is not None
    assert record.attributes.get(Tag.FRESH) is True


def test_a_poll_keeps_its_result(laboratory: Laboratory) -> None:
    """The user never learns the identifier of the key that the server has created."""
    indicator = AsynchronousIndicator.MANDATORY
    pending = send(laboratory, CREATE, maximum=4096, asynchronous_indicator=indicator)
    value = pending.asynchronous_correlation_value
    laboratory.pass_time(seconds=1)
    require_refusal(send(laboratory, poll(value)))
    result = send(laboratory, poll(value), maximum=4096)
    assert result.operation is Operation.CREATE
    assert result.result_status is ResultStatus.SUCCESS


def test_an_asynchronous_request_is_not_accepted(laboratory: Laboratory) -> None:
    """The client does not learn the Asynchronous Correlation Value, and cannot cancel the request."""
    indicator = AsynchronousIndicator.MANDATORY
    require_refusal(send(laboratory, CREATE, asynchronous_indicator=indicator))
    laboratory.pass_time(seconds=1)
    query = calls.raw(Operation.QUERY_ASYNCHRONOUS_REQUESTS, QueryAsynchronousRequestsRequest())
    assert laboratory.ask(query).asynchronous_requests == ()
    assert laboratory.ask(LOCATE).ids == ()


def test_the_maximum_of_an_asynchronous_request_does_not_apply_to_its_result(
    tmp_path: Path,
) -> None:
    """The user cannot fetch a large result with a Poll that permits its size."""
    laboratory = Laboratory(tmp_path / "data", delay=1)
    key = laboratory.ask(CREATE)
    indicator = AsynchronousIndicator.MANDATORY
    get = calls.get_attributes(key, ())
    pending = send(laboratory, get, maximum=256, asynchronous_indicator=indicator)
    laboratory.pass_time(seconds=1)
    result = send(laboratory, poll(pending.asynchronous_correlation_value), maximum=1 << 20)
    laboratory.close()
    assert result.result_status is ResultStatus.SUCCESS


def test_a_response_of_the_permitted_size_is_sent(laboratory: Laboratory) -> None:
    """A limit that is off by one refuses requests that the client can take."""
    response = laboratory.send(messages.request(V2_1, [CREATE]))
    assert response.batch_items[0].result_status is ResultStatus.SUCCESS
    size = len(encode(response, V2_1))
    assert send(laboratory, CREATE, maximum=size).result_status is ResultStatus.SUCCESS
    require_refusal(send(laboratory, CREATE, maximum=size - 1))
