"""The server as the client of its clients: Notify and Put, to a listener or with exchanged roles."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kmipkit_certs.authority import Purpose
from kmipkit_certs.credentials import load_certificates
from kmipkit_server.audit.query import Filter
from kmipkit_server.audit.records import Event
from servers import ANSWER_TIMEOUT, RunningServer, exchange, read_message

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_request, decode_response
from kmipkit.model.headers import ProtocolVersion, RequestHeader, ResponseHeader
from kmipkit.model.messages import (
    RequestBatchItem,
    RequestMessage,
    ResponseBatchItem,
    ResponseMessage,
)
from kmipkit.model.payloads.notify import NotifyRequest, PutRequest
from kmipkit.model.payloads.query import DiscoverVersionsResponse
from kmipkit.model.payloads.session import SetEndpointRoleRequest, SetEndpointRoleResponse
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    EndpointRole,
    Operation,
    PutFunction,
    ResultStatus,
    State,
)
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1, Version

AES = CryptographicAlgorithm.AES


def answer(request: RequestMessage, version: Version) -> bytes:
    """The response of a client to a request of the server."""
    [item] = request.batch_items
    payload: Any = None
    if item.operation is Operation.DISCOVER_VERSIONS:
        payload = DiscoverVersionsResponse(protocol_versions=(ProtocolVersion.of(V2_1),))
    if item.operation is Operation.SET_ENDPOINT_ROLE:
        payload = SetEndpointRoleResponse(endpoint_role=EndpointRole.CLIENT)
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version),
        time_stamp=datetime.now(UTC),
        batch_count=1,
    )
    result = ResponseBatchItem(
        operation=item.operation, result_status=ResultStatus.SUCCESS, response_payload=payload
    )
    return encode(ResponseMessage(response_header=header, batch_items=(result,)), version)


class ListeningClient:
    """A client that listens for the server, in a thread, and collects the payloads of its requests."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.context = context
        self.payloads: list[Any] = []
        self.enough = threading.Event()
        self.expected_count = 1
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            with self.context.wrap_socket(plain, server_side=True) as stream:
                while data := read_message(stream):
                    request, version = decode_request(data)
                    self.payloads.append(request.batch_items[0].request_payload)
                    stream.sendall(answer(request, version))
                    if len(self.payloads) >= self.expected_count:
                        self.enough.set()

    def wait(self, count: int) -> list[Any]:
        self.expected_count = count
        if len(self.payloads) < count:
            self.enough.clear()
            assert self.enough.wait(ANSWER_TIMEOUT), (
                f"only {len(self.payloads)} of {count} requests arrived"
            )
        return self.payloads


