"""The calling side of HTTP: which answers it takes, and what it makes of others. In memory."""

import pytest
import trio
import trio.testing
from kmipkit_vsphere.model.errors import RPCError
from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.rpc import client
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.rpc.client import Client
from kmipkit_vsphere.rpc.http import MAX_HEAD


class Echo(Request[str]):
    """Answered with its text."""

    text: Text


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def answered(data: bytes) -> str | RPCError:
    """What a call gives where the peer answers with some bytes and closes."""
    results: list[str | RPCError] = []

    async def test() -> None:
        near, far = trio.testing.memory_stream_pair()
        calling = Client(near, "esx01")
        await far.send_all(data)
        await far.send_eof()
        try:
            results.append(await calling.call(Echo("x")))
        except RPCError as error:
            results.append(error)
            with pytest.raises(RPCError, match="is closed"):
                await calling.call(Echo("x"))

    trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))
    return results[0]


@pytest.mark.parametrize(
    "data",
    [
        OK + b'Content-Length: 3\r\n\r\n"a"',
        OK + b'Transfer-Encoding: chunked\r\n\r\n3\r\n"a"\r\n0\r\n\r\n',
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b'Content-Length: 3\r\n\r\n"a"',
        OK + b'Connection: close\r\n\r\n"a"',
    ],
)
def test_answers_in_all_forms_of_http(data: bytes) -> None:
    assert answered(data) == "a"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "closed the connection without an answer"),
        (b"\0\0\0\2{}", "not HTTP"),
        (b"secret\r\n\r\n", "not HTTP: illegal status line"),
        (OK, "without an answer"),
        (OK + b'Content-Length: 30\r\n\r\n"a"', "not HTTP"),
        (OK + b"X: " + b"x" * MAX_HEAD * 2, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200 with no content"),
        (b"HTTP/1.1 502 X\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "HTTP 502"),
        (b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (
            b"HTTP/1.1 400 X\r\nContent-Type: application/problem+json\r\n"
            b"Content-Length: 2\r\n\r\n{}",
            "malformed",
        ),
    ],
)
def test_an_answer_that_is_none_ends_the_connection(data: bytes, text: str) -> None:
    result = answered(data)
    assert isinstance(result, RPCError)
    assert "Echo on esx01" in result.message
    assert text in result.message
    assert "secret" not in result.message


def test_an_answer_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER", 100)
    result = answered(OK + b"Content-Length: 200\r\n\r\n" + b"x" * 200)
    assert isinstance(result, RPCError)
    assert "longer than 100 bytes" in result.message
