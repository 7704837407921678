"""A hostile server, or one that has lost its order: the client takes no response but its own.

KMIP has no message numbers. A client that takes a response for that of another request encrypts with
the key of somebody else, or believes that a key is destroyed which is not. So a response that does not
fit is an error, and the connection is closed, because nothing after it can be trusted.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from kmipkit_client import AsyncClient, Client, OperationFailed, TimedOut, calls, crypto_calls
from scripted_server import Script, Scripted, request, scripted_servers

from kmipkit.errors import RemoteProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.crypto import (
    DecryptResponse,
    EncryptResponse,
    MACResponse,
    SignResponse,
)
from kmipkit.model.payloads.lifecycle import ActivateResponse, DestroyResponse
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus
from kmipkit.spec.versions import V1_3, V1_4, Version
from kmipkit.testing import shared_pki

KEY = "1"


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    with scripted_servers(shared_pki().server().cert.parent) as make:
        yield make


# --- clients -------------------------------------------------------------------------------------

Calls = Callable[[Any], Any]


def blocking(server: Scripted, batches: list[Any], timeout: float) -> list[Any]:
    """The results of batches, or the errors, each in turn on one client."""
    outcomes: list[Any] = []
    with Client(version=V1_4, timeout=timeout, **server.options()) as client:
        for batch in batches:
            if callable(batch):
                batch()
                continue
            try:
                outcomes.append(client.batch(*batch))
            except (RemoteProtocolError, TimedOut) as error:
                outcomes.append(error)
    return outcomes


def asynchronous(backend: str) -> Callable[[Scripted, list[Any], float], list[Any]]:
    def run(server: Scripted, batches: list[Any], timeout: float) -> list[Any]:
        async def work() -> list[Any]:
            outcomes: list[Any] = []
            async with AsyncClient(version=V1_4, timeout=timeout, **server.options()) as client:
                for batch in batches:
                    if callable(batch):
                        await anyio.to_thread.run_sync(batch)
                        continue
                    try:
                        outcomes.append(await client.batch(*batch))
                    except (RemoteProtocolError, TimedOut) as error:
                        outcomes.append(error)
            return outcomes

        return anyio.run(work, backend=backend)

    return run


RUNNERS = {
    "blocking": blocking,
    "trio": asynchronous("trio"),
    "asyncio": asynchronous("asyncio"),
}
every_client = pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)


# --- responses -----------------------------------------------------------------------------------


def item(**fields: Any) -> ResponseBatchItem:
    """The response to Destroy of the key, with some fields changed."""
    right: dict[str, Any] = {
        "operation": Operation.DESTROY,
        "result_status": ResultStatus.SUCCESS,
        "response_payload": DestroyResponse(unique_identifier=KEY),
    }
    return ResponseBatchItem(**{**right, **fields})


def response(*items: ResponseBatchItem, version: Version = V1_4, count: int | None = None) -> bytes:
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version),
        time_stamp=EPOCH,
        batch_count=len(items) if count is None else count,
    )
    return encode(ResponseMessage(response_header=header, batch_items=items), version)


RIGHT = response(item())
DESTROY = (calls.destroy(KEY),)


def sends(*data: bytes) -> Script:
    """Answers each request with some bytes, until the client closes."""

    def script(stream: ssl.SSLSocket) -> None:
        for each in data:
            if request(stream) is None:
                return
            stream.sendall(each)
        request(stream)

    return script


FOREIGN_OBJECT = item(response_payload=DestroyResponse(unique_identifier="2"))
ANOTHER_OPERATION = item(
    operation=Operation.ACTIVATE, response_payload=ActivateResponse(unique_identifier=KEY)
)
WRONG: dict[str, bytes] = {
    "another object": response(FOREIGN_OBJECT),
    "another operation": response(ANOTHER_OPERATION),
    "failure of another operation": response(
        ResponseBatchItem(
            operation=Operation.ACTIVATE,
            result_status=ResultStatus.OPERATION_FAILED,
            result_reason=ResultReason.GENERAL_FAILURE,
        )
    ),
    "success without operation": response(item(operation=None, response_payload=None)),
    "another version": response(item(), version=V1_3),
    "another batch count": response(item(), count=2),
    "more items": response(item(), item()),
    "an identifier of a batch item": response(item(unique_batch_item_id=b"\0\0\0\1")),
    "a second response": RIGHT + RIGHT,
    "a part of a second response": RIGHT + RIGHT[:20],
}


@every_client
@pytest.mark.parametrize("wrong", WRONG)
def test_a_response_to_another_request_is_an_error(
    scripted: Callable[..., Scripted], run: Any, wrong: str
) -> None:
    """The user believes that a key is destroyed which is not; the next request begins anew."""
    server = scripted(sends(WRONG[wrong], RIGHT), sends(RIGHT))
    first, second = run(server, [DESTROY, DESTROY], 10)
    assert isinstance(first, RemoteProtocolError), first
    assert second == [None]
    assert server.connections == 2


def batch_of(*identifiers: bytes | None) -> bytes:
    return response(*(item(unique_batch_item_id=each) for each in identifiers))


@every_client
@pytest.mark.parametrize(
    "wrong",
    [
        batch_of(b"\0\0\0\2", b"\0\0\0\1"),
        batch_of(b"\0\0\0\1", b"\0\0\0\1"),
        batch_of(b"\0\0\0\1", None),
        batch_of(b"\0\0\0\1"),
    ],
    ids=["another order", "one item twice", "without identifier", "too few items"],
)
def test_the_items_of_a_batch_are_in_their_order(
    scripted: Callable[..., Scripted], run: Any, wrong: bytes
) -> None:
    """The results of a batch are assigned to the wrong requests (KMIP 1.4 §6.4, §6.14)."""
    server = scripted(sends(wrong), sends(RIGHT))
    first, second = run(server, [DESTROY * 2, DESTROY], 10)
    assert isinstance(first, RemoteProtocolError), first
    assert second == [None]


@every_client
def test_a_batch_may_end_with_a_failure(scripted: Callable[..., Scripted], run: Any) -> None:
    """What is right must not be refused: a batch stops at its first failure."""
    failed = item(
        unique_batch_item_id=b"\0\0\0\1",
        result_status=ResultStatus.OPERATION_FAILED,
        result_reason=ResultReason.ITEM_NOT_FOUND,
        response_payload=None,
    )
    [[first, second]] = run(scripted(sends(response(failed))), [DESTROY * 2], 10)
    assert isinstance(first, OperationFailed)
    assert isinstance(second, OperationFailed)


@every_client
def test_data_before_a_request_is_an_error(scripted: Callable[..., Scripted], run: Any) -> None:
    """The response to the last request, sent early, is taken for that of the next one."""
    is_sent = threading.Event()

    def script(stream: ssl.SSLSocket) -> None:
        request(stream)
        stream.sendall(RIGHT)
        time.sleep(0.05)  # so that it arrives as data of its own
        stream.sendall(RIGHT)
        is_sent.set()
        request(stream)

    def wait() -> None:
        assert is_sent.wait(10)
        time.sleep(0.05)

    server = scripted(script, sends(RIGHT))
    _, second, third = run(server, [DESTROY, wait, DESTROY, DESTROY], 10)
    assert isinstance(second, RemoteProtocolError), second
    assert third == [None]


@every_client
def test_the_time_out_is_that_of_the_whole_response(
    scripted: Callable[..., Scripted], run: Any
) -> None:
    """A server that sends a byte now and then holds the client for hours."""

    def script(stream: ssl.SSLSocket) -> None:
        request(stream)
        try:
            for position in range(len(RIGHT)):
                stream.sendall(RIGHT[position : position + 1])
                time.sleep(0.05)
        except OSError:
            pass  # the client has closed the connection

    start = time.monotonic()
    [outcome] = run(scripted(script), [DESTROY], 0.5)
    assert isinstance(outcome, TimedOut)
    assert time.monotonic() - start < 5


PARTS = {
    Operation.ENCRYPT: (calls.encrypt(KEY, b"data"), EncryptResponse),
    Operation.DECRYPT: (calls.decrypt(KEY, b"data"), DecryptResponse),
    Operation.SIGN: (crypto_calls.sign(KEY, b"data"), SignResponse),
    Operation.MAC: (crypto_calls.mac(KEY, b"data"), MACResponse),
}


@pytest.mark.parametrize("operation", PARTS, ids=lambda each: each.name)
@every_client
def test_a_success_without_its_data_is_an_error(
    scripted: Callable[..., Scripted], run: Any, operation: Operation
) -> None:
    """The user would delete the plaintext although there is no ciphertext, or get a TypeError."""
    call, payload = PARTS[operation]
    empty = payload(unique_identifier=KEY, correlation_value=b"1")
    server = scripted(sends(response(item(operation=operation, response_payload=empty))))
    [outcome] = run(server, [(call,)], 10)
    assert isinstance(outcome, RemoteProtocolError), outcome
    assert "reports success, but has no" in str(outcome)
