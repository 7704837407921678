"""Workers that hang, or are killed while clients wait for them, as clients and operators see it."""

import fcntl
import os
import select
import signal
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kmipkit_client import calls, messages
from monitoring import families, fetch, value
from servers import RunningServer, exchange, pair_request, read_message, wait_until_read

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.model.payloads.crypto import HashRequest
from kmipkit.spec.enums import HashingAlgorithm, Operation, ResultReason, ResultStatus
from kmipkit.spec.versions import V2_1

WORKERS = 2
SHA_256 = CryptographicParameters(hashing_algorithm=HashingAlgorithm.SHA_256)
QUERY = encode(messages.request(V2_1, [calls.query(())]), V2_1)
SETTINGS = """
[listen]
drain_seconds = 300
[server]
answer_timeout = {timeout}
[metrics]
listen = "127.0.0.1:0"
"""


def started(server: RunningServer, timeout: float = 300.0) -> RunningServer:
    """A server with two workers, which kills those that do not answer for so many seconds."""
    config = server.folder.with_name("kmipkit.toml")
    config.write_text(SETTINGS.format(timeout=timeout))
    server.arguments = ("--workers", str(WORKERS), "--config", str(config))
    return server.start()


@pytest.fixture
def crew(own_server: RunningServer) -> RunningServer:
    return started(own_server)


def metrics_of(server: RunningServer) -> str:
    return server.ready.partition("metrics ")[2].strip()


