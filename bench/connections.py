"""Many connections, of which some are active: ``python -m bench.connections``.

Clients of several accounts connect, send one Get each, and then say nothing; others send a Get each
second on average. Measured are the memory of the server for a connection, and the latencies of the
active ones, with and without the idle ones. The limit of open files is raised as far as the system
permits; what it does not permit is said.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kmipkit_certs import development
from kmipkit_certs.authority import Purpose
from kmipkit_certs.clock import system_clock
from kmipkit_certs.directory import Directory
from kmipkit_load.encoding import Encoding
from kmipkit_load.measures import Measures
from kmipkit_load.network import Sockets
from kmipkit_load.session import Session

from bench import figures, idle, load, messages, servers
from bench.servers import Server

IDLE, ACTIVE = 10_000, 1_000
PER_SECOND = 1.0
"""Gets of each active connection in a second, on average."""
SECONDS = 10.0
CLIENT = "active"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the Gets of all active connections, in milliseconds from the time at which each was due."""

    rate: float
    """Responses in a second."""
    median: float
    percentile_99: float
    longest: float

    @classmethod
    def of(cls, measures: Measures) -> "Latency":
        """What a run has measured."""
        values = [measures.latency.percentile(percent) / 1e6 for percent in (50, 99, 100)]
        return cls(measures.rate, *values)


@dataclass(frozen=True, slots=True)
class Result:
    """What many connections cost."""

    idle: int
    active: int
    before: float
    """Megabytes of the server without connections."""
    with_active: float
    """With the active connections."""
    with_all: float
    """With all connections."""
    alone: Latency
    """Of the active connections without the idle ones."""
    beside: Latency
    """With them."""


def measure(
    folder: Path,
    pki: Path,
    progress: Progress,
    numbers: tuple[int, int] = (IDLE, ACTIVE),
    seconds: float = SECONDS,
) -> Result:
    """The result for a number of connections, or fewer if the machine does not permit so many."""
    total = idle.permitted(sum(numbers))
    if total < sum(numbers):
        progress(
            f"this machine permits {total:,} connections (open files), not {sum(numbers):,}; raise"
            " the hard limit (ulimit -Hn) for the others"
        )
    active = min(numbers[1], total // 2)
    silent = min(numbers[0], total - active)
    directory = Directory(pki)
    for name in (*idle.ACCOUNTS, CLIENT):
        directory.issue(name, Purpose.CLIENT, datetime.now(UTC))
    options = ("--config", str(idle.config(folder, total)))
    with servers.kmipkit(folder / "data", pki, options=options) as server:
        before = server.memory()
        progress(f"{active:,} active connections ...")
        with_active, alone = _gets(server, pki, active, seconds)
        with _silent(server, pki, silent, progress):
            progress(f"{active:,} active connections beside {silent:,} idle ones ...")
            with_all, beside = _gets(server, pki, active, seconds)
    return Result(silent, active, before, with_active, with_all, alone, beside)


def _gets(server: Server, pki: Path, active: int, seconds: float) -> tuple[float, Latency]:
    """Gets on so many connections: the memory of the server meanwhile, and the latencies."""
    target = load.target(server.port, pki, CLIENT)
    memory = [0.0]

    def look() -> None:
        memory[0] = max(memory[0], server.memory())

    get = load.prepared_get(target)
    measures = load.open_loop(target, get, active, active * PER_SECOND, seconds, look)
    return memory[0], Latency.of(measures)


@contextmanager
def _silent(server: Server, pki: Path, number: int, progress: Progress) -> Iterator[None]:
    """Connections that have sent a Get."""
    targets = [load.target(server.port, pki, name) for name in idle.ACCOUNTS]
    gets = [load.prepared_get(target) for target in targets]
    with contextlib.ExitStack() as cleanup:
        networks = [cleanup.enter_context(Sockets(target)) for target in targets]
        for index in range(number):
            if index % 1000 == 0:
                progress(f"{index:,} of {number:,} idle connections ...")
            place = index % len(targets)
            # One file for each connection; the network closes them.
            session = Session(networks[place], Encoding(), load.TIMEOUT)
            messages.check_success(session.exchange(gets[place]))
        yield


def table(document: Mapping[str, Any]) -> str:
    """The figures of a run as Markdown."""
    lines = [
        "| connections | memory of the server | for each | Gets per second | median | 99 % | longest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| none | {document['before']:,.0f} MB | | | | | |",
    ]
    active, idle = document["active"], document["idle"]
    for name, memory, number, more, latency in (
        (
            f"{active:,} active",
            document["with_active"],
            active,
            document["with_active"] - document["before"],
            document["alone"],
        ),
        (
            f"{active:,} active, {idle:,} idle",
            document["with_all"],
            idle,
            document["with_all"] - document["with_active"],
            document["beside"],
        ),
    ):
        lines.append(
            f"| {name} | {memory:,.0f} MB | {1024 * more / number:.0f} kB | {latency['rate']:,.0f}"
            f" | {latency['median']:.1f} ms | {latency['percentile_99']:.1f} ms"
            f" | {latency['longest']:.0f} ms |"
        )
    return "\n".join(lines)


def document(result: Result) -> dict[str, Any]:
    """The result with what it depends on."""
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "machine": figures.machine(),
        **asdict(result),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.connections",
        description=__doc__,
        epilog="example: python -m bench.connections --idle 2000 --active 200",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--idle", type=int, default=IDLE, metavar="NUMBER")
    parser.add_argument("--active", type=int, default=ACTIVE, metavar="NUMBER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as directory:
        pki = Path(directory) / "pki"
        development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
        numbers = (arguments.idle, arguments.active)
        result = measure(Path(directory) / "connections", pki, progress, numbers)
    made = document(result)
    print(table(made))
    if arguments.json is not None:
        text = json.dumps(made, indent=2, ensure_ascii=False)
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
