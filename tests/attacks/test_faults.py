"""Faults on demand against our client: each gives the right error, and none holds the client up.

A fault that a client does not notice is what its users would lose: a key that they believe is destroyed,
or a program that waits forever.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from kmipkit_client import Client, ConnectionFailed, OperationFailed, TimedOut, calls, messages
from kmipkit_server.config import ConfigError
from kmipkit_server.test_mode.faults.kinds import KINDS
from servers import ANSWER_TIMEOUT

from kmipkit.errors import RemoteProtocolError
from kmipkit.model.codec import encode
from kmipkit.spec.enums import Operation, ResultReason
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_4, V2_1
from kmipkit.testing import DirectClient, KeyServer, key_server

SHORT = 0.5
"""Seconds that a client waits which is to time out."""


@pytest.fixture(scope="module")
def server() -> Iterator[KeyServer]:
    with key_server(objects=["backup"]) as kms:
        yield kms


@pytest.fixture
def kms(server: KeyServer) -> Iterator[KeyServer]:
    yield server
    server.faults.clear()


# Every fault, with options, and what the call of a client comes to: an error, or None for success.
GET = {"operations": "Get"}
FAULTS: list[tuple[str, dict[str, Any], type[Exception] | None]] = [
    ("slow-handshake", {"seconds": 60.0}, TimedOut),
    ("slow-handshake", {"seconds": 0.01}, None),
    ("no-handshake", {}, ConnectionFailed),
    ("certificate", {}, ConnectionFailed),
    ("certificate", {"problem": "not yet valid"}, ConnectionFailed),
    ("certificate", {"problem": "other name"}, ConnectionFailed),
    ("certificate", {"problem": "other authority"}, ConnectionFailed),
    ("failure", GET, OperationFailed),
    ("delay", {"seconds": 60.0, **GET}, TimedOut),
    ("delay", {"seconds": 0.01, **GET}, None),
    ("silence", GET, TimedOut),
    ("tag", GET, RemoteProtocolError),
    ("type", GET, RemoteProtocolError),
    ("length", GET, RemoteProtocolError),
    ("length", {"field": "Response Message", "add": 8, **GET}, TimedOut),
    ("garbage", GET, RemoteProtocolError),
    ("twice", GET, RemoteProtocolError),
    ("identifier", GET, RemoteProtocolError),
    ("operation", GET, RemoteProtocolError),
    ("version", GET, RemoteProtocolError),
    ("time-stamp", GET, None),
    ("time-stamp", {"seconds": 86400, **GET}, None),
    ("batch-count", GET, RemoteProtocolError),
    ("correlation", GET, RemoteProtocolError),
    ("query", {"hide": ["Get"]}, None),
    ("versions", {}, None),
    ("unsupported-version", {}, OperationFailed),
    ("unsupported-operation", {"only": ["Discover Versions"]}, OperationFailed),
    ("missing-attribute", {}, None),
    ("object-type", {}, None),
    ("server-correlation", {}, None),
    ("query-order", {}, None),
    ("reason", {}, None),
    ("drop", GET, ConnectionFailed),
    ("drop", {"after": 0, **GET}, ConnectionFailed),
    ("drop", {"reset": True, **GET}, ConnectionFailed),
    ("split", GET, None),
    ("split", {"size": 100, **GET}, None),
    ("half-close", GET, ConnectionFailed),
    ("half-close", {"answers": True, **GET}, None),
]


OF_OTHER_OPERATIONS = {"query", "missing-attribute", "object-type", "query-order", "reason"}
"""A Get has none of these; the tests of personalities have."""


def blocking(kms: KeyServer, timeout: float) -> Any:
    with kms.client(timeout=timeout, connect_timeout=timeout) as client:
        return client.get(kms.ids["backup"])


def asynchronous(kms: KeyServer, timeout: float) -> Any:
    async def work() -> Any:
        async with kms.async_client(timeout=timeout, connect_timeout=timeout) as client:
            return await client.get(kms.ids["backup"])

    return anyio.run(work, backend="trio")


def name(value: object) -> str:
    return str(value) if isinstance(value, str | dict) else ""


@pytest.mark.parametrize("get", [blocking, asynchronous])
@pytest.mark.parametrize(("fault", "parameters", "expected"), FAULTS, ids=name)
def test_a_fault_gives_the_right_error(
    kms: KeyServer,
    fault: str,
    parameters: dict[str, Any],
    expected: type[Exception] | None,
    get: Callable[[KeyServer, float], Any],
) -> None:
    added = kms.faults.add(fault, **parameters)
    timeout = SHORT if expected is TimedOut else ANSWER_TIMEOUT
    if expected is None:
        assert get(kms, timeout)
    else:
        with pytest.raises(expected) as caught:
            get(kms, timeout)
        # A time-out is a kind of failed connection, but not the other way round.
        assert isinstance(caught.value, TimedOut) == (expected is TimedOut), caught.value
    assert added.applied or fault in OF_OTHER_OPERATIONS
    kms.faults.clear()
    assert get(kms, ANSWER_TIMEOUT)  # the server is whole again


def test_every_fault_is_tried() -> None:
    assert {fault for fault, _, _ in FAULTS} == set(KINDS)


# --- which requests a fault applies to -----------------------------------------------------------


def outcomes(client: Client | DirectClient, identifier: str, times: int) -> list[str]:
    gets = [client.batch(calls.get(identifier, None, None, None)) for _ in range(times)]
    return [get.reason.name if isinstance(get, OperationFailed) else "" for [get] in gets]


def test_the_second_call_fails(kms: KeyServer) -> None:
    kms.faults.add("failure", reason="Item Not Found", operations=["Get"], calls=[2])
    with kms.client() as client:
        client.locate(name="backup")
        assert outcomes(client, kms.ids["backup"], 3) == ["", "ITEM_NOT_FOUND", ""]


def test_an_operation_that_writes_fails_once_and_changes_nothing(kms: KeyServer) -> None:
    """The server carries out a message that writes twice; a fault counts it once."""
    fault = kms.faults.add("failure", operations=["Create"], calls=[1])
    with kms.client() as client:
        with pytest.raises(OperationFailed) as caught:
            client.create(name="new")
        assert caught.value.reason is ResultReason.GENERAL_FAILURE
        assert client.locate(name="new").ids == ()
        client.destroy(client.create(name="new"))
    assert (fault.matched, fault.applied) == (2, 1)


def test_only_some_clients_have_a_fault(kms: KeyServer) -> None:
    kms.faults.add("failure", operations="Query", clients=["app1"])
    kms.direct("app2").query()
    with pytest.raises(OperationFailed):
        kms.direct("app1").query()


def test_a_probability_is_the_same_in_each_run() -> None:
    def run() -> list[str]:
        with key_server(objects=["backup"], listen=False) as kms:
            kms.faults.add("failure", operations="Get", probability=0.5)
            return outcomes(kms.direct(), kms.ids["backup"], 20)

    first = run()
    assert set(first) == {"", "GENERAL_FAILURE"}
    assert run() == first


def test_a_fault_ends_with_its_block(kms: KeyServer) -> None:
    with kms.faults.add("failure", operations="Query") as fault, pytest.raises(OperationFailed):
        kms.direct().query()
    kms.direct().query()
    assert repr(fault) == "<fault failure, applied 1 times>"


def test_a_delay_follows_the_clock(kms: KeyServer) -> None:
    """A test of a slow server need not be slow."""
    kms.faults.add("delay", seconds=3600.0, operations="Get")
    found: list[Any] = []

    async def work() -> None:
        async with kms.async_client(timeout=30) as client, anyio.create_task_group() as tasks:

            async def get() -> None:
                found.append(await client.get(kms.ids["backup"]))

            await client.query()
            tasks.start_soon(get)
            with anyio.fail_after(60):
                while not kms.requests.of(Operation.GET):  # noqa: ASYNC110 - in another thread
                    await anyio.sleep(0.01)
            kms.clock.advance(hours=1)

    kms.requests.clear()
    anyio.run(work)
    assert found


def test_a_response_arrives_in_pieces(kms: KeyServer) -> None:
    """A client that takes one read for one message fails here, and not in the field."""
    kms.faults.add("split", size=3)
    own = kms.settings
    context = ssl.create_default_context(cafile=own.ca)
    context.load_cert_chain(own.cert, own.key)
    plain = socket.create_connection((own.host, own.port), ANSWER_TIMEOUT)
    with context.wrap_socket(plain, server_hostname=own.host) as stream:
        stream.sendall(encode(messages.discovery_request(V1_4), V1_4))
        pieces = [stream.recv(1000) for _ in range(10)]
    assert [len(piece) for piece in pieces] == [3] * 10
    assert b"".join(pieces).startswith(b"\x42\x00\x7b")


# --- lies ----------------------------------------------------------------------------------------


def test_query_lies(kms: KeyServer) -> None:
    kms.faults.add("query", hide=["Get", "Locate"], claim=["Put"], vendor="Acme")
    with kms.client() as client:
        told = client.query()
    assert told.vendor_identification == "Acme"
    assert Operation.PUT in told.operations
    assert not {Operation.GET, Operation.LOCATE} & set(told.operations)


def test_a_server_with_old_versions_only(kms: KeyServer) -> None:
    kms.faults.add("versions", only=["1.0"])
    with kms.client() as client:
        assert client.version() == V1_0


def test_time_stamps_are_wrong(kms: KeyServer) -> None:
    """What a client makes of it is its own matter; ours takes the response (KMIP 1.4 §6.5)."""
    kms.faults.add("time-stamp", seconds=-86400)
    with kms.client(version=V1_4) as client:
        attributes = client.get_attributes(kms.ids["backup"], "Initial Date")
    assert attributes.get(Tag.INITIAL_DATE)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "parameters", "message"),
    [
        ("dropp", {}, "unknown fault 'dropp'; did you mean drop?"),
        ("drop", {"befor": 3}, "fault drop: unknown option 'befor'; known are after, reset"),
        ("drop", {"afterr": 3}, "fault drop: unknown option 'afterr'; did you mean after?"),
        ("drop", {"after": "3"}, "fault drop: after must be a whole number, not '3'"),
        ("drop", {"reset": 1}, "fault drop: reset must be true or false, not 1"),
        (
            "drop",
            {"operations": ["Gett"]},
            "unknown operation of fault drop: 'Gett'; did you mean Get?",
        ),
        ("drop", {"calls": [0]}, "fault drop: calls must be numbers from 1, not [0]"),
        ("drop", {"probability": 2}, "fault drop: probability must be from 0 to 1, not 2"),
        ("failure", {"reason": "Item not fond"}, "did you mean Item Not Found?"),
        (
            "version",
            {"value": "one"},
            "fault version: value must be a version such as 1.4, not 'one'",
        ),
        ("correlation", {"value": "xy"}, "value must be hexadecimal digits, not 'xy'"),
        ("certificate", {"problem": "expird"}, "did you mean Expired?"),
        ("certificate", {"clients": ["a"]}, "clients cannot be given, since it comes before"),
    ],
)
def test_what_is_not_valid_is_refused(fault: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        key_server().faults.add(fault, **parameters)
    assert message in str(caught.value)


def test_nothing_follows_from_what_is_no_kmip(kms: KeyServer) -> None:
    """A proxy that says once that the server is away would keep a client at KMIP 1.0 for ever."""
    with kms.client("proxied") as client:
        with kms.faults.add("garbage", clients=["proxied"]):
            with pytest.raises(RemoteProtocolError):
                client.create()
            with pytest.raises(RemoteProtocolError):
                client.ping()
        assert client.version() == V2_1
        client.ping()