def worker_of(server: RunningServer, number: int) -> int:
    """The process of the worker with a number."""
    for process in server.processes:
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        if command[command.index(b"kmipkit_server.process") + 1] == b"%d" % number:
            return process
    raise AssertionError(f"worker {number} does not run")


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """A process that hangs, in this case because of a signal."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


# --- workers that hang -----------------------------------------------------------------------------


def test_a_worker_that_hangs_is_replaced_and_its_clients_can_go_on(
    own_server: RunningServer,
) -> None:
    """A process that runs but does not answer looks healthy to everybody but its clients."""
    server = started(own_server, timeout=2.0)
    hung = worker_of(server, 2)
    with stopped(hung), ExitStack() as cleanup:
        streams = [cleanup.enter_context(server.raw()) for _ in range(2 * WORKERS)]
        # Those that came to the hung worker had not been begun: another one serves them.
        assert all(exchange(stream, QUERY) for stream in streams)
    server.wait_for_line(f"worker 2 (process {hung}) has not answered for 2 seconds, and is killed")
    server.wait_for_line("was ended by SIGKILL; another one takes its place")


def test_a_reload_does_not_wait_for_a_worker_that_hangs(own_server: RunningServer) -> None:
    server = started(own_server, timeout=2.0)
    with stopped(worker_of(server, 2)):
        server.signal(signal.SIGHUP)
        server.wait_for_line("configuration and certificates reloaded")
    assert any("worker 2" in line and "is killed" in line for line in server.lines())


def test_a_scrape_does_not_wait_for_a_worker_that_hangs(crew: RunningServer) -> None:
    """Monitoring is needed most when something is wrong."""
    url = metrics_of(crew)
    with stopped(worker_of(crew, 2)):
        metrics = families(fetch(url))
    assert value(metrics, "kmipkit_workers") == WORKERS
    assert value(metrics, "kmipkit_workers_silent") == 1


def test_a_worker_that_hangs_does_not_outlive_a_killed_server(crew: RunningServer) -> None:
    """It has the lock of the data directory: no start would be possible, and nobody would say why."""
    hung = worker_of(crew, 2)
    with stopped(hung):
        crew.kill()
        crew.arguments = ("--workers", str(WORKERS))
        crew.start()
        assert hung not in crew.processes
    with crew.client() as client:
        assert client.create()


# --- workers that are killed while they carry out a message of another one ---------------------------


@pytest.fixture
def streams(crew: RunningServer) -> Iterator[list[ssl.SSLSocket]]:
    """A connection to each worker, in the order of their numbers."""
    with ExitStack() as cleanup:
        yield [cleanup.enter_context(crew.raw()) for _ in range(WORKERS)]


def begun(stream: ssl.SSLSocket) -> bytes:
    """The Correlation Value of an operation in several parts that the worker has."""
    request = HashRequest(cryptographic_parameters=SHA_256, data=b"one", init_indicator=True)
    asked = messages.request(V2_1, [calls.raw(Operation.HASH, request)])
    response, _ = decode_response(exchange(stream, encode(asked, V2_1)))
    value = response.batch_items[0].response_payload.correlation_value  # type: ignore[union-attr]
    assert isinstance(value, bytes)
    return value


def batch(correlation: bytes) -> bytes:
    """A Create and the next part in the same message, so that both go to the same worker."""
    part = HashRequest(cryptographic_parameters=SHA_256, data=b"two", correlation_value=correlation)
    asked = [calls.create(), calls.raw(Operation.HASH, part)]
    return encode(messages.request(V2_1, asked), V2_1)


def items(data: bytes) -> list[Any]:
    response, _ = decode_response(data)
    return list(response.batch_items)


def objects(server: RunningServer) -> int:
    """How many objects are committed, without asking the server."""
    with closing(sqlite3.connect(server.folder / "objects.sqlite3")) as database:
        (number,) = database.execute("SELECT count(*) FROM objects").fetchone()
    return int(number)


@contextmanager
def held(server: RunningServer, name: str) -> Iterator[None]:
    """Hold a lock that the workers need: they get as far as there, and no further."""
    with (server.folder / f"objects.sqlite3.{name}").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def waits_for_turn(server: RunningServer, process: int) -> bool:
    """Whether a process wants to write, and waits for its turn (proc(5))."""
    files = [server.folder / f"objects.sqlite3.{name}" for name in ("queue", "turn")]
    numbers = {str(each.stat().st_ino) for each in files}
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(str(process) in each and each[-3].rpartition(":")[2] in numbers for each in locks)


def test_killed_before_it_has_begun_the_other_one_responds(
    crew: RunningServer, streams: list[ssl.SSLSocket]
) -> None:
    own, other = streams
    correlation, receiver = begun(own), worker_of(crew, 1)
    with stopped(receiver):  # whatever reaches it stays unread
        other.sendall(batch(correlation))
        os.kill(receiver, signal.SIGKILL)
    create, part = items(read_message(other))
    assert part.result_reason is ResultReason.INVALID_CORRELATION_VALUE
    assert create.result_status is ResultStatus.SUCCESS
    assert objects(crew) == 1


def test_killed_after_it_has_begun_nothing_is_repeated(
    crew: RunningServer, streams: list[ssl.SSLSocket]
) -> None:
    own, other = streams
    correlation, receiver = begun(own), worker_of(crew, 1)
    with held(crew, "turn"):
        other.sendall(batch(correlation))
        while not waits_for_turn(crew, receiver):
            pass
        os.kill(receiver, signal.SIGKILL)
        check_unknown(read_message(other))
    assert objects(crew) == 0


def test_killed_after_its_commit_nothing_is_repeated(
    crew: RunningServer, streams: list[ssl.SSLSocket]
) -> None:
    """The client must not believe that nothing has happened, nor may it happen twice."""
    own, other = streams
    correlation, receiver = begun(own), worker_of(crew, 1)
    with held(crew, "flushed"):
        other.sendall(batch(correlation))
        while not objects(crew):
            pass
        os.kill(receiver, signal.SIGKILL)
        unknown = threading.Thread(target=lambda: check_unknown(read_message(other)))
        unknown.start()
    unknown.join()
    assert objects(crew) == 1
    with crew.client() as client:
        assert len(client.locate().ids) == 1


def check_unknown(data: bytes) -> None:
    for item in items(data):
        assert item.result_status is ResultStatus.OPERATION_FAILED
        assert item.result_reason is ResultReason.GENERAL_FAILURE
        assert "whether it took place is unknown" in item.result_message


# --- a stop while messages are between workers --------------------------------------------------------


@pytest.mark.parametrize("who", ["the server", "the worker with the parts"])
def test_a_message_that_was_handed_over_is_finished_before_its_worker_ends(
    crew: RunningServer, streams: list[ssl.SSLSocket], who: str
) -> None:
    """Its client is at another worker: nothing of it is among the connections of the one that ends."""
    own, other = streams
    correlation, receiver, url = begun(own), worker_of(crew, 1), metrics_of(crew)
    part = HashRequest(cryptographic_parameters=SHA_256, data=b"two", correlation_value=correlation)
    asked = [pair_request(3072), calls.raw(Operation.HASH, part)]
    other.sendall(encode(messages.request(V2_1, asked), V2_1))
    is_answered = False
    while not is_answered and not value(
        families(fetch(url)), "kmipkit_places_used", pool="workers"
    ):
        is_answered = bool(select.select([other], [], [], 0)[0])
    if who == "the server":
        crew.signal(signal.SIGTERM)
    else:
        os.kill(receiver, signal.SIGTERM)
    assert own.recv(1) == b"", "it has no connections any more"
    results = [each.result_status for each in items(read_message(other))]
    assert results == [ResultStatus.SUCCESS] * 2
    if who == "the server":
        assert crew.reap() == 0


def test_a_request_that_has_begun_finds_the_parts_of_its_operation_while_the_server_stops(
    crew: RunningServer, streams: list[ssl.SSLSocket]
) -> None:
    """They are at a worker that has nothing else to finish."""
    own, other = streams
    request = batch(begun(own))
    other.sendall(request[:40])
    wait_until_read(other)
    crew.signal(signal.SIGTERM)
    assert own.recv(1) == b""
    other.sendall(request[40:])
    create, part = items(read_message(other))
    assert create.result_status is part.result_status is ResultStatus.SUCCESS
    assert crew.reap() == 0
