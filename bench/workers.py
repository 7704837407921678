"""What further workers bring: ``python -m bench.workers`` compares servers with one, two and four.

Two figures say it, and neither is the other:

* the *rate* is what the clients get, by the clock. If there are no processors beside those of the server
  and of its load, the generator takes the time of the second worker: then the rate of two workers says
  how fast server and generator are together, and no more;
* the *processor time* of a request is what all processes of the server use for it, in user and system
  mode, without what they use when they are idle. It does not count the generator, and not the waiting.
  From it follows what so many workers could answer if each had a processor of its own and nothing to
  wait for: ``workers / time``. So it shows what it costs to be several, and is an upper bound of what
  that brings.

All servers run at the same time and are measured in turn, so that other programs affect them in the same
way. A comparison of rates is the median of those of all rounds; of the processor time, the least counts.
"""

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from kmipkit_certs import development
from kmipkit_certs.clock import system_clock
from kmipkit_load.target import Target

from bench import load, messages, servers
from bench.rows import Row, at_least, table

SECONDS = 1.5
ROUNDS = 7
CONNECTIONS = 64
SETTLING_SECONDS, IDLE_SECONDS = 2.0, 5.0
"""How long the servers are left alone after their start, and how long it is measured then."""
COUNTED = {"Get": 3000, "Create, durable": 1000}
"""Requests of a round whose processor time is measured."""

Requests = Callable[[bytes, str], Iterator[bytes]]


@dataclass(slots=True)
class _Server:
    """A server, and how much of a processor it uses when it is idle."""

    server: servers.Server
    idle: float = 0.0

    def processor_time(self) -> float:
        """What it has computed, in seconds."""
        return self.server.processor_time()


@dataclass(slots=True)
class Figures:
    """What a server with so many workers does."""

    workers: int
    rates: list[float] = field(default_factory=list)
    """Requests per second, in each round."""
    seconds: float = float("inf")
    """Processor time for a request."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return median(self.rates)

    def rate_to(self, one: "Figures") -> float:
        """How many times the rate of another server."""
        return median(own / other for own, other in zip(self.rates, one.rates, strict=True))

    @property
    def capacity(self) -> float:
        """Requests per second of as many workers, each with a processor of its own."""
        return self.workers / self.seconds

    def note(self, rate: float, seconds: float) -> None:
        """Note the figures of a round."""
        self.rates.append(rate)
        self.seconds = min(self.seconds, seconds)


All = dict[str, dict[int, Figures]]
"""By measurement and number of workers."""

MEASUREMENTS: dict[str, Requests] = {
    "Get": lambda get, _: itertools.repeat(get),
    "Create, durable": lambda _, prefix: messages.creates(prefix),
}


def measure(
    folder: Path, pki: Path, progress: Callable[[str], None], counts: Sequence[int] = (1, 2)
) -> All:
    """The figures of servers with so many workers."""
    found: All = {name: {count: Figures(count) for count in counts} for name in MEASUREMENTS}
    with ExitStack() as cleanup:
        running: dict[int, _Server] = {}
        for count in counts:
            with _apart(count):
                server = servers.kmipkit(folder / f"{count}", pki, workers=count)
                running[count] = _Server(cleanup.enter_context(server))
        _measure_idle(running.values())
        cleanup.callback(os.sched_setaffinity, 0, _PROCESSORS)
        for number, name in itertools.product(range(ROUNDS), MEASUREMENTS):
            progress(f"{name}, round {number + 1} of {ROUNDS} ...")
            for count in counts if number % 2 else reversed(counts):
                os.sched_setaffinity(0, _for_load(count))
                _measure(name, running[count], pki, f"{number}", found[name][count])
    return found


def _measure(name: str, server: _Server, pki: Path, prefix: str, figures: Figures) -> None:
    """Measure one server in one round."""
    target, requests = load.target(server.server.port, pki), MEASUREMENTS[name]
    get = load.prepared_get(target)
    figures.note(
        load.rate(target, requests(get, f"{prefix}-a-"), CONNECTIONS, SECONDS),
        _processor_time(server, target, requests(get, f"{prefix}-b-"), COUNTED[name]),
    )


def _measure_idle(running: Collection[_Server]) -> None:
    """Measure what servers compute when nobody asks them anything."""
    sleep(SETTLING_SECONDS)
    before, begun = [each.processor_time() for each in running], perf_counter()
    sleep(IDLE_SECONDS)
    for each, earlier in zip(running, before, strict=True):
        each.idle = (each.processor_time() - earlier) / (perf_counter() - begun)


def _processor_time(
    server: _Server, target: Target, requests: Iterator[bytes], number: int
) -> float:
    """Seconds that the processes of a server compute for a request."""
    before, begun = server.processor_time(), perf_counter()
    load.send_all(target, requests, number, CONNECTIONS)
    idle = server.idle * (perf_counter() - begun)
    return (server.processor_time() - before - idle) / number


@contextmanager
def _apart(count: int) -> Iterator[None]:
    """The processors of the server, which its processes inherit, while it starts."""
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _for_server(count))
    try:
        yield
    finally:
        os.sched_setaffinity(0, everything)


_PROCESSORS = sorted(os.sched_getaffinity(0))


def _for_server(count: int) -> set[int]:
    return set(_PROCESSORS[:count]) if is_apart(count) else set(_PROCESSORS)


def _for_load(count: int) -> set[int]:
    return set(_PROCESSORS) - _for_server(count) or set(_PROCESSORS)


def is_apart(count: int) -> bool:
    """Whether the load generator has a processor beside those of so many workers."""
    return len(_PROCESSORS) > count


def rows(figures: All) -> Iterator[Row]:
    """The lines with goals. Without a processor for the load, Get is judged by its processor time."""
    gets, creates = figures["Get"], figures["Create, durable"]
    for count in sorted(gets)[1:]:
        if count == 2 and is_apart(count):
            yield _row("Get with 2 workers, to one", gets[1], gets[count], 1.7)
        elif count == 2:
            name = "Get with 2 workers, to one, by processor time"
            yield at_least(name, gets[1].capacity, gets[count].capacity, 1.7)
        yield _row(f"Create with {count} workers, to one", creates[1], creates[count], 1)


def _row(measurement: str, one: Figures, several: Figures, goal: float) -> Row:
    ratio = several.rate_to(one)
    rates = f"{one.rate:,.0f}/s", f"{several.rate:,.0f}/s"
    return Row(measurement, *rates, ratio, f"≥ {goal:g}", ratio >= goal)


def details(figures: All) -> Iterator[str]:
    """All figures, as Markdown."""
    yield "| measurement | workers | requests/s | to one | µs of processor each | capacity, to one |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, by_count in figures.items():
        one = by_count[1]
        for count, each in by_count.items():
            yield (
                f"| {name} | {count} | {each.rate:,.0f} | {each.rate_to(one):.2f}"
                f" | {each.seconds * 1e6:.0f} | {each.capacity / one.capacity:.2f} |"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare servers with several workers.")
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4], help="how many; also one")
    counts = (1, *parser.parse_args().workers)

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as directory:
        folder = Path(directory)
        pki = folder / "pki"
        development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
        figures = measure(folder, pki, progress, counts)
    print("\n".join(details(figures)))
    if not is_apart(2):
        print("\nThe load generator shares the processors of the server: see the rates with that.")
    print(f"\n{table(rows(figures))}")


if __name__ == "__main__":
    main()
