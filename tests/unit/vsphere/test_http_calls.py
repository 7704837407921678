"""Calls as HTTP: what other clients send, proper or not, and what they get. In memory."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import h11
import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kmipkit_vsphere.model.errors import FAULTS, VSphereError
from kmipkit_vsphere.model.message import Count, Text
from kmipkit_vsphere.rpc import serving
from kmipkit_vsphere.rpc.api import Api, Caller
from kmipkit_vsphere.rpc.call import Query, Request, table
from kmipkit_vsphere.rpc.faults import PROBLEM, STATUSES, Problem, faults_by_status, status_of
from kmipkit_vsphere.rpc.http import JSON, MAX_HEAD, MAX_REQUEST
from kmipkit_vsphere.rpc.serving import CallStream
from lengths import examples


class Echo(Request[str]):
    """Answers with its text."""

    text: Text


class Repeat(Query[list[str]]):
    """Answers with a text several times."""

    text: Text
    times: Count = 1
    loud: bool = False
    words: list[str] | None = None


class Start(Request[None]):
    """Needs nothing."""


class Secret(Request[str]):
    """For others."""


async def echo(request: Echo) -> str:
    return request.text


async def repeat(request: Repeat) -> list[str]:
    text = request.text.upper() if request.loud else request.text
    return [text] * request.times + (request.words or [])


async def start(_request: Start) -> None:
    return None


async def secret(_request: Secret) -> str:
    raise AssertionError("nobody may call this")


ROWS = table(
    Echo.row("user", echo),
    Repeat.row("user", repeat),
    Start.row("user", start),
    Secret.row("other", secret),
)


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == PROBLEM
        return dict(json.loads(self.body))


def run(test: Callable[[], Awaitable[None]]) -> None:
    trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))


@asynccontextmanager
async def serving_one() -> AsyncIterator[trio.StapledStream[Any, Any]]:
    """The caller's side of one connection."""
    near, far = trio.testing.memory_stream_pair()
    caller = Caller("Zoë's laptop", frozenset({"user"}))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(CallStream(far, Api(ROWS, "test"), caller).serve)
        yield near
        await trio.aclose_forcefully(near)


class Peer:
    """An HTTP client on a connection that shows all that it gets."""

    def __init__(self, stream: trio.StapledStream[Any, Any]) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.CLIENT)

    async def ask(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Response:
        names = {"host": "esx01", **{name.replace("_", "-"): headers[name] for name in headers}}
        if body is not None:
            names.setdefault("content-type", JSON)
            names.setdefault("content-length", str(len(body)))
        head = h11.Request(method=method, target=target, headers=list(names.items()))
        await self.send(head, *([h11.Data(body)] if body else []), h11.EndOfMessage())
        return await self.response()

    async def send(self, *events: Any) -> None:
        for event in events:
            await self.stream.send_all(self.http.send(event) or b"")

    async def response(self) -> Response:
        head, body = await self.event(), b""
        assert isinstance(head, h11.Response)
        while isinstance(event := await self.event(), h11.Data):
            body += event.data
        headers = {name.decode(): value.decode() for name, value in head.headers}
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        return Response(head.status_code, headers, body)

    async def event(self) -> Any:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(bytes(await self.stream.receive_some()))
        return event


def ask(method: str, target: str, body: bytes | None = None, **headers: str) -> Response:
    """The response to one request; the connection answers a further one after it."""
    responses = []

    async def test() -> None:
        async with serving_one() as stream:
            peer = Peer(stream)
            responses.append(await peer.ask(method, target, body, **headers))
            if responses[0].headers.get("connection") == "close":
                with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
                    await Peer(stream).ask("POST", "/api/Start", b"{}")
            else:
                assert (await peer.ask("POST", "/api/Start", b"{}")).body == b"null"

    run(test)
    return responses[0]


def exchange(*data: bytes) -> list[Response]:
    """All responses to bytes, until the connection is closed or silent."""
    responses: list[Response] = []

    async def test() -> None:
        async with serving_one() as stream:
            answer = b""

            async def send() -> None:
                try:
                    for part in data:
                        await stream.send_all(part)
                    await stream.send_eof()
                except trio.BrokenResourceError:  # closed by the other side, as it should be
                    return

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                while part := await stream.receive_some():
                    answer += part
            responses.extend(parse(answer, is_head=b"".join(data).lstrip().startswith(b"HEAD ")))

    run(test)
    return responses


def parse(data: bytes, *, is_head: bool = False) -> list[Response]:
    """Every response in ``data``, which is nothing else than responses; those to HEAD have no body."""
    responses = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("ascii").split("\r\n")
        if status.startswith("HTTP/1.1 100"):
            data = rest
            continue
        headers = {
            name.lower(): value.strip() for name, _, value in (li.partition(":") for li in lines)
        }
        size = 0 if is_head else int(headers["content-length"])
        assert len(rest) >= size
        responses.append(Response(int(status.split()[1]), headers, rest[:size]))
        data = rest[size:]
    return responses


async def read_response(stream: trio.StapledStream[Any, Any]) -> Response:
    """The response to what is not a whole request."""
    data = b""
    while part := await stream.receive_some():
        data += part
    [response] = parse(data)
    return response


# Proper requests ---------------------------------------------------------------------------------


def test_a_call_is_a_post_with_json() -> None:
    response = ask("POST", "/api/Echo", '{"text": "Zoë"}'.encode())
    assert response.status == 200
    assert json.loads(response.body) == "Zoë"
    assert response.headers["content-type"] == JSON
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["date"].endswith("GMT")


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("text=a", ["a"]),
        ("text=Zo%C3%AB+x&times=2", ["Zoë x", "Zoë x"]),
        ("text=a&loud=true", ["A"]),
        ("text=a&words=b&words=c", ["a", "b", "c"]),
        ("text=1&times=0&words=", [""]),
    ],
)
def test_what_only_reads_is_also_a_get(query: str, answer: list[str]) -> None:
    response = ask("GET", f"/api/Repeat?{query}")
    assert (response.status, json.loads(response.body)) == (200, answer)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the parameter text must be a string of 1 to 4096 characters"),
        ("text=a&text=b", "the parameter text is given twice"),
        ("text=a&times=two", "the parameter times must be an integer from 0"),
        ("text=a&loud=maybe", "the parameter loud must be true or false"),
        ("text=a&other=b", "there is no parameter other"),
        ("text=%FF", "the query of the URL is malformed"),
        ("text", "the query of the URL is malformed"),
        ("&".join(["words=x"] * 300), "the query of the URL is malformed"),
    ],
)
def test_a_bad_query_is_explained(query: str, message: str) -> None:
    response = ask("GET", f"/api/Repeat?{query}")
    assert response.status == 400
    assert response.problem["fault"] == "InvalidArgument"
    assert response.problem["message"].startswith(message)


