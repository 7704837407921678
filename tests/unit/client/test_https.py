"""KMIP over HTTPS: against the server in all encodings, and against servers that misbehave."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_client import AsyncClient, Client, ClientError, ConnectionFailed, calls, material
from kmipkit_client import messages as requests
from kmipkit_client.endpoints import endpoint
from kmipkit_client.https import MEDIA_TYPES, HTTPSConnection
from kmipkit_client.settings import ENCODINGS, LIMITS
from scripted_server import Script, Scripted, scripted_servers
from servers import RunningServer

from kmipkit.connection import Response, Signal
from kmipkit.errors import RemoteProtocolError
from kmipkit.model.codec import encode
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.query import QueryResponse
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.versions import V1_4
from kmipkit.ttlv.media import MEDIA


@pytest.fixture
def scripted(pki: Path) -> Iterator[Callable[..., Scripted]]:
    with scripted_servers(pki) as make:
        yield make


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_server_is_used_over_https(server: RunningServer, encoding: str) -> None:
    address = f"https://127.0.0.1:{server.port}/kmip"
    files = server.credentials("https")
    with Client(address, encoding=encoding, **files) as kms:
        key = kms.create(name=f"over {encoding}")
        assert len(material(kms.get(key))) == 32
        assert kms.locate(name=f"over {encoding}").ids == (key,)

    async def work() -> None:
        async with AsyncClient(address, encoding=encoding, **files) as kms:
            assert (await kms.locate(name=f"over {encoding}")).ids == (key,)

    anyio.run(work)


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ClientError, match="'yaml' is not one of ttlv, xml, json"):
        Client("https://kms", encoding="yaml", context=ssl.create_default_context())


def replies(*data: bytes) -> Script:
    """Reads each request to its end, and sends bytes."""

    def script(stream: ssl.SSLSocket) -> None:
        for each in data:
            http = h11.Connection(h11.SERVER)
            while not isinstance(event := http.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    http.receive_data(stream.recv(65536))
            stream.sendall(each)

    return script


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP status 404 'Not Found'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Content-Type b''"),
        (b"Not HTTP at all\r\n\r\n", "no KMIP response over HTTPS"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 0\r\n\r\n",
            "not one KMIP message",
        ),
    ],
)
def test_a_reply_that_is_no_response_is_an_error(
    scripted: Callable[..., Scripted], reply: bytes, message: str
) -> None:
    """Such as the page of a proxy, or of a web server on this port."""
    options = scripted(replies(reply)).options()
    address = f"https://127.0.0.1:{options.pop('port')}"
    with (
        Client(address, version=V1_4, **options) as kms,
        pytest.raises(RemoteProtocolError, match=message),
    ):
        kms.query()


def test_a_wrong_path_is_what_the_error_is_about(server: RunningServer) -> None:
    """And not an operation that KMIP 1.0 lacks, which the client would have spoken otherwise."""
    address = f"https://127.0.0.1:{server.port}/elsewhere"
    with Client(address, **server.credentials("https")) as kms:
        for call in (kms.ping, kms.create):
            with pytest.raises(RemoteProtocolError, match="is KMIP at another path"):
                call()


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_a_server_that_closes_has_not_responded(
    scripted: Callable[..., Scripted], part: bytes
) -> None:
    options = scripted(replies(part)).options()
    address = f"https://127.0.0.1:{options.pop('port')}"
    with (
        Client(address, version=V1_4, retries=0, **options) as kms,
        pytest.raises(ConnectionFailed, match="closed the connection") as lost,
    ):
        kms.create()
    assert lost.value.outcome_unknown


@given(st.binary(max_size=300), st.sampled_from(ENCODINGS))
def test_garbage_is_an_error_of_the_server_or_not_complete(data: bytes, encoding: str) -> None:
    connection = HTTPSConnection(endpoint("https://kms"), encoding, LIMITS)
    connection.send_request(requests.request(V1_4, [calls.query(())]))
    try:
        connection.receive_data(data)
        connection.receive_data(b"")
        event = connection.next_event()
    except RemoteProtocolError:
        return
    assert event is Signal.NEED_DATA
    assert not isinstance(event, Response)


@given(st.sampled_from(ENCODINGS), st.lists(st.integers(1, 60), max_size=40), st.booleans())
def test_a_response_may_arrive_in_any_parts(encoding: str, sizes: list[int], closes: bool) -> None:
    """Whole or split anywhere, and the connection is used again only if the server keeps it open."""
    connection = HTTPSConnection(endpoint("https://kms"), encoding, LIMITS)
    connection.send_request(requests.request(V1_4, [calls.query()]))
    item = ResponseBatchItem(
        operation=Operation.QUERY,
        result_status=ResultStatus.SUCCESS,
        response_payload=QueryResponse(vendor_identification="v"),
    )
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(V1_4), time_stamp=EPOCH, batch_count=1
    )
    message = encode(ResponseMessage(response_header=header, batch_items=(item,)), V1_4)
    media_type = MEDIA_TYPES[encoding]
    body = MEDIA[media_type].from_ttlv(message, LIMITS)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
    reply = head.encode() + (b"Connection: close\r\n" if closes else b"") + b"\r\n" + body
    for size in sizes:
        assert connection.next_event() is Signal.NEED_DATA
        connection.receive_data(reply[: min(size, len(reply) - 1)])
        reply = reply[min(size, len(reply) - 1) :]
        if len(reply) == 1:
            break
    assert connection.next_event() is Signal.NEED_DATA
    connection.receive_data(reply)
    event = connection.next_event()
    assert isinstance(event, Response)
    assert event.message.batch_items == (item,)
    assert connection.is_reusable is not closes
    assert not connection.has_unread_data
