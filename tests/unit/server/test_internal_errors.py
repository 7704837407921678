"""A defect of the server is logged with its traceback, and costs nobody but its own request."""

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from group_commit import ControlledStore, insert_job, stored
from kmipkit_certs.development import ensure
from kmipkit_certs.directory import Directory
from kmipkit_certs.revocation_files import RevocationFiles
from kmipkit_client import calls
from kmipkit_server.config import ConfigError
from kmipkit_server.engine.response import Response
from kmipkit_server.identity.certificate import IdentityRule, Unavailable
from kmipkit_server.identity.identity import Identity
from kmipkit_server.net.listener import Listener
from kmipkit_server.net.revocation import Revocations
from kmipkit_server.net.sockets import open_sockets
from kmipkit_server.net.tls import TLSFiles
from kmipkit_server.operations.table import STANDARD
from kmipkit_server.running.clock import system_clock
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.writer import GroupCommit
from kmipkit_server.tenants.tenant import TenantLimits
from laboratory import Laboratory, reasons

from kmipkit.errors import OperationError
from kmipkit.spec.enums import BatchErrorContinuationOption, Operation
from kmipkit.spec.versions import V1_4, V2_1, Version

SECRET = "an exception's text may contain a key"
TIMEOUT = 300
"""Seconds until a test counts as hanging."""


def fail(*_arguments: object) -> Any:
    raise AttributeError(SECRET)


def internal_error(caplog: pytest.LogCaptureFixture) -> str:
    """The only error in the log, which has a traceback."""
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert record.exc_info is not None
    return record.getMessage()


@pytest.mark.parametrize(
    ("version", "reason"), [(V2_1, "INTERNAL_SERVER_ERROR"), (V1_4, "GENERAL_FAILURE")]
)
def test_a_defect_of_an_operation_fails_its_item_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: Version, reason: str
) -> None:
    rows = [
        replace(row, handler=fail) if row.operation is Operation.GET_ATTRIBUTE_LIST else row
        for row in STANDARD
    ]
    with closing(Laboratory(tmp_path / "data", rows=rows)) as laboratory:
        results = laboratory.batch(
            calls.get_attribute_list("id"),
            calls.locate(None, None, None, None, None, None),
            version=version,
            on_error=BatchErrorContinuationOption.CONTINUE,
        )
    assert reasons(results) == [reason, ""]
    assert SECRET not in str(results[0])
    assert internal_error(caplog) == "me: internal error in Get Attribute List"


def test_a_defect_after_a_commit_leaves_the_answers_of_all_jobs(
    store: ControlledStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results: list[str] = []

    async def test() -> None:
        writer = GroupCommit(store)

        async def submit(identifier: str, on_commit: Any) -> None:
            results.append(await writer.submit(insert_job(identifier), on_commit=on_commit))

        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as clients:
                clients.start_soon(submit, "id-1", fail)
                clients.start_soon(submit, "id-2", None)
                nursery.start_soon(writer.run)
            await writer.stop()

    with closing(store):
        trio.run(test)
    assert sorted(results) == stored(tmp_path, "id-1", "id-2") == ["id-1", "id-2"]
    assert internal_error(caplog) == "internal error after a commit"


class DefectiveResponder:
    """Fails for the first request, and responds to all others."""

    def __init__(self) -> None:
        self.requests = 0

    async def admit(self, identity: Identity) -> Identity:
        return identity

    @property
    def epoch(self) -> int:
        return 0

    def limits_of(self, identity: Identity) -> TenantLimits:
        return TenantLimits()

    async def respond(self, data: bytes, identity: Identity) -> Response:
        self.requests += 1
        return fail() if self.requests == 1 else Response(data)

    def on_response(self, identity: Identity, data: bytes) -> None:
        raise NotImplementedError

    def refuse(self, error: Exception, data: bytes) -> bytes:
        raise NotImplementedError


async def no_requests(_account: str, _version: Version) -> AsyncIterator[bytes]:
    for request in ():
        yield request


REQUEST = bytes.fromhex("420078 01 00000000")
"""An empty request message, which is enough for the framing."""


def responses_of(responder: DefectiveResponder, tmp_path: Path, count: int) -> list[bytes]:
    """What clients get, one after the other, each for one request on a connection of its own."""
    files = ensure(tmp_path, hosts=("127.0.0.1",), clients=("me",), clock=lambda: datetime.now(UTC))
    context = TLSFiles(((files.server_cert, files.server_key),), files.ca).load().server_context()
    client = ssl.create_default_context(cafile=files.ca)
    mine = Directory(tmp_path).files("me")
    client.load_cert_chain(mine.cert, mine.key)

    def exchange(port: int) -> bytes:
        plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        with client.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
            stream.sendall(REQUEST)
            return stream.recv(100)

    responses: list[bytes] = []

    async def test() -> None:
        [listening] = open_sockets("127.0.0.1", 0)
        port = listening.getsockname()[1]
        listener = Listener(
            context=lambda: context,
            responder=responder,
            requests=no_requests,
            identity_rule=IdentityRule(),
            revocations=Revocations(RevocationFiles(), system_clock),
        )
        with listening:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listener.serve, [listening])
                responses.extend(
                    [await trio.to_thread.run_sync(exchange, port) for _ in range(count)]
                )
                nursery.cancel_scope.cancel()

    trio.run(test)
    return responses


def test_a_defect_ends_its_connection_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert responses_of(DefectiveResponder(), tmp_path, 2) == [b"", REQUEST]
    assert internal_error(caplog).endswith(": connection closed by an internal error")


class WithoutStore(DefectiveResponder):
    """Cannot find out to whom a certificate belongs."""

    async def admit(self, identity: Identity) -> Identity:
        raise Unavailable("the database does not accept connections")

    def refuse(self, error: Exception, data: bytes) -> bytes:
        assert isinstance(error, OperationError)
        return f"{error.reason.name}: {error.message}".encode()


def test_a_store_that_fails_is_no_defect_for_those_who_connect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They get a response, and not one from which they would conclude that they are locked out."""
    [response] = responses_of(WithoutStore(), tmp_path, 1)
    assert response.decode() == f"GENERAL_FAILURE: {StoreError.explanation}"
    [record] = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.exc_info is None
    assert "the database does not accept connections" in record.getMessage()


def test_a_client_is_not_admitted_while_the_store_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail_to_read(*_: object, **__: object) -> None:
        raise StoreError("the database does not accept connections")

    with closing(Laboratory(tmp_path / "data")) as laboratory:
        monkeypatch.setattr(laboratory.dispatcher.store, "run", fail_to_read)
        with pytest.raises(Unavailable, match="does not accept connections"):
            trio.run(laboratory.dispatcher.admit, Identity("me"))


def test_a_malformed_authority_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    files = ensure(tmp_path, hosts=("127.0.0.1",), clients=(), clock=lambda: datetime.now(UTC))
    text = files.ca.read_text()
    damaged = tmp_path / "damaged.crt"
    damaged.write_text(text.replace("\nM", "\nA", 1))
    authorities = TLSFiles(((files.server_cert, files.server_key),), damaged)
    with pytest.raises(ConfigError, match=r"damaged\.crt: malformed certificate"):
        authorities.load()
