"""A server with several worker processes, as clients and operators see it, also when one is killed."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kmipkit_certs import files
from kmipkit_certs.authority import Purpose
from kmipkit_client import Client, OperationFailed, calls, messages
from kmipkit_server.audit.query import Filter
from kmipkit_server.audit.records import Event
from monitoring import families, fetch, value
from servers import (
    ANSWER_TIMEOUT,
    RunningServer,
    exchange,
    pair_request,
    read_message,
    wait_until_read,
)

from kmipkit.errors import KMIPError
from kmipkit.model.codec import encode
from kmipkit.spec.versions import V1_4

QUERY = encode(messages.request(V1_4, [calls.query(())]), V1_4)
WORKERS = 2


@pytest.fixture
def crew(own_server: RunningServer) -> RunningServer:
    """A server with two workers, not yet started."""
    own_server.arguments = ("--workers", str(WORKERS))
    return own_server


def with_settings(server: RunningServer, text: str) -> RunningServer:
    """The same with a configuration file."""
    config = server.folder.with_name("kmipkit.toml")
    config.write_text(text)
    server.arguments = (*server.arguments, "--config", str(config))
    return server


def is_open(stream: ssl.SSLSocket) -> bool:
    """Whether a connection still gets answers."""
    try:
        return bool(exchange(stream, QUERY))
    except OSError:
        return False


def wait_for_all_workers(server: RunningServer, url: str) -> None:
    """Wait until no worker is missing."""
    assert server.process is not None
    is_ready = False
    while not is_ready:
        assert server.process.poll() is None, server.lines()[-3:]
        with suppress(OSError):  # the dead worker may have accepted this connection
            is_ready = fetch(url.replace("/metrics", "/readyz")).status == 200


@pytest.fixture
def watched(crew: RunningServer) -> str:
    """The URL of the metrics of a running server with two workers."""
    with_settings(crew, '[metrics]\nlisten = "127.0.0.1:0"\n').start()
    return crew.ready.partition("metrics ")[2].strip()


def test_there_is_one_ready_line_and_one_process_to_signal(crew: RunningServer) -> None:
    ready_file = crew.folder.with_name("ready.json")
    crew.arguments = (*crew.arguments, "--ready-file", str(ready_file))
    crew.start()
    assert crew.process is not None
    assert crew.process.stdout is not None
    assert json.loads(ready_file.read_text())["process"] == crew.process.pid
    assert len(crew.processes) == WORKERS
    crew.signal(signal.SIGTERM)
    assert crew.process.stdout.read() == "", "standard output has the ready line only"
    assert crew.reap() == 0
    assert not ready_file.exists()


def test_connections_are_spread_evenly_and_a_dead_worker_takes_only_its_own(
    crew: RunningServer,
) -> None:
    crew.start()
    with ExitStack() as cleanup:
        streams = [cleanup.enter_context(crew.raw()) for _ in range(4 * WORKERS)]
        assert all(map(is_open, streams))
        os.kill(crew.processes[0], signal.SIGKILL)
        crew.wait_for_line("another one takes its place")
        assert sum(map(is_open, streams)) == 4 * (WORKERS - 1)
    with crew.raw() as stream:
        assert is_open(stream), "new connections are served at once"


def test_what_was_acknowledged_survives_the_death_of_a_worker(crew: RunningServer) -> None:
    """Clients reconnect by themselves; the audit log of the dead worker is complete, too."""
    crew.start()
    created: list[str] = []
    is_killed = threading.Event()

    def create() -> None:
        with crew.client() as client:
            while not (is_killed.is_set() and len(created) >= 30):
                try:
                    created.append(client.create())
                except KMIPError:
                    continue  # the connection was that of the dead worker

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(created) < 10:
        pass
    os.kill(crew.processes[0], signal.SIGKILL)
    crew.wait_for_line("was ended by SIGKILL")
    is_killed.set()
    for thread in threads:
        thread.join(ANSWER_TIMEOUT)
    with crew.client() as client:
        assert all(client.get(identifier) for identifier in created)
    assert crew.stop() == 0
    command = ["-m", "kmipkit", "admin", "audit"]
    verified = _run(*command, "verify", "--data-dir", str(crew.folder))
    assert verified.returncode == 0, verified.stderr
    found = _run(
        *command, "query", "--operation", "create", "--outcome", "success", "--json",
        "--data-dir", str(crew.folder),
    )  # fmt: skip
    records = [json.loads(line) for line in found.stdout.splitlines()]
    recorded = {identifier for each in records for identifier in each["objects"]}
    assert set(created) <= recorded
    assert {each.get("log", "") for each in records} == {"", "worker-2"}
    times = [each["time"] for each in records]
    assert times == sorted(times), "the logs are read in the order of time"


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=ANSWER_TIMEOUT
    )


def test_without_its_supervisor_no_worker_goes_on(crew: RunningServer) -> None:
    """To whoever comes next, it is one server that was killed: nothing is in use any longer."""
    crew.start()
    with crew.raw() as stream:
        exchange(stream, QUERY)
        crew.kill()
        listed = _run("-m", "kmipkit", "admin", "objects", "list", "--data-dir", str(crew.folder))
        assert listed.returncode == 0, listed.stderr
        assert stream.recv(1) == b""
    crew.start()  # at the same port
    crew.kill()
    crew.start()


def test_a_refused_connection_is_in_log_and_audit_when_it_is_closed(crew: RunningServer) -> None:
    """Also while the workers end, since what is told to the supervisor then must not be lost."""
    with_settings(crew, f"[listen]\ndrain_seconds = {ANSWER_TIMEOUT}\n").start()

    def refusals() -> list[str]:
        return [
            each.entry.kind
            for each in crew.records(Filter())
            if each.entry.event is Event.CONNECTION
        ]

    with crew.raw() as stream:
        stream.sendall(bytes(16))
        while stream.recv(4096):
            pass
        assert [line for line in crew.lines() if "bad request" in line]
        assert refusals() == ["bad request"]
    with ExitStack() as cleanup:
        busy = [cleanup.enter_context(crew.raw()) for _ in range(WORKERS)]
        for stream in busy:
            stream.sendall(QUERY[:40])
            wait_until_read(stream)
        plain = [cleanup.enter_context(crew.connect()) for _ in range(WORKERS)]
        for each in plain:
            each.sendall(b"G")  # half of the first record of a handshake
        crew.signal(signal.SIGTERM)
        crew.wait_for_line("stopping: finishing")
        for each in plain:
            each.sendall(b"ET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionResetError):
                while each.recv(4096):
                    pass
        assert len([line for line in crew.lines() if "TLS handshake failed" in line]) == 1
        assert refusals() == ["bad request", "TLS handshake failed"]
        for stream in busy:
            stream.sendall(QUERY[40:])
            assert read_message(stream)
    assert crew.reap() == 0


def test_a_reload_is_for_all_workers_or_for_none(crew: RunningServer) -> None:
    crew.start()
    path = crew.pki.files("server").cert
    good = path.read_bytes()
    path.write_text("not a certificate")
    crew.signal(signal.SIGHUP)
    crew.wait_for_line("not reloaded, the old ones stay in use")
    path.write_bytes(good)
    old = _certificates(crew)
    assert len(old) == 1
    issued = crew.pki.authority().issue(
        "server", Purpose.SERVER, datetime.now(UTC), alternative=["127.0.0.1"]
    )
    written = crew.pki.files("server")
    for each in (written.key, written.cert):
        each.unlink()
    files.write_key(written.key, issued.key)
    files.write_certificate(written.cert, issued.certificate)
    crew.signal(signal.SIGHUP)
    crew.wait_for_line("configuration and certificates reloaded")
    new = _certificates(crew)
    assert len(new) == 1
    assert new != old
    errors = [line for line in crew.lines() if "ERROR" in line]
    assert len(errors) == 1, "what fails is told once, not by each worker"


def _certificates(server: RunningServer) -> set[bytes | None]:
    """The certificates of all workers, since each gets one of these connections."""
    with ExitStack() as cleanup:
        streams = [cleanup.enter_context(server.raw()) for _ in range(2 * WORKERS)]
        return {each.getpeercert(binary_form=True) for each in streams}


def test_sigterm_lets_the_requests_of_all_workers_finish(crew: RunningServer) -> None:
    crew.start()
    with ExitStack() as cleanup:
        busy = [cleanup.enter_context(crew.raw()) for _ in range(2 * WORKERS)]
        idle = [cleanup.enter_context(crew.raw()) for _ in range(WORKERS)]
        for stream in busy:
            stream.sendall(QUERY[:40])
            wait_until_read(stream)
        for stream in idle:
            exchange(stream, QUERY)
        crew.signal(signal.SIGTERM)
        assert all(stream.recv(1) == b"" for stream in idle)
        for stream in busy:
            stream.sendall(QUERY[40:])
            assert read_message(stream)
    assert crew.reap() == 0


def test_a_second_signal_does_not_wait_for_anybody(crew: RunningServer) -> None:
    with_settings(crew, f"[listen]\ndrain_seconds = {10 * ANSWER_TIMEOUT}\n").start()
    with crew.raw() as stream:
        stream.sendall(QUERY[:40])
        wait_until_read(stream)
        crew.signal(signal.SIGINT)
        crew.wait_for_line("stopping: finishing")
        crew.signal(signal.SIGINT)
        assert crew.reap() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_lets_requests_finish(
    crew: RunningServer, number: signal.Signals
) -> None:
    """A terminal sends SIGINT to all of them, and a service manager SIGTERM."""
    crew.start()
    with crew.raw() as busy:
        busy.sendall(QUERY[:40])
        wait_until_read(busy)
        for process in crew.processes:
            os.kill(process, signal.SIGHUP)
            os.kill(process, number)
        crew.signal(number)
        busy.sendall(QUERY[40:])
        assert read_message(busy)
    assert crew.reap() == 0


def test_a_worker_that_is_told_to_end_is_replaced(crew: RunningServer) -> None:
    with_settings(crew, f"[listen]\ndrain_seconds = {ANSWER_TIMEOUT}\n").start()
    old = crew.processes
    with ExitStack() as cleanup:
        streams = [cleanup.enter_context(crew.raw()) for _ in range(WORKERS)]
        for stream in streams:
            stream.sendall(QUERY[:40])
            wait_until_read(stream)
        os.kill(old[0], signal.SIGTERM)
        for stream in streams:
            stream.sendall(QUERY[40:])
            assert read_message(stream), "its requests are finished"
    crew.wait_for_line("another one takes its place")
    with crew.client() as client:
        assert client.create()
    assert not [line for line in crew.lines() if "ERROR" in line]


@pytest.mark.parametrize("at_once", [1, WORKERS], ids=["one after the other", "all at once"])
def test_after_a_rotation_of_the_root_key_workers_are_replaced(
    crew: RunningServer, watched: str, at_once: int
) -> None:
    """The configuration names the old root key until the next start; no worker may be lost by that,
    not even if there is none left that could be asked for the new one."""
    new = crew.folder.with_name("new.key")
    access = [f"--{name}={path}" for name, path in crew.credentials().items()]
    access.append(f"--server=127.0.0.1:{crew.port}")
    done = _run("-m", "kmipkit", "admin", "keys", "rotate-root", f"--to=file:{new}", *access)
    assert done.returncode == 0, done.stderr
    for count in range(at_once, WORKERS + 1, at_once):
        for process in crew.processes[:at_once]:
            os.kill(process, signal.SIGKILL)
        crew.wait_for_line("was ended by SIGKILL", count)
        wait_for_all_workers(crew, watched)
    with crew.client() as client:
        assert client.create()
    assert not [line for line in crew.lines() if "cannot start" in line]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_another_worker_costs_a_full_handshake_and_no_more(
    crew: RunningServer, version: ssl.TLSVersion
) -> None:
    """Workers have different keys for session tickets: the client must not notice."""
    crew.start()
    context = crew.context()
    context.minimum_version = context.maximum_version = version

    def connect(session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        stream = context.wrap_socket(crew.connect(), server_hostname="127.0.0.1", session=session)
        assert exchange(stream, QUERY)
        return stream

    with connect() as first, connect(first.session) as other:  # the other worker has none yet
        assert not other.session_reused
        assert is_open(first)
    assert not [line for line in crew.lines() if "WARNING" in line or "ERROR" in line]


LIMITS = """
[limits]
connections = 3
connections_per_address = 3
connections_per_account = 3
"""


def test_limits_hold_over_all_workers(crew: RunningServer) -> None:
    with_settings(crew, LIMITS).start()
    with ExitStack() as cleanup:
        busy = [cleanup.enter_context(crew.raw()) for _ in range(3)]
        for stream in busy:
            exchange(stream, QUERY)
            stream.sendall(QUERY[:40])
            wait_until_read(stream)
        with pytest.raises(OSError), crew.raw():
            pytest.fail("a fourth connection got a place")
        for stream in busy:
            stream.sendall(QUERY[40:])
            assert read_message(stream), "nobody with a request in progress makes room"
        # Now they are silent, and after a second the first of them makes room for another.
        while not _connects(crew):
            pass
        assert sum(map(is_open, busy)) == 2
    crew.wait_for_line("3 connections")


def _connects(server: RunningServer) -> bool:
    try:
        with server.raw() as stream:
            return is_open(stream)
    except OSError:
        return False


def test_the_limit_of_an_account_holds_over_all_workers(crew: RunningServer) -> None:
    with_settings(crew, "[limits]\nconnections_per_account = 2\n").start()
    with ExitStack() as cleanup:
        busy = [cleanup.enter_context(crew.raw()) for _ in range(2)]
        for stream in busy:
            exchange(stream, QUERY)
            stream.sendall(QUERY[:40])
            wait_until_read(stream)
        with crew.raw() as third:
            assert not is_open(third)
        with crew.raw("somebody") as other:
            assert is_open(other)


def test_an_account_computes_no_more_with_a_connection_to_each_worker(crew: RunningServer) -> None:
    """Nobody else could have a key pair made meanwhile."""
    settings = '[limits]\nworkers = 2\n[metrics]\nlisten = "127.0.0.1:0"\n'
    with_settings(crew, settings).start()
    url = crew.ready.partition("metrics ")[2].strip()
    request = messages.request(V1_4, [pair_request(8192)])
    with ExitStack() as cleanup:
        streams = [cleanup.enter_context(crew.raw("greedy")) for _ in range(WORKERS)]
        for stream in streams:
            stream.sendall(encode(request, V1_4))
        used = waiting = 0.0
        while used + waiting < 2:
            metrics = families(fetch(url))
            used = value(metrics, "kmipkit_places_used", pool="workers")
            waiting = value(metrics, "kmipkit_queue_length", queue="workers")
        assert (used, waiting) == (1, 1)
        assert value(metrics, "kmipkit_places", pool="workers") == 2
    with crew.client("somebody") as client:
        assert client.create_key_pair(length=1024)


def test_metrics_are_those_of_all_workers_and_never_go_back(
    crew: RunningServer, watched: str
) -> None:
    def gets() -> float:
        metrics = families(fetch(watched))
        return value(metrics, "kmipkit_operations_total", operation="Query")

    with ExitStack() as cleanup:
        streams = [cleanup.enter_context(crew.raw()) for _ in range(2 * WORKERS)]
        for stream in streams:
            exchange(stream, QUERY)
        metrics = families(fetch(watched))
        assert value(metrics, "kmipkit_operations_total", operation="Query") == 2 * WORKERS
        assert value(metrics, "kmipkit_connections_open") == 2 * WORKERS
        assert value(metrics, "kmipkit_connections_accepted_total") == 2 * WORKERS
        assert value(metrics, "kmipkit_workers") == WORKERS
        assert value(metrics, "kmipkit_build_info") == 1
    before = gets()
    os.kill(crew.processes[0], signal.SIGKILL)
    wait_for_all_workers(crew, watched)
    assert gets() >= before
    assert value(families(fetch(watched)), "kmipkit_worker_restarts_total") == 1


def test_administrators_see_the_clients_of_all_workers_and_end_their_connections(
    crew: RunningServer,
) -> None:
    crew.start()
    admin = ("--server", f"127.0.0.1:{crew.port}", "--json")
    environment = {
        f"KMIPKIT_{name.upper()}": str(path) for name, path in crew.credentials().items()
    }

    def ask(*arguments: str) -> list[dict[str, Any]]:
        process = subprocess.run(
            [sys.executable, "-m", "kmipkit", "admin", *arguments, *admin],
            env={**os.environ, **environment}, capture_output=True, text=True,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        return [json.loads(line) for line in process.stdout.splitlines()]

    with ExitStack() as cleanup:
        streams = [cleanup.enter_context(crew.raw("somebody")) for _ in range(2 * WORKERS)]
        assert all(map(is_open, streams))
        own = [each for each in ask("sessions", "list") if each.get("account") == "somebody"]
        assert len({each["number"] for each in own}) == 2 * WORKERS
        others = [cleanup.enter_context(crew.raw(f"client {each}")) for each in range(WORKERS)]
        assert all(map(is_open, others))
        for listed in (ask("accounts", "list"), ask("certificates")):
            assert {"client 0", "client 1", "somebody"} <= {each["name"] for each in listed}
        ask("sessions", "close", str(own[0]["number"]))
        assert sum(map(is_open, streams)) == 2 * WORKERS - 1
        [blocked] = ask("accounts", "block", "somebody")
        assert blocked["connections"] == 2 * WORKERS - 1
        assert not any(map(is_open, streams))
    with pytest.raises(OperationFailed), crew.client("somebody") as client:
        client.create()


def test_a_start_that_fails_says_why_once(crew: RunningServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        crew.port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match="cannot listen on"):
            crew.start()
    crew.port = 0
    crew.start()
    second = RunningServer(crew.folder, crew.arguments)
    with pytest.raises(AssertionError, match="is in use by another server"):
        second.start()
    crew.stop()
    crew.folder.joinpath("root.key").unlink()
    before = len(crew.lines())
    with pytest.raises(AssertionError, match="root key"):
        crew.start()
    added = "\n".join(crew.lines()[before:])
    assert added.count("Error:") == 1
    assert "Traceback" not in added


def test_a_server_in_the_background_has_workers_too(crew: RunningServer) -> None:
    command = ["-m", "kmipkit", "serve", "--data-dir", str(crew.folder)]
    started = _run(*command, "--port", "0", "--workers", str(WORKERS), "--detach")
    assert started.returncode == 0, started.stderr
    port = int(started.stdout.split("listening on 127.0.0.1:")[1].split(",")[0])
    with Client(port=port, **crew.credentials()) as client:
        assert client.create()
    stopped = _run(*command, "--stop")
    assert stopped.returncode == 0, stopped.stderr


def test_the_number_of_workers_may_change(crew: RunningServer) -> None:
    """The logs of workers that there are no longer stay complete, and are read as well."""
    crew.arguments = ("--workers", "3")
    crew.start()
    with crew.client() as client:
        client.create()
    crew.kill()
    crew.arguments = ("--workers", "1")
    crew.start()
    assert crew.process is not None
    assert crew.processes == [crew.process.pid], "one worker needs no supervisor"
    crew.stop()
    verified = _run("-m", "kmipkit", "admin", "audit", "verify", "--data-dir", str(crew.folder))
    assert verified.returncode == 0, verified.stderr
    assert "of worker-3" in verified.stdout


def test_wrong_numbers_of_workers_are_refused(tmp_path: Path) -> None:
    for number in ("0", "-1", "2000", "many"):
        process = _run("-m", "kmipkit", "serve", "--data-dir", str(tmp_path), "--workers", number)
        assert process.returncode == 2
        assert "Usage: " in process.stderr
        assert "Invalid value for '--workers'" in process.stderr