@pytest.mark.parametrize("path", ["/api/Repeat?text=a", "/openapi.json"])
def test_head_is_a_get_without_its_body(path: str) -> None:
    get, head = ask("GET", path), ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(get.body))


def test_a_body_in_chunks() -> None:
    body = b'{"text": "abc"}'
    chunked = b"".join(b"%x;x=y\r\n%c\r\n" % (1, octet) for octet in body) + b"0\r\nA: b\r\n\r\n"
    head = (
        b"POST /api/Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=UTF-8\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    [response] = exchange(head + chunked)
    assert (response.status, response.body) == (200, b'"abc"')


def test_a_caller_that_waits_for_100_continue() -> None:
    async def test() -> None:
        body = b'{"text": "abc"}'
        headers = {"content-length": str(len(body)), "content-type": JSON, "host": "x"}
        async with serving_one() as stream:
            peer = Peer(stream)
            await peer.send(
                h11.Request(
                    method="POST",
                    target="/api/Echo",
                    headers=[*headers.items(), ("expect", "100-continue")],
                )
            )
            assert isinstance(await peer.event(), h11.InformationalResponse)
            await peer.send(h11.Data(body), h11.EndOfMessage())
            assert (await peer.response()).body == b'"abc"'

    run(test)


@pytest.mark.parametrize(
    ("path", "size", "status"), [("/api/Echo", MAX_REQUEST + 1, 413), ("/api/Ech", 5, 404)]
)
def test_a_caller_that_waits_sends_no_body_for_nothing(path: str, size: int, status: int) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n"
    )
    [response] = exchange(head.encode())
    assert (response.status, response.headers["connection"]) == (status, "close")


def test_requests_that_follow_each_other_are_answered_in_their_order() -> None:
    bodies = [b'{"text": "%d"}' % number for number in range(5)]
    head = b"POST /api/Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    data = b"".join(head + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies)
    assert [response.body for response in exchange(data)] == [b'"%d"' % n for n in range(5)]


@pytest.mark.parametrize("line", [b"HTTP/1.0\r\n", b"HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"])
def test_a_caller_that_wants_one_answer_only(line: bytes) -> None:
    request = b"GET /api/Repeat?text=a " + line + b"\r\n"
    [response] = exchange(request + request)
    assert response.headers["connection"] == "close"


def test_an_absolute_target() -> None:
    assert ask("GET", "https://esx01:5990/api/Repeat?text=a").body == b'["a"]'


