"""KMIP over HTTPS: the three encodings on the one port, and what is not KMIP or not HTTP."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse

import pytest
from kmipkit_client.tls import tls_context
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, RequestHeader
from kmipkit.model.messages import RequestBatchItem, RequestMessage
from kmipkit.model.payloads.query import DiscoverVersionsRequest
from kmipkit.spec.enums import Operation
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V2_1
from kmipkit.ttlv import binary, media
from kmipkit.ttlv.limits import DEFAULT_LIMITS
from kmipkit.ttlv.tree import Item

TYPES = list(media.MEDIA)


def question() -> bytes:
    """Discover Versions in 2.1."""
    item = RequestBatchItem(
        operation=Operation.DISCOVER_VERSIONS, request_payload=DiscoverVersionsRequest()
    )
    header = RequestHeader(protocol_version=ProtocolVersion.of(V2_1), batch_count=1)
    return encode(RequestMessage(request_header=header, batch_items=(item,)), V2_1)


class Browser:
    """An HTTP client on one TLS connection."""

    def __init__(self, server: RunningServer) -> None:
        files = server.credentials()
        context = tls_context(files["ca"], files["cert"], files["key"])
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=ANSWER_TIMEOUT)
        self.stream = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.http = HTTPConnection("kms")
        self.http.sock = self.stream

    def post(
        self, body: bytes, content_type: str, path: str = "/kmip", **headers: str
    ) -> HTTPResponse:
        self.http.request("POST", path, body, {"Content-Type": content_type} | headers)
        return self.http.getresponse()

    def close(self) -> None:
        self.stream.close()


@pytest.fixture
def server(own_server: RunningServer) -> RunningServer:
    return own_server.start()


@pytest.fixture
def browser(server: RunningServer) -> Iterator[Browser]:
    browser = Browser(server)
    yield browser
    browser.close()


def versions(answer: Item) -> int:
    """How many versions an answer to Discover Versions lists."""

    def count(item: Item) -> int:
        inner = item.value if isinstance(item.value, tuple) else ()
        return (item.tag == Tag.PROTOCOL_VERSION) + sum(count(child) for child in inner)

    return count(answer)


@pytest.mark.parametrize("content_type", TYPES)
def test_each_encoding_is_answered_in_kind(browser: Browser, content_type: str) -> None:
    kind = media.MEDIA[content_type]
    for _ in range(3):  # on one connection
        response = browser.post(kind.from_ttlv(question(), DEFAULT_LIMITS), content_type)
        body = response.read()
        assert response.status == 200
        assert response.getheader("Content-Type") == content_type
        assert response.getheader("Cache-Control") == "no-cache"
        answer = binary.decode(kind.to_ttlv(body, DEFAULT_LIMITS))
        assert versions(answer) > 5


@pytest.mark.parametrize("content_type", TYPES)
def test_a_client_may_leave_the_type_open_and_end_the_path_with_a_slash(
    browser: Browser, content_type: str
) -> None:
    kind = media.MEDIA[content_type]
    body = kind.from_ttlv(question(), DEFAULT_LIMITS)
    response = browser.post(body, "*/*", "/kmip/")
    answer = binary.decode(kind.to_ttlv(response.read(), DEFAULT_LIMITS))
    assert response.status == 200
    assert response.getheader("Content-Type") == media.media_type_of(body)
    assert versions(answer) > 5


def test_ttlv_without_http_goes_on_at_the_same_port(server: RunningServer) -> None:
    with server.client() as client:
        assert client.discover_versions()


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", "/kmip", media.TTLV, 405),
        ("POST", "/", media.TTLV, 404),
        ("POST", "/kmip", "text/html", 415),
        ("DELETE", "/kmip", media.JSON, 405),
    ],
)
def test_what_is_not_kmip_is_told_so_by_http(
    browser: Browser,
    server: RunningServer,
    method: str,
    path: str,
    content_type: str,
    status: int,
) -> None:
    browser.http.request(method, path, b"x", {"Content-Type": content_type})
    response = browser.http.getresponse()
    text = response.read().decode()
    assert response.status == status
    assert text.strip(), "it says what to do"
    assert [line for line in server.lines() if f"HTTP {status}" in line]
    assert response.getheader("Connection") == "close"


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<RequestMessage>&b;</RequestMessage>"""
BAD = [
    (media.XML, BOMB),
    (media.XML, b"<RequestMessage>" * 5000),
    (media.XML, b"\xff\xfe\x00"),
    (media.XML, b""),
    (media.JSON, b"[" * 100_000),
    (media.JSON, b'{"tag":"RequestMessage","value":[' * 2000),
    (media.JSON, b'{"tag":"RequestMessage","tag":"RequestMessage","value":[]}'),
    (media.JSON, json.dumps({"tag": "0x123", "value": 1e999}).encode()),
    (media.JSON, b""),
    (media.TTLV, b"not ttlv at all"),
    (media.TTLV, b""),
]


@pytest.mark.parametrize(
    ("content_type", "body"), BAD, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(BAD)]
)
def test_a_body_that_is_no_message_is_answered_and_the_server_goes_on(
    browser: Browser, server: RunningServer, content_type: str, body: bytes
) -> None:
    response = browser.post(body, content_type)
    answer = binary.decode(media.MEDIA[content_type].to_ttlv(response.read(), DEFAULT_LIMITS))
    assert response.status == 200
    assert answer.tag == Tag.RESPONSE_MESSAGE
    kind = media.MEDIA[content_type]
    again = browser.post(kind.from_ttlv(question(), DEFAULT_LIMITS), content_type)
    assert again.status == 200
    again.read()
    assert "Traceback" not in server.log.read_text()


def test_a_body_beyond_the_limit_is_refused_before_it_has_come(server: RunningServer) -> None:
    browser = Browser(server)
    browser.http.putrequest("POST", "/kmip")
    browser.http.putheader("Content-Type", media.TTLV)
    browser.http.putheader("Content-Length", str(1 << 30))
    browser.http.endheaders()
    with suppress(OSError):  # once it was told enough it closes
        for _ in range(1 << 14):
            browser.stream.sendall(bytes(1 << 16))
        raise AssertionError("a gigabyte was taken")
    browser.close()
    with server.client() as client:
        assert client.discover_versions()


def test_what_is_no_http_ends_with_400(browser: Browser) -> None:
    browser.stream.sendall(b"HELLO\r\n\r\n")
    told = b""
    while chunk := browser.stream.recv(65536):
        told += chunk
    assert told.startswith(b"HTTP/1.1 400 ")


def test_a_client_may_ask_first_whether_to_go_on(browser: Browser) -> None:
    body = question()
    head = (
        f"POST /kmip HTTP/1.1\r\nHost: kms\r\nContent-Type: {media.TTLV}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    browser.stream.sendall(head.encode())
    assert browser.stream.recv(65536).startswith(b"HTTP/1.1 100 ")
    browser.stream.sendall(body)
    assert browser.stream.recv(65536).startswith(b"HTTP/1.1 200 ")
