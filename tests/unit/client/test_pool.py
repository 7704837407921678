"""Pools and clusters against real servers: concurrency, cancellation, fail-over, renewed files."""

import asyncio
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from kmipkit_client import AsyncClient, Client, ClientError, ConnectionFailed, TimedOut, messages
from scripted_server import answer, request, scripted_servers
from servers import ANSWER_TIMEOUT, RunningServer

from kmipkit.model.payloads.query import QueryResponse
from kmipkit.spec.enums import Operation
from kmipkit.spec.versions import V1_0, V1_4, V2_1
from kmipkit.testing import key_server


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and no listen: connections are refused
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def silence() -> Iterator[str]:
    """An address that accepts connections and says nothing, not even in the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def here(server: RunningServer) -> str:
    return f"127.0.0.1:{server.port}"


def test_a_call_goes_to_the_next_server_within_its_deadline(server: RunningServer) -> None:
    """One server is away and one hangs: the program must not notice."""
    with nobody() as away, silence() as hangs:
        files = server.credentials("fail-over")
        # The deadline is long for the sake of busy machines; the silent server gets a part of a second.
        with Client([away, hangs, here(server)], connect_timeout=0.3, deadline=300, **files) as kms:
            key = kms.create()
            assert kms.get_attributes(key, "State").items
            first, second, third = kms.health()
            assert "refused" in first.error
            assert "no connection within 0.3 s" in second.error
            assert (third.server, third.failures, third.error) == (here(server), 0, "")
            assert third.version is not None


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_the_asynchronous_client_goes_to_the_next_server(
    server: RunningServer, backend: str
) -> None:
    files = server.credentials("fail-over")

    async def work() -> None:
        with nobody() as away:
            async with AsyncClient([away, here(server)], deadline=300, **files) as kms:
                assert await kms.create()
                first, second = kms.health()
                assert (first.failures, second.failures) == (1, 0)

    anyio.run(work, backend=backend)


def test_calls_are_balanced(server: RunningServer, tmp_path: Path) -> None:
    """Both servers get work; here both addresses are those of one server."""
    addresses = [here(server), f"localhost:{server.port}"]
    with Client(
        addresses, order="balanced", server_name="127.0.0.1", **server.credentials("balance")
    ) as kms:
        for _ in range(2):
            kms.query()
        assert [each.version is not None for each in kms.health()] == [True, True]
    with pytest.raises(ValueError, match="order 'random' is not one of ordered, balanced"):
        Client(addresses, order="random")


def test_the_error_names_all_servers() -> None:
    with nobody() as one, nobody() as two:
        context = ssl.create_default_context()
        with pytest.raises(ConnectionFailed, match=rf"none of 2 servers.*{one}.*{two}"):
            Client([one, two], context=context, retries=0).query()


def test_a_name_that_dns_cannot_have_is_an_error_of_the_connection() -> None:
    context = ssl.create_default_context()
    with pytest.raises(ConnectionFailed, match="cannot connect"):
        Client(f"{'k' * 64}.example", context=context, retries=0).query()

    async def work() -> None:
        with pytest.raises(ConnectionFailed, match="cannot connect"):
            await AsyncClient(f"{'k' * 64}.example", context=context, retries=0).query()

    anyio.run(work)


def test_a_certificate_that_is_not_trusted_is_not_tried_again(server: RunningServer) -> None:
    """A server that counts failed handshakes would lock the client out."""
    kms = Client(here(server), context=ssl.create_default_context(), retries=5)
    with pytest.raises(ConnectionFailed, match="certificate is not accepted"):
        kms.query()
    [health] = kms.health()
    assert health.failures == 1


def test_requests_of_threads_run_at_the_same_time(pki: Path) -> None:
    """A server that is slow for one thread would be slow for all."""
    together = threading.Barrier(3)

    def script(stream: ssl.SSLSocket) -> None:
        request(stream)
        together.wait(ANSWER_TIMEOUT)  # until every thread has sent its request
        answer(stream, V1_4, Operation.QUERY, QueryResponse(vendor_identification="v"))

    with (
        scripted_servers(pki) as make,
        Client(version=V1_4, connections=3, **make(*[script] * 3, parallel=True).options()) as kms,
    ):
        with ThreadPoolExecutor(3) as pool:
            calls = [pool.submit(kms.query) for _ in range(3)]
        assert [call.result().vendor_identification for call in calls] == ["v"] * 3


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_tasks_share_a_few_connections(server: RunningServer, backend: str) -> None:
    """More tasks than connections wait for their turn, and each gets its own response."""
    files = server.credentials("tasks")

    async def work() -> None:
        async with AsyncClient(port=server.port, connections=3, deadline=300, **files) as kms:
            keys: dict[str, str] = {}

            async def one(name: str) -> None:
                keys[name] = await kms.create(name=name)

            async with anyio.create_task_group() as group:
                for number in range(12):
                    group.start_soon(one, f"{backend} {number}")
            for name, key in keys.items():
                assert (await kms.locate(name=name)).ids == (key,)

    anyio.run(work, backend=backend)


def test_a_wait_for_a_connection_ends_with_the_deadline(server: RunningServer) -> None:
    with silence() as hangs, anyio.from_thread.start_blocking_portal() as portal:
        context = ssl.create_default_context()

        async def both() -> None:
            kms = AsyncClient(hangs, context=context, connections=1, deadline=0.3, retries=0)
            async with anyio.create_task_group() as group:

                async def call() -> None:
                    with pytest.raises(TimedOut):
                        await kms.query()

                group.start_soon(call)
                group.start_soon(call)

        portal.call(both)


def test_a_task_that_is_cancelled_leaves_no_half_read_connection(server: RunningServer) -> None:
    """With asyncio's own cancellation, at each point of a call."""
    files = server.credentials("half-read")

    async def work() -> None:
        async with AsyncClient(port=server.port, connections=1, **files) as kms:
            key = await kms.create()
            for steps in range(30):
                task = asyncio.create_task(kms.query())
                for _ in range(steps):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert (await kms.get_attributes(key, "State")).items

    asyncio.run(work())