# Requests that are refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "headers", "status", "text"),
    [
        ("POST", "/api/Ech", {}, 404, "did you mean /api/Echo?"),
        ("POST", "/", {}, 404, "/openapi.json describes"),
        ("POST", "/api/", {}, 404, "/openapi.json describes"),
        ("POST", "/api/Echo/", {}, 404, "there is nothing at /api/Echo/"),
        ("POST", "/Echo", {}, 404, "did you mean /api/Echo?"),
        ("GET", "/api/../api/Echo", {}, 404, "did you mean"),
        ("GET", "/api/Echo", {}, 405, "POST"),
        ("PUT", "/api/Repeat", {}, 405, "GET, HEAD, POST"),
        ("OPTIONS", "/api/Echo", {"origin": "https://evil.example"}, 405, "POST"),
        ("POST", "/openapi.json", {}, 405, "GET, HEAD"),
        ("POST", "/api/Echo", {"content_type": "text/plain"}, 415, "application/json"),
        ("POST", "/api/Start", {"content_type": "application/x-www-form-urlencoded"}, 415, "JSON"),
        ("POST", "/api/Echo", {"content_type": "application/json; charset=latin1"}, 415, "UTF-8"),
        ("POST", "/api/Echo", {"content_encoding": "gzip"}, 415, "compressed"),
        ("POST", "/api/Secret", {}, 403, "Zoë's laptop lacks the role other"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_reason(
    method: str,
    target: str,
    headers: dict[str, str],
    status: int,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = ask(method, target, b'{"text": "a"}', **headers)
    assert response.status == status
    assert text in response.problem["message"]
    assert response.problem["status"] == status
    if status == 405:
        assert response.headers["allow"] == text
    [record] = caplog.records
    assert f"refused with HTTP {status}" in record.getMessage()


def test_a_post_without_a_type_is_refused_as_browsers_send_it() -> None:
    """A page of another site can make a browser send it, with the certificate of its user."""
    head = b"POST /api/Start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    [response] = exchange(head)
    assert response.status == 415
    assert "access-control-allow-origin" not in response.headers


BODIES = {
    "empty": (b"", "not JSON"),
    "no JSON": (b"text", "not JSON"),
    "more than JSON": (b'{"text": "a"} x', "not JSON"),
    "a list": (b"[]", "the parameters must be a JSON object"),
    "null": (b"null", "the parameters must be a JSON object"),
    "not UTF-8": (b'{"text": "\xff\xfe"}', "not JSON in UTF-8"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), "not JSON in UTF-8"),
    "a lone surrogate": (b'{"text": "\\ud800"}', "not JSON in UTF-8"),
    "a field twice": (b'{"text": "a", "text": "b"}', "the parameter text is given twice"),
    "an escaped field twice": (b'{"text": "a", "t\\u0065xt": "b"}', "text is given twice"),
    "an unknown field": (b'{"text": "a", "txet": 1}', "there is no parameter txet"),
    "a missing field": (b"{}", "the parameter text must be a string of 1 to 4096 characters"),
    "a field of another type": (b'{"text": 5}', "the parameter text must be a string"),
    "too long a field": (b'{"text": "%s"}' % (b"x" * 5000), "the parameter text must be"),
    "nested lists": (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "text must be"),
    "nested unknown": (b'{"x": ' + b'{"x":' * 100_000 + b"1" + b"}" * 100_001, "no parameter x"),
    "nested": (b"[" * 500_000, "JSON"),
}


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_body_that_does_not_fit_is_explained(name: str, caplog: pytest.LogCaptureFixture) -> None:
    body, message = BODIES[name]
    response = ask("POST", "/api/Echo", body)
    assert response.status == 400
    assert message in response.problem["message"]
    [record] = caplog.records
    assert record.exc_info is None
    assert record.levelno == logging.WARNING


HEAD = b"POST /api/Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HOSTILE = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
    "zeros": (b"\0" * 4096, 400),
    "JSON": (b'{"id": 1, "method": "Echo"}\r\n\r\n', 400),
    "a length and JSON": (b"\0\0\0\x02{}", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "no Host": (b"GET /openapi.json HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (HEAD + b"Host: y\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}", 400),
    "two framings": (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "a length that is no number": (HEAD + b"Content-Length: \xb2\r\n\r\n", 400),
    "two types": (HEAD + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 400),
    "a strange coding": (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "a bad chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: x\r\n y\0: z\r\n\r\n", 400),
    "a header without a name": (b"GET / HTTP/1.1\r\nHost: x\r\n: z\r\n\r\n", 400),
    "a target with spaces": (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a target not in UTF-8": (b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a target that is no URL": (b"GET //[x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a long line": (b"GET /" + b"x" * (MAX_HEAD + 1), 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000, 431),
    "a long announced body": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    "a long body in chunks": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 65,
        413,
    ),
    "a long body for nothing": (
        HEAD.replace(b"Echo", b"Nothing")
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 65,
        413,
    ),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_bytes_that_are_no_request_get_a_status_and_end_the_connection(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, status = HOSTILE[name]
    [response] = exchange(data)
    assert (response.status, response.headers["connection"]) == (status, "close")
    assert response.problem["message"]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.exc_info is None


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 2\r\n\r\n{}secret-key of 32 bytes\r\n\r\n",
        HEAD + b"secret-key\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nsecret-key\r\n",
        HEAD + b'Content-Length: 29\r\n\r\n{"text": 5, "k": "secret-key"}',
        HEAD + b'Content-Length: 23\r\n\r\n{"text": ["secret-key"]}',
    ],
)
def test_bytes_at_the_wrong_place_are_not_repeated(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """They may be those of a key, behind a length that is too small."""
    *_, response = exchange(data)
    assert response.status == 400
    assert b"secret" not in response.body
    assert "secret" not in caplog.text


@pytest.mark.parametrize("data", [b"P", HEAD, HEAD + b"Content-Length: 5\r\n\r\n{}"])
def test_half_a_request(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert exchange(data) == []
    assert "closed the connection in the middle of a request" in caplog.text


@pytest.mark.parametrize("data", [b"P", HEAD, HEAD + b"Content-Length: 5\r\n\r\n{}"])
def test_a_request_that_does_not_end(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving_one() as stream:
            await stream.send_all(data)
            begun = trio.current_time()
            response = await read_response(stream)
            assert response.status == 408
            limit = serving.REQUEST_TIMEOUT + serving.LINGER
            assert trio.current_time() - begun == pytest.approx(limit, abs=1)

    run(test)
    assert "did not end within 30 s" in caplog.text


def test_a_request_in_drops_does_not_last_longer() -> None:
    async def test() -> None:
        async with serving_one() as stream:
            begun = trio.current_time()
            with suppress(trio.BrokenResourceError):
                for octet in HEAD:
                    await stream.send_all(bytes([octet]))
                    await trio.sleep(1)
            assert trio.current_time() - begun < serving.REQUEST_TIMEOUT + serving.LINGER + 3

    run(test)


def test_a_silent_caller_is_closed_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving_one() as stream:
            assert await stream.receive_some() == b""
            assert trio.current_time() == pytest.approx(serving.IDLE_TIMEOUT, abs=1)

    run(test)
    assert not caplog.records


def test_a_caller_that_takes_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        near, far = trio.testing.lockstep_stream_pair()
        caller = Caller("x", frozenset({"user"}))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(CallStream(far, Api(ROWS, "test"), caller).serve)
            await near.send_all(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")

    run(test)
    assert "did not take an answer within 30 s" in caplog.text


@settings(max_examples=examples(150), deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=40).map(HEAD.__add__)))
@example(b"HEAD ! HTTP/0.0\n\n")
@example(b"! ! HTTP/0.0\n\n")
def test_whatever_bytes_get_responses_or_a_closed_connection(data: bytes) -> None:
    for response in exchange(data):
        assert response.status in (200, 400, 404, 405, 413, 415, 431, 501, 505)


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(0, 500), st.binary(min_size=1, max_size=3))
def test_a_request_with_some_bytes_changed(place: int, change: bytes) -> None:
    body = b'{"text": "abc"}'
    data = bytearray(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    place %= len(data)
    data[place : place + len(change)] = change
    for response in exchange(bytes(data)):
        assert 200 <= response.status < 600


# Faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_has_a_status_and_comes_back(name: str) -> None:
    kind = FAULTS[name]
    fault = (
        kind("what — happened", required_key=[])
        if name == "EncryptionKeyRequired"
        else kind("what — happened", place="here")
    )
    problem = Problem.of(fault)
    assert 400 <= problem.status < 600
    assert any(above in STATUSES for above in kind.__mro__ if above is not VSphereError)
    again = problem.exception()
    assert type(again) is kind
    assert (again.message, again.arguments) == (fault.message, fault.arguments)


def test_the_table_of_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "vsphere.md").read_text()
    rows = [f"| {int(code)} | {', '.join(names)} |" for code, names in faults_by_status().items()]
    assert "\n".join(["| status | faults |", "| --- | --- |", *rows, "", ""]) in page


def test_the_statuses_that_callers_rely_on() -> None:
    statuses = {name: status_of(kind).value for name, kind in FAULTS.items()}
    assert statuses["InvalidArgument"] == 400
    assert statuses["NoPermission"] == 403
    assert statuses["NotFound"] == 404
    assert statuses["AlreadyExists"] == statuses["InvalidState"] == 409
    assert statuses["InternalFault"] == 500
    assert statuses["HostUnreachable"] == statuses["KeyServerUnreachable"] == 503