@pytest.fixture
def listening(own_server: RunningServer, tmp_path: Path) -> Iterator[ListeningClient]:
    own_server.start()
    credentials = own_server.credentials("127.0.0.1")
    own_server.stop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files_of_listener = own_server.pki.issue(
        "listener", Purpose.SERVER, datetime.now(UTC), alternative=("127.0.0.1",)
    )
    context.load_cert_chain(files_of_listener.cert, files_of_listener.key)
    context.load_verify_locations(credentials["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    listening = ListeningClient(context)
    listening.thread.start()
    yield listening
    listening.socket.close()


def configured(server: RunningServer, tmp_path: Path, address: str) -> RunningServer:
    file = tmp_path / "kmipkit.toml"
    file.write_text(f'[notify.accounts]\nadmin = "{address}"\n')
    server.arguments = ("--config", str(file))
    server.port = 0
    return server.start()


def test_a_listening_client_gets_new_keys_and_changes(
    own_server: RunningServer, listening: ListeningClient, tmp_path: Path
) -> None:
    server = configured(own_server, tmp_path, f"127.0.0.1:{listening.port}")
    with server.client() as client:
        key = client.create(AES, 256, name="für das Band")
        [put] = listening.wait(1)
        assert isinstance(put, PutRequest)
        assert (put.unique_identifier, put.put_function) == (key, PutFunction.NEW)
        assert put.object == client.get(key)
        assert put.attributes is not None
        assert put.attributes.get(Tag.NAME).name_value == "für das Band"
        client.activate(key)
        notify = listening.wait(2)[1]
        assert isinstance(notify, NotifyRequest)
        assert notify.attributes is not None
        assert notify.attributes.get(Tag.STATE) is State.ACTIVE
        assert Tag.LAST_CHANGE_DATE in notify.attributes
    # A key that the server sends by itself has left it as well.
    found = server.records(Filter(object=key))
    sent = [match.entry for match in found if match.entry.event is Event.SENT]
    assert [each.operation for each in sent] == ["Put", "Notify"]
    assert {each.client.account for each in sent} == {"admin"}


def test_an_unreachable_client_does_not_delay_the_server(
    own_server: RunningServer, listening: ListeningClient, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = configured(own_server, tmp_path, f"127.0.0.1:{silent.getsockname()[1]}")
        with server.client() as client:
            client.create(AES, 256)
            assert client.query().operations, "the server answers meanwhile"


def test_a_listening_client_with_a_revoked_certificate_gets_nothing(
    own_server: RunningServer, listening: ListeningClient, tmp_path: Path
) -> None:
    """Put sends the key itself: it must not go to whoever has stolen the client's certificate."""
    pki = own_server.pki
    pki.revoke(load_certificates(pki.files("listener").cert), datetime.now(UTC))
    server = configured(own_server, tmp_path, f"127.0.0.1:{listening.port}")
    refusal = "cannot deliver notifications: the certificate of 'CN=listener' was revoked"
    with server.client() as client:
        client.create(AES, 256)
        while not any(refusal in line for line in server.lines()):
            client.query()
    assert listening.payloads == []


def set_role() -> bytes:
    payload = SetEndpointRoleRequest(endpoint_role=EndpointRole.CLIENT)
    item = RequestBatchItem(operation=Operation.SET_ENDPOINT_ROLE, request_payload=payload)
    header = RequestHeader(protocol_version=ProtocolVersion.of(V2_1), batch_count=1)
    return encode(RequestMessage(request_header=header, batch_items=(item,)), V2_1)


def test_a_client_in_the_server_role_gets_requests_and_then_its_role_back(
    own_server: RunningServer, tmp_path: Path
) -> None:
    server = configured(own_server, tmp_path, "")
    with server.client() as client:
        key = client.create(AES, 256)
    with server.raw() as stream:
        accepted, _ = decode_response(exchange(stream, set_role()))
        assert accepted.batch_items[0].result_status is ResultStatus.SUCCESS
        operations: list[Operation] = []
        while Operation.SET_ENDPOINT_ROLE not in operations:
            request, version = decode_request(read_message(stream))
            operations.append(request.batch_items[0].operation)
            if operations[-1] is Operation.PUT:
                assert request.batch_items[0].request_payload.unique_identifier == key  # type: ignore[union-attr]  # it exists, or the test fails
            stream.sendall(answer(request, version))
        assert operations == [
            Operation.DISCOVER_VERSIONS,
            Operation.PUT,
            Operation.SET_ENDPOINT_ROLE,
        ]
        again, _ = decode_response(exchange(stream, set_role()))
        assert again.batch_items[0].result_status is ResultStatus.SUCCESS, (
            "the client has its own role again"
        )


def test_nothing_is_stored_for_accounts_without_notifications(own_server: RunningServer) -> None:
    """With development certificates, only the administrators have notifications by default."""
    server = own_server.start()
    with server.client("somebody") as client:
        client.create(AES, 256)
    with server.raw("somebody") as stream:
        exchange(stream, set_role())
        request, _ = decode_request(read_message(stream))
        stream.sendall(answer(request, V2_1))
        request, _ = decode_request(read_message(stream))
        assert request.batch_items[0].operation is Operation.SET_ENDPOINT_ROLE
