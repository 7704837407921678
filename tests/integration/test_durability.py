"""What was acknowledged is there after ``kill -9``, and nothing of a key lies about in clear text."""

import base64
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kmipkit_client import (
    ClientError,
    calls,
    material,
    messages,
    opaque_object,
    secret_data,
    symmetric_key,
)
from kmipkit_server.audit.query import Filter
from servers import ANSWER_TIMEOUT, RunningServer, exchange

from kmipkit.cli import main
from kmipkit.model.codec import encode
from kmipkit.model.credentials import Credential, TicketCredential
from kmipkit.model.envelope import decode_response
from kmipkit.model.messages import RequestMessage
from kmipkit.model.payloads.asynchronous import PollRequest, ProcessRequest
from kmipkit.model.payloads.session import LoginRequest
from kmipkit.spec.enums import AsynchronousIndicator, CredentialType, Operation, ResultStatus
from kmipkit.spec.versions import V2_1

WRITERS = 8


def test_every_acknowledged_key_survives_a_kill(own_server: RunningServer) -> None:
    server = own_server.start()
    server.credentials("writer")
    acknowledged: list[dict[str, bytes]] = [{} for _ in range(WRITERS)]
    enough = threading.Semaphore(0)

    def write(mine: dict[str, bytes]) -> None:
        with server.client("writer") as client:
            try:
                while True:
                    key = client.create()
                    mine[key] = b""
                    mine[key] = material(client.get(key))
                    enough.release()
            except ClientError:
                return  # the server is gone

    threads = [threading.Thread(target=write, args=(mine,)) for mine in acknowledged]
    for thread in threads:
        thread.start()
    for _ in range(200):
        assert enough.acquire(timeout=ANSWER_TIMEOUT)
    server.kill()
    for thread in threads:
        thread.join(ANSWER_TIMEOUT)
    server.start()
    keys = {key: value for mine in acknowledged for key, value in mine.items()}
    assert len(keys) >= 200
    with server.client("writer") as client:
        for key, value in keys.items():
            found = material(client.get(key))
            assert len(found) == 32
            assert found == value or not value
        stored = set(client.locate().ids)
    assert set(keys) <= stored
    assert set(keys) <= recorded(server, "Create") <= stored, (
        "no change without a record, nor vice versa"
    )
    assert {key for key, value in keys.items() if value} <= recorded(server, "Get")
    command = ["admin", "audit", "verify", "--data-dir", str(server.folder)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output


def recorded(server: RunningServer, operation: str) -> set[str]:
    """The objects for which this operation is recorded as successful."""
    found = server.records(Filter(operation=operation, outcome="success"))
    return {identifier for match in found for identifier in match.entry.objects}


def test_a_second_server_on_the_same_data_is_refused(
    own_server: RunningServer, tmp_path: Path
) -> None:
    own_server.start()
    second = RunningServer(own_server.folder)
    with pytest.raises(AssertionError, match=r"in use|another"):
        second.start()
    assert second.exit_code == 1


def test_a_stop_is_clean_and_a_second_start_has_everything(own_server: RunningServer) -> None:
    with own_server.start().client() as client:
        key = client.create(name="zwölf Boxkämpfer")
    assert own_server.stop() == 0
    assert "stopped" in own_server.lines()[-1]
    with own_server.start().client() as client:
        assert client.locate(name="zwölf Boxkämpfer").ids == (key,)


SECRETS = (
    b"symmetric-key-material-0123456789",
    b"p\xc3\xa4ssw\xc3\xb6rd-not-to-be-seen!",
    b"opaque-content-hidden-at-rest!!!!",
)


def spellings(secret: bytes) -> list[bytes]:
    """Raw, hexadecimal and base64, the latter at each of its three alignments."""
    encoded = [
        base64.b64encode(b"x" * shift + secret)[4 if shift else 0 : -4] for shift in range(3)
    ]
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), *encoded]


@pytest.mark.sqlite
def test_no_key_lies_in_database_log_or_output(own_server: RunningServer) -> None:
    own_server.arguments = ("--log-level", "debug")
    server = own_server.start()
    with server.client() as client:
        for value in (
            symmetric_key(SECRETS[0][:32]),
            secret_data(SECRETS[1]),
            opaque_object(SECRETS[2]),
        ):
            for _ in range(3):
                identifier = client.register(value, name=None)
                assert material(client.get(identifier)) == material(value)
        made = [material(client.get(client.create())) for _ in range(20)]
    shown = server.ready.encode()
    server.stop()
    searched = [path for path in server.folder.parent.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite3" for path in searched)
    assert server.log in searched
    for secret in [SECRETS[0][:32], *SECRETS[1:], *made]:
        for spelled in spellings(secret):
            assert spelled not in shown
            for path in searched:
                assert spelled not in path.read_bytes(), f"a key lies in {path.name}"


def test_an_asynchronous_request_and_a_ticket_survive_a_kill(own_server: RunningServer) -> None:
    """What was answered with Operation Pending is carried out, once, whatever happens to the process."""
    own_server.folder.mkdir(exist_ok=True)
    settings = own_server.folder.with_name("server.toml")
    settings.write_text("[kmip]\nasynchronous_delay = 3600\n")
    own_server.arguments = ("--config", str(settings))
    server = own_server.start()
    create = calls.create()
    made = messages.request(V2_1, [create])
    header = made.request_header.replace(asynchronous_indicator=AsynchronousIndicator.MANDATORY)
    with server.raw() as stream:
        pending = asked(stream, made.replace(request_header=header))
        login = asked(stream, messages.request(V2_1, [calls.raw(Operation.LOGIN, LoginRequest())]))
    server.kill()
    server.start()
    value = pending.asynchronous_correlation_value
    assert value is not None
    process = ProcessRequest(asynchronous_correlation_value=value)
    poll = PollRequest(asynchronous_correlation_value=value)
    ticket = TicketCredential(ticket=login.response_payload.ticket)
    credential = Credential(credential_type=CredentialType.TICKET, credential_value=ticket)
    with server.raw() as stream:
        asked(stream, messages.request(V2_1, [calls.raw(Operation.PROCESS, process)], credential))
    server.kill()
    server.start()
    with server.raw() as stream:
        result = asked(stream, messages.request(V2_1, [calls.raw(Operation.POLL, poll)]))
    assert result.result_status is ResultStatus.SUCCESS
    with server.client() as client:
        assert client.locate().ids == (result.response_payload.unique_identifier,)


def asked(stream: ssl.SSLSocket, request: RequestMessage) -> Any:
    """The only item of the response to a message."""
    response, _ = decode_response(exchange(stream, encode(request, V2_1)))
    [item] = response.batch_items
    return item