def test_a_forked_process_opens_connections_of_its_own(server: RunningServer) -> None:
    """Both processes would write into one TLS connection, and neither could read it."""
    with server.client("forked", version=V1_4) as kms:
        assert kms.query().vendor_identification
        child = os.fork()
        if child == 0:
            status = 1
            try:
                kms.query()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert kms.query().vendor_identification
        [health] = kms.health()
        assert health.failures == 0


# --- certificates --------------------------------------------------------------------------------


def test_certificates_come_from_memory(server: RunningServer) -> None:
    """A program that gets its key from a vault writes it to no file."""
    data = {name: path.read_bytes() for name, path in server.credentials("memory").items()}
    with Client(port=server.port, **data) as kms:
        assert kms.query().vendor_identification
    with pytest.raises(ClientError, match=r"the given \d+ bytes: contains a private key") as wrong:
        Client(ca=data["key"])
    assert data["key"].decode().splitlines()[1] not in str(wrong.value)


def test_certificates_are_pem_texts(server: RunningServer) -> None:
    """As they come from the environment of a container."""
    texts = {name: path.read_text() for name, path in server.credentials("memory").items()}
    with Client(port=server.port, **texts) as kms:
        assert kms.query().vendor_identification


def test_a_key_in_place_of_a_file_is_not_shown() -> None:
    key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 60
    with pytest.raises(ClientError, match=r"no such file: key \(a name of 1920 characters\)"):
        Client(key=key)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": -1}, "timeout must be at least 0.001 seconds, not -1"),
        ({"timeout": float("nan")}, "timeout must be at least 0.001 seconds, not nan"),
        ({"connect_timeout": "5"}, "connect_timeout must be at least 0.001 seconds, not '5'"),
        ({"connections": 0}, "connections must be at least 1 connection, not 0"),
        ({"retries": -1}, "retries must be at least 0 attempts, not -1"),
        ({"servers": None}, "there is no server"),
        ({"servers": [5]}, "5 is not an address"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ClientError, match=text):
        Client(**options)


def test_an_encrypted_store_in_memory_needs_its_password(server: RunningServer) -> None:
    files = server.credentials("memory")
    key = serialization.load_pem_private_key(files["key"].read_bytes(), None)
    certificate = x509.load_pem_x509_certificate(files["cert"].read_bytes())
    encryption = serialization.BestAvailableEncryption(b"of the vault")
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    store = pkcs12.serialize_key_and_certificates(b"me", key, certificate, None, encryption)
    with Client(port=server.port, ca=files["ca"], cert=store, key_password="of the vault") as kms:
        assert kms.query().vendor_identification
    with pytest.raises(ClientError, match="the password is wrong"):
        Client(ca=files["ca"], cert=store, key_password="another")
    with pytest.raises(ClientError, match="in Python as key_password"):
        Client(ca=files["ca"], cert=store)


def test_a_long_time_out_is_not_cut_by_the_deadline_of_a_call() -> None:
    """A key pair that takes two minutes is waited for, if the user says so."""
    context = ssl.create_default_context()
    deadlines = [
        Client(context=context, **options)._settings.deadline
        for options in ({}, {"timeout": 120.0}, {"timeout": 120.0, "deadline": 5.0})
    ]
    assert deadlines == [60.0, 130.0, 5.0]


def test_renewed_files_are_used_without_a_restart(server: RunningServer, tmp_path: Path) -> None:
    """A client that runs for months outlives its certificate, and goes on with the next one."""
    files = {name: tmp_path / path.name for name, path in server.credentials("old").items()}
    for name, path in server.credentials("old").items():
        shutil.copy(path, files[name])
    with Client(port=server.port, **files) as kms:
        old = kms.create(name="belongs to old")
        for name, path in server.credentials("new").items():
            shutil.copy(path, files[name])
        new = kms.create(name="belongs to new")
        assert (old in kms.locate().ids, new in kms.locate().ids) == (False, True)
        files["key"].write_text("half of a ke")
        assert kms.locate(name="belongs to new").ids == (new,), "the last good files stay in use"
        files["cert"].unlink()
        assert kms.locate(name="belongs to new").ids == (new,)


def test_a_server_that_is_unable_for_a_moment_is_asked_for_its_versions_again() -> None:
    """Otherwise a client that starts at the wrong moment would speak KMIP 1.0 as long as it runs."""
    with key_server() as kms, kms.client() as client:
        with kms.faults.add("failure", operations=["Discover Versions"]) as fault:
            assert client.version() == V1_0
            assert fault.applied == len(messages.NEGOTIATION)
        assert client.version() == V2_1
        [health] = client.health()
        assert health.version == V2_1
