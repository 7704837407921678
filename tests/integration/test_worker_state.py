"""Workers as real processes: what a client began on one connection goes on over another one."""

import hashlib
import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from kmipkit_client import calls, messages
from servers import RunningServer, exchange

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.codec import encode
from kmipkit.model.credentials import Credential, TicketCredential
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage
from kmipkit.model.payloads.asynchronous import PollRequest, ProcessRequest
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.model.payloads.session import LoginRequest
from kmipkit.spec.enums import (
    AsynchronousIndicator,
    CredentialType,
    HashingAlgorithm,
    Operation,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.versions import V2_1

WORKERS = 2
SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)


@pytest.fixture
def crew(own_server: RunningServer) -> RunningServer:
    """A server with two workers, which carries out asynchronous requests late."""
    settings = own_server.folder.with_name("server.toml")
    settings.write_text("[kmip]\nasynchronous_delay = 3600\n")
    own_server.arguments = ("--workers", str(WORKERS), "--config", str(settings))
    return own_server.start()


@pytest.fixture
def streams(crew: RunningServer) -> Iterator[list[ssl.SSLSocket]]:
    """A connection to each worker: they are spread evenly."""
    with ExitStack() as cleanup:
        yield [cleanup.enter_context(crew.raw()) for _ in range(WORKERS)]


def answered(stream: ssl.SSLSocket, request: RequestMessage) -> Any:
    """The only item of the response to a message."""
    response, _ = decode_response(exchange(stream, encode(request, V2_1)))
    [item] = response.batch_items
    return item


def asked(stream: ssl.SSLSocket, operation: Operation, payload: Any, *credential: Any) -> Any:
    request = messages.request(V2_1, [calls.raw(operation, payload)], *credential)
    return answered(stream, request)


def hashing(**fields: Any) -> HashRequest:
    return HashRequest(cryptographic_parameters=SHA_256, **fields)


def test_the_parts_of_an_operation_may_come_over_any_connection(
    crew: RunningServer, streams: list[ssl.SSLSocket]
) -> None:
    one, other = streams
    first = asked(one, Operation.HASH, hashing(data=b"one", init_indicator=True))
    value = first.response_payload.correlation_value
    asked(other, Operation.HASH, hashing(data=b"two", correlation_value=value))
    end = hashing(data=b"three", correlation_value=value, final_indicator=True)
    last = asked(other, Operation.HASH, end)
    assert last.response_payload.data == hashlib.sha256(b"onetwothree").digest()
    begun = asked(other, Operation.HASH, hashing(data=b"one", init_indicator=True))
    value = begun.response_payload.correlation_value
    for worker in crew.processes:
        os.kill(worker, signal.SIGKILL)
    with crew.raw() as stream:
        more = asked(stream, Operation.HASH, hashing(data=b"two", correlation_value=value))
    assert more.result_reason is ResultReason.INVALID_CORRELATION_VALUE


def test_tickets_and_asynchronous_requests_belong_to_all_workers(
    crew: RunningServer, streams: list[ssl.SSLSocket]
) -> None:
    """Whoever has accepted the request is killed before it is carried out."""
    one, other = streams
    made = messages.request(V2_1, [calls.create()])
    header = made.request_header.replace(asynchronous_indicator=AsynchronousIndicator.MANDATORY)
    pending = answered(one, made.replace(request_header=header))
    login = asked(one, Operation.LOGIN, LoginRequest(request_count=2))
    ticket = TicketCredential(ticket=login.response_payload.ticket)
    credential = Credential(credential_type=CredentialType.TICKET, credential_value=ticket)
    value = pending.asynchronous_correlation_value
    process = ProcessRequest(asynchronous_correlation_value=value)
    used = asked(other, Operation.PROCESS, process, credential)
    assert used.result_status is ResultStatus.SUCCESS
    for worker in crew.processes:
        os.kill(worker, signal.SIGKILL)
    poll = PollRequest(asynchronous_correlation_value=value)
    with crew.raw() as stream:
        result = asked(stream, Operation.POLL, poll, credential)
    assert result.result_status is ResultStatus.SUCCESS
    with crew.raw() as stream:
        again = asked(stream, Operation.POLL, poll, credential)
    assert again.result_reason is ResultReason.USAGE_LIMIT_EXCEEDED
    with crew.client() as client:
        assert client.locate().ids == (result.response_payload.unique_identifier,)
