"""The client against servers that misbehave: closed connections, silence, old versions."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from kmipkit_client import (
    AsyncClient,
    Client,
    ClientError,
    ConnectionFailed,
    OperationFailed,
    TimedOut,
    calls,
    material,
    symmetric_key,
)
from scripted_server import Script, Scripted, answer, request, scripted_servers
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.errors import LocalProtocolError, RemoteProtocolError
from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.codec import encode
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.create import CreateResponse
from kmipkit.model.payloads.query import DiscoverVersionsResponse, QueryResponse
from kmipkit.model.payloads.rekey import DerivationParameters
from kmipkit.spec.enums import (
    CryptographicAlgorithm,
    DerivationMethod,
    HashingAlgorithm,
    ObjectType,
    Operation,
    RecommendedCurve,
    ResultReason,
    ResultStatus,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_0, V1_1, V1_4, V2_0, V2_1, Version


@pytest.fixture
def scripted(pki: Path) -> Iterator[Callable[..., Scripted]]:
    with scripted_servers(pki) as make:
        yield make


def queries(count: int) -> Script:
    """Answers some queries, then closes."""

    def script(stream: ssl.SSLSocket) -> None:
        for _ in range(count):
            message = request(stream)
            version = message.request_header.protocol_version.version
            answer(stream, version, Operation.QUERY, QueryResponse(vendor_identification="v"))

    return script


def test_an_idle_connection_that_the_server_closed_is_renewed(
    scripted: Callable[..., Scripted],
) -> None:
    server = scripted(queries(1), queries(1))
    with Client(version=V1_4, **server.options()) as client:
        assert client.query().vendor_identification == "v"
        assert client.query().vendor_identification == "v"
    assert server.connections == 2


def test_what_changes_something_is_never_sent_twice(scripted: Callable[..., Scripted]) -> None:
    """A Create whose answer is lost may have been done; a second one would leave a stray key."""

    def script(stream: ssl.SSLSocket) -> None:
        queries(1)(stream)
        request(stream)  # and closes without a response

    server = scripted(script)
    with Client(version=V1_4, **server.options()) as client:
        client.query()
        with pytest.raises(ConnectionFailed, match="CREATE was sent") as lost:
            client.create()
    assert lost.value.outcome_unknown
    assert server.connections == 1


def test_a_closed_idle_connection_hinders_no_change(scripted: Callable[..., Scripted]) -> None:
    """Servers close idle connections; the first Create after lunch must not fail for that."""
    closed = threading.Event()

    def first(stream: ssl.SSLSocket) -> None:
        queries(1)(stream)
        stream.shutdown(socket.SHUT_RDWR)
        closed.set()

    def second(stream: ssl.SSLSocket) -> None:
        request(stream)
        payload = CreateResponse(object_type=ObjectType.SYMMETRIC_KEY, unique_identifier="1")
        answer(stream, V1_4, Operation.CREATE, payload)

    server = scripted(first, second)
    with Client(version=V1_4, **server.options()) as client:
        client.query()
        assert closed.wait(ANSWER_TIMEOUT)
        assert client.create() == "1"
    assert server.connections == 2


def test_silence_ends_with_a_time_out_and_the_connection_is_not_used_again(
    scripted: Callable[..., Scripted],
) -> None:
    server = scripted(lambda stream: request(stream) and request(stream), queries(1))
    with Client(version=V1_4, timeout=0.2, **server.options()) as client:
        with pytest.raises(TimedOut):
            client.query()
        assert client.query().vendor_identification == "v"
    assert server.connections == 2


def discovers(version: Version, offered: Any) -> Script:
    def script(stream: ssl.SSLSocket) -> None:
        while (message := request(stream)) is not None:
            spoken = message.request_header.protocol_version.version
            if message.batch_items[0].operation is Operation.QUERY:
                answer(stream, spoken, Operation.QUERY, QueryResponse(vendor_identification="v"))
            elif spoken.major == version.major:
                answer(stream, spoken, Operation.DISCOVER_VERSIONS, offered)
            else:
                reason = ResultReason.INVALID_MESSAGE
                answer(stream, version, Operation.DISCOVER_VERSIONS, reason)

    return script


def offer(*versions: Version) -> DiscoverVersionsResponse:
    return DiscoverVersionsResponse(
        protocol_versions=tuple(ProtocolVersion.of(version) for version in versions)
    )


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (discovers(V1_1, offer(V1_4, V1_1, V1_0)), V1_4),
        (discovers(V1_1, offer(V1_0, V2_0)), V2_0),
        (discovers(V2_1, offer(V2_1)), V2_1),
        (discovers(V1_1, ResultReason.OPERATION_NOT_SUPPORTED), V1_0),
    ],
    ids=["1.x", "out of order", "2.x only", "1.0 only"],
)
def test_the_newest_common_version_is_spoken(
    scripted: Callable[..., Scripted], script: Script, expected: Version
) -> None:
    with Client(**scripted(script).options()) as client:
        assert client.version() == expected
        assert client.query().vendor_identification == "v"


def test_a_client_that_may_not_ask_for_versions_learns_it(
    scripted: Callable[..., Scripted],
) -> None:
    """And not that KMIP 1.0, which it would have spoken otherwise, lacks something."""
    script = discovers(V1_1, ResultReason.PERMISSION_DENIED)
    with (
        Client(**scripted(script).options()) as client,
        pytest.raises(OperationFailed, match="DISCOVER_VERSIONS: PERMISSION_DENIED"),
    ):
        client.encrypt("1", b"data")


def test_an_answer_that_is_no_kmip_is_an_error_of_the_server(
    scripted: Callable[..., Scripted],
) -> None:
    def script(stream: ssl.SSLSocket) -> None:
        request(stream)
        stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with (
        Client(version=V1_4, **scripted(script).options()) as client,
        pytest.raises(RemoteProtocolError),
    ):
        client.query()


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, pki: Path) -> None:
    server = RunningServer(tmp_path / "data").start()
    try:
        with pytest.raises(ConnectionFailed, match="certificate is not accepted"):
            Client(port=server.port, ca=pki / "ca.crt").query()
        with pytest.raises(
            ConnectionFailed, match=r"certificate is not accepted.*localhost.example"
        ):
            Client(port=server.port, ca=server.pki.ca, server_name="localhost.example").query()
    finally:
        server.stop()


def test_nobody_there_and_files_that_are_not_there(pki: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionFailed, match="refused"):
        Client(port=port, ca=pki / "ca.crt").query()
    with pytest.raises(ClientError, match="no such file"):
        Client(ca=pki / "missing.crt")
    with pytest.raises(ClientError, match="cannot use"):
        Client(ca=pki / "ca.key")


def test_what_a_version_cannot_say_is_refused_before_it_is_sent(server: RunningServer) -> None:
    with server.client("says", version=V1_0) as client:
        key = client.create()
        with pytest.raises(LocalProtocolError):
            client.set_attribute(key, "Contact Information", "ext. 4711")
        assert client.get_attributes(key, "State").items, "the connection is still good"


def test_failures_in_a_batch_stay_in_their_place(server: RunningServer) -> None:
    with server.client("batches") as client:
        answer, failed, missing = client.batch(
            calls.query(()), calls.activate("no such"), calls.query(())
        )
        assert answer.vendor_identification == "kmipkit"
        assert isinstance(failed, OperationFailed)
        assert failed.operation is Operation.ACTIVATE
        assert isinstance(missing, OperationFailed)


def test_threads_share_a_client(server: RunningServer) -> None:
    with server.client("threads") as client:
        keys: list[str] = []

        def work() -> None:
            for _ in range(5):
                key = client.create()
                assert len(material(client.get(key))) == 32
                keys.append(key)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(ANSWER_TIMEOUT)
        assert len(set(keys)) == 30


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_cancelled_call_does_not_spoil_the_next(server: RunningServer, backend: str) -> None:
    """Otherwise the answer to the cancelled question would be taken for that to the next."""
    files = server.credentials("cancelled")

    async def work() -> None:
        async with AsyncClient(port=server.port, **files) as client:
            key = await client.create()
            for _ in range(5):
                with anyio.CancelScope() as scope:
                    async with anyio.create_task_group() as group:
                        group.start_soon(client.query)
                        await anyio.lowlevel.checkpoint()
                        scope.cancel()
                assert (await client.get_attributes(key, "State")).items

    anyio.run(work, backend=backend)


def test_the_methods_of_cryptography(server: RunningServer) -> None:
    """Each as its answer is meant: identifiers, bytes, and whether something is good."""
    usage = CryptographicUsageMask
    with server.client("cryptography") as client:
        pair = client.create_key_pair(
            CryptographicAlgorithm.ECDSA, curve=RecommendedCurve.P_384, names=("p", None)
        )
        client.activate(pair.private)
        client.activate(pair.public)
        sha = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_384)
        signature = client.sign(pair.private, b"data", parameters=sha)
        assert client.signature_verify(pair.public, b"data", signature=signature, parameters=sha)
        digested = client.hash(b"data", HashingAlgorithm.SHA_384)
        assert client.signature_verify(
            pair.public, signature=signature, parameters=sha, digested_data=digested
        )
        assert not client.signature_verify(
            pair.public, b"other", signature=signature, parameters=sha
        )
        key = client.register(
            symmetric_key(bytes(32), CryptographicAlgorithm.HMAC_SHA256),
            usage=usage.MAC_GENERATE | usage.MAC_VERIFY | usage.DERIVE_KEY,
        )
        client.activate(key)
        code = client.mac(key, b"data")
        assert client.mac_verify(key, b"data", mac=code)
        assert not client.mac_verify(key, b"other", mac=code)
        secret = client.derive_key(
            key,
            method=DerivationMethod.HMAC,
            parameters=DerivationParameters(derivation_data=(b"data",)),
            length=256,
            algorithm=None,
            usage=None,
        )
        assert material(client.get(secret)) == code
        old = client.create(name="old")
        new = client.re_key(old, offset=60, attributes={"Comment": "neu"})
        assert client.get_attributes(new, "Name").get(Tag.NAME).name_value == "old"
        assert len({client.rng_retrieve(16) for _ in range(3)}) == 3


def test_register_says_what_it_takes(server: RunningServer) -> None:
    """The first thing that everybody tries is to pass the bytes of the key."""
    with server.client("register") as client:
        with pytest.raises(
            TypeError, match="takes a managed object, not bytes; make one with symm"
        ):
            client.register(bytes(32))  # type: ignore[arg-type]  # that is what is tested
        assert client.query(), "the connection is still good"


def test_what_takes_long_can_be_polled(scripted: Callable[..., Scripted]) -> None:
    """The answer to an asynchronous request has nothing but the value with which to ask again."""

    def script(stream: ssl.SSLSocket) -> None:
        request(stream)
        item = ResponseBatchItem(
            operation=Operation.QUERY,
            result_status=ResultStatus.OPERATION_PENDING,
            asynchronous_correlation_value=b"later",
        )
        header = ResponseHeader(
            protocol_version=ProtocolVersion.of(V1_4), time_stamp=EPOCH, batch_count=1
        )
        message = ResponseMessage(response_header=header, batch_items=(item,))
        stream.sendall(encode(message, V1_4))
        poll = request(stream).batch_items[0]
        assert poll.request_payload.asynchronous_correlation_value == b"later"
        answer(stream, V1_4, Operation.QUERY, QueryResponse(vendor_identification="v"))

    with Client(version=V1_4, **scripted(script).options()) as client:
        with pytest.raises(OperationFailed, match="QUERY: OPERATION_PENDING") as pending:
            client.query()
        assert pending.value.correlation_value is not None
        assert client.poll(pending.value.correlation_value).vendor_identification == "v"
