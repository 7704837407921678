"""What idle connections cost: ``python -m bench.idle [NUMBER]``.

Clients of several accounts connect, send one Get each, and then say nothing. Measured is the memory that
the server needs for each of them, and whether another client is served as before.
"""

import contextlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from kmipkit_certs import development
from kmipkit_certs.authority import Purpose
from kmipkit_certs.clock import system_clock
from kmipkit_certs.directory import Directory
from kmipkit_load.session import Session

from bench import load, messages, servers

NUMBER, SHORT = 5000, 1000
"""Connections of the measurement in the documentation, and of the short form in ``make bench``."""
ACCOUNTS = ("idle-1", "idle-2", "idle-3", "idle-4")
NEIGHBOUR = "busy"
GETS = 1000
"""Gets of the client that is not idle, of which each latency is measured."""
OTHER_FILES = 100
MAX_KILOBYTES = 100.0
"""The goal: memory of the server for a connection."""


class Result(NamedTuple):
    """What a number of idle connections costs."""

    connections: int
    kilobytes: float
    """Resident memory of the server for each connection."""
    alone: float
    """Median of another client's Gets without the connections, in milliseconds."""
    median: float
    percentile_99: float
    cold: float
    """Milliseconds until a new connection has its first response."""


def permitted(number: int) -> int:
    """How many of these connections the machine permits to this process and to the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = number + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return number if soft == resource.RLIM_INFINITY else min(number, soft - OTHER_FILES)


def measure(folder: Path, pki: Path, number: int, progress: Callable[[str], None]) -> Result:
    """The result for a number of connections, or fewer if the machine does not permit so many."""
    connections = permitted(number)
    if connections < number:
        progress(f"this machine permits {connections:,} connections only, not {number:,}")
    directory = Directory(pki)
    for name in (*ACCOUNTS, NEIGHBOUR):
        directory.issue(name, Purpose.CLIENT, datetime.now(UTC))
    options = ("--config", str(config(folder, connections)))
    with servers.kmipkit(folder / "data", pki, options=options) as server:
        targets = {name: load.target(server.port, pki, name) for name in (*ACCOUNTS, NEIGHBOUR)}
        gets = {name: load.prepared_get(target) for name, target in targets.items()}
        with load.connect(targets[NEIGHBOUR]) as stream:
            alone = statistics.median(_latencies(stream, gets[NEIGHBOUR]))
            before = server.memory()
            with contextlib.ExitStack() as idle:
                for index in range(connections):
                    if index % 500 == 0:
                        progress(f"{index:,} of {connections:,} idle connections ...")
                    name = ACCOUNTS[index % len(ACCOUNTS)]
                    silent = idle.enter_context(load.connect(targets[name]))
                    messages.check_success(silent.exchange(gets[name]))
                kilobytes = 1024 * (server.memory() - before) / connections
                times = _latencies(stream, gets[NEIGHBOUR])
                begun = time.perf_counter()
                with load.connect(targets[NEIGHBOUR]) as fresh:
                    messages.check_success(fresh.exchange(gets[NEIGHBOUR]))
                cold = 1000 * (time.perf_counter() - begun)
    return Result(
        connections,
        kilobytes,
        alone,
        statistics.median(times),
        statistics.quantiles(times, n=100)[98],
        cold,
    )


def config(folder: Path, connections: int) -> Path:
    """The configuration of a server that takes so many connections, and keeps them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "idle.toml"
    total = connections + OTHER_FILES
    file.write_text(
        f"[limits]\nconnections = {total}\nconnections_per_address = {total}\n"
        f"connections_per_account = {total}\nidle_timeout = 3600.0\n"
        "handshake_timeout = 120.0\n"  # many connect at the same time
    )
    return file


def _latencies(stream: Session, get: bytes) -> list[float]:
    times = []
    for _ in range(GETS):
        begun = time.perf_counter()
        messages.check_success(stream.exchange(get))
        times.append(1000 * (time.perf_counter() - begun))
    return times


def main() -> None:
    """Measure and print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER
    with tempfile.TemporaryDirectory() as temporary:
        pki = Path(temporary) / "pki"
        development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
        result = measure(
            Path(temporary) / "idle", pki, number, lambda text: print(text, file=sys.stderr)
        )
    print(f"idle connections: {result.connections:,}, of {len(ACCOUNTS)} accounts")
    print(f"memory of the server for each: {result.kilobytes:.1f} kB")
    print(
        f"Get of another client: {result.alone:.2f} ms without them, {result.median:.2f} ms with"
        f" them (99 %: {result.percentile_99:.1f} ms)"
    )
    print(f"a new connection with one Get: {result.cold:.1f} ms")


if __name__ == "__main__":
    main()
