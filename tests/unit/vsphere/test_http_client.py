"""The calling side of HTTP: which answers it takes, and what it makes of others. In memory."""

import pytest
import trio
import trio.testing
from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import RPCError, VSphereError
from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.rpc import client
from kmipkit_vsphere.rpc.call import Request
from kmipkit_vsphere.rpc.client import Client
from kmipkit_vsphere.rpc.faults import Problem
from kmipkit_vsphere.rpc.http import MAX_HEAD

from kmipkit import __version__


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


def refused(fault: str, message: str, server: str = "kmipkit/0.0.9") -> str:
    """The error of a call to a role that refuses it."""
    problem = Problem("Bad Request", 400, fault, message)
    body = encode(problem)
    head = f"HTTP/1.1 400 X\r\nServer: {server}\r\nContent-Type: application/problem+json\r\n"
    error = error_of(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert type(error).__name__ == fault
    return error.message


def error_of(data: bytes) -> VSphereError:
    """The error of a call that is answered with some bytes."""
    errors: list[VSphereError] = []

    async def test() -> None:
        near, far = trio.testing.memory_stream_pair()
        calling = Client(near, "vcenter")
        await far.send_all(data)
        try:
            await calling.call(Echo("x"))
        except VSphereError as error:
            errors.append(error)

    trio.run(test)
    [error] = errors
    return error


DIFFERENT = f"vcenter is kmipkit/0.0.9, the caller is kmipkit/{__version__}"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("InvalidArgument", "there is no parameter keyId"),
        ("InvalidArgument", "there is no parameter info.proxy"),
        ("NotFound", "there is nothing at /api/Echo; did you mean /api/Ecno?"),
    ],
)
def test_a_role_of_another_version_is_named(fault: str, message: str) -> None:
    error = refused(fault, message)
    assert error == f"{message}; vcenter may be of another version than the caller: {DIFFERENT}"


@pytest.mark.parametrize("server", ["", "nginx/1.27", "kmipkit/%5B2J", "kmipkit/" + "9" * 99])
def test_a_role_that_does_not_name_its_version(server: str) -> None:
    error = refused("InvalidArgument", "there is no parameter keyId", server)
    assert error.endswith(f"another version than the caller: the caller is kmipkit/{__version__}")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("InvalidArgument", "the parameter name must be a string"),
        ("NotFound", "there is no machine db1"),
        ("NotFound", "there is nothing at /api/Other; see"),
        (
            "InvalidArgument",
            "there is no parameter x; esx01 may be of another version than the caller",
        ),
    ],
)
def test_other_faults_do_not_blame_the_version(fault: str, message: str) -> None:
    assert refused(fault, message) == message


def test_an_answer_of_another_version_is_explained() -> None:
    error = error_of(OK + b"Server: kmipkit/0.0.9\r\nContent-Length: 1\r\n\r\n5")
    assert isinstance(error, RPCError)
    assert error.message.endswith(DIFFERENT)


def test_an_answer_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER", 100)
    result = answered(OK + b"Content-Length: 200\r\n\r\n" + b"x" * 200)
    assert isinstance(result, RPCError)
    assert "longer than 100 bytes" in result.message
