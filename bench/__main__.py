"""``make bench``: runs all measurements and prints a table."""

import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kmipkit_certs import development
from kmipkit_certs.clock import system_clock

from bench import codec, idle, load, messages, neighbours, servers

SECONDS = 1.5
ROUNDS = 4
"""Rounds of each measurement, in which the servers alternate; the best round counts."""

NAMES = 10_000
PYKMIP_LOCATES = 3
STORE_SIZES = (1_000, 10_000, 100_000)


UNRECORDED = "kmipkit without its audit log"

_MEASURED = {
    "get": ("echo", "PyKMIP", "kmipkit", UNRECORDED),
    "create": ("PyKMIP", "kmipkit"),
    "cold": ("PyKMIP", "kmipkit"),
}
"""The measurements, and the servers that they compare."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; ``goal`` is the required ratio."""

    measurement: str
    reference: str
    measured: str
    ratio: float
    goal: str
    reached: bool


def report_progress(text: str) -> None:
    """Print progress, separate from the table."""
    print(text, file=sys.stderr, flush=True)


def at_least(
    measurement: str, reference: float, measured: float, goal: float, unit: str = "/s"
) -> Row:
    """A row in which more is better."""
    ratio = measured / reference
    return Row(
        measurement,
        f"{reference:,.0f}{unit}",
        f"{measured:,.0f}{unit}",
        ratio,
        f"≥ {goal:g}",
        ratio >= goal,
    )


class Bench:
    """One run in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pki = folder / "pki"
        development.ensure(self._pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
        self._settings = load.context(self._pki)

    def rows(self) -> list[Row]:
        """All measurements."""
        rows = self._codec()
        rates = self._compare()
        reference, measured = rates["PyKMIP"], rates["kmipkit"]
        reference["locate"] = self._pykmip_locate()
        measured |= self._kmipkit_locates()
        rows += [
            at_least("Get, 8 connections, to PyKMIP", reference["get"], measured["get"], 15),
            at_least(
                "Get, 8 connections, to the TLS echo",
                rates["echo"]["get"],
                measured["get"],
                0.2,
            ),
            at_least(
                "Get with the audit log, to without",
                rates[UNRECORDED]["get"],
                measured["get"],
                0.8,
            ),
            at_least(
                "Create, durable, 32 connections", reference["create"], measured["create"], 10
            ),
            at_least("Cold connection with one Get", reference["cold"], measured["cold"], 2),
            at_least(
                f"Locate by name among {NAMES:,}",
                reference["locate"],
                measured[f"locate {NAMES}"],
                500,
            ),
        ]
        small, large = (
            1e6 / measured[f"locate {number}"] for number in (STORE_SIZES[0], STORE_SIZES[-1])
        )
        rows.append(
            Row(
                "Locate by name, 100,000 to 1,000 objects",
                f"{small:,.0f} µs",
                f"{large:,.0f} µs",
                large / small,
                "≤ 2",
                large <= 2 * small,
            )
        )
        memory = measured["memory"]
        rows.append(
            Row(
                "Memory at 100,000 objects",
                "",
                f"{memory:,.0f} MB",
                memory / 150,
                "≤ 1",
                memory < 150,
            )
        )
        rows.append(self._help())
        rows += self._neighbours()
        rows.append(self._idle())
        return rows

    def _codec(self) -> list[Row]:
        report_progress("codec ...")
        return [
            Row(
                name,
                f"{reference:.1f} µs",
                f"{measured:.1f} µs",
                reference / measured,
                "≥ 15",
                reference >= 15 * measured,
            )
            for name, (reference, measured) in codec.figures().items()
        ]

    def _compare(self) -> dict[str, dict[str, float]]:
        """The best rates of all servers, which run at the same time and are measured in turn."""
        best: dict[str, dict[str, float]] = {
            name: {} for names in _MEASURED.values() for name in names
        }
        no_audit = self._folder / "no-audit.toml"
        no_audit.write_text("[audit]\nenabled = false\n")
        options = ("--config", str(no_audit))
        with (
            servers.echo(self._pki) as echo,
            servers.pykmip(self._folder / "pykmip", self._pki) as pykmip,
            servers.kmipkit(self._folder / "kmipkit", self._pki) as kmipkit,
            servers.kmipkit(self._folder / "unrecorded", self._pki, options=options) as unrecorded,
        ):
            gets = {server.port: self._get(server) for server in (pykmip, kmipkit, unrecorded)}
            gets[echo.port] = gets[kmipkit.port]
            running = {
                "echo": echo,
                "PyKMIP": pykmip,
                "kmipkit": kmipkit,
                UNRECORDED: unrecorded,
            }
            for number, (measurement, names) in itertools.product(range(ROUNDS), _MEASURED.items()):
                report_progress(f"{measurement}, round {number + 1} of {ROUNDS} ...")
                for name in names:
                    server = running[name]
                    rate = self._measure(measurement, server, gets[server.port], f"{number}-")
                    best[name][measurement] = max(rate, best[name].get(measurement, 0.0))
        return best

    def _get(self, server: servers.Server) -> bytes:
        """A Get request for a new key, after a first successful one."""
        with load.connect(server.port, self._settings) as stream:
            key = messages.check_success(load.exchange(stream, messages.create()))
            get = messages.get(key)
            messages.check_success(load.exchange(stream, get))
        return get

    def _measure(self, measurement: str, server: servers.Server, get: bytes, prefix: str) -> float:
        if measurement == "cold":
            return load.cold_rate(server.port, self._settings, get, SECONDS)
        if measurement == "create":
            return self._rate(server, messages.creates(prefix), 32)
        return self._rate(server, itertools.repeat(get), 8)

    def _rate(self, server: servers.Server, requests: load.Requests, connections: int) -> float:
        generator = load.Load(server.port, self._settings, requests, connections)
        return generator.rate(SECONDS)

    def _fill(self, server: servers.Server, names: "itertools.count[int]", total: int) -> None:
        """Create objects ``name-0`` and so on, up to ``total``."""
        missing = total - next(names)
        numbers = itertools.count(total - missing)
        requests = (messages.create(f"name-{number}") for number in numbers)
        streams = [load.connect(server.port, self._settings) for _ in range(32)]
        for batch in range(0, missing, len(streams)):
            active = streams[: min(len(streams), missing - batch)]
            for stream in active:
                stream.sendall(next(requests))
            for stream in active:
                load.read(stream)
        for stream in streams:
            stream.close()

    def _locate(self, server: servers.Server, among: int, times: int) -> float:
        """Responses per second on one connection, for names spread over all objects."""
        with load.connect(server.port, self._settings) as stream:
            started = time.perf_counter()
            for number in range(times):
                name = f"name-{number * 7919 % among}"
                messages.check_success(load.exchange(stream, messages.locate(name)))
            return times / (time.perf_counter() - started)

    def _pykmip_locate(self) -> float:
        with servers.pykmip(self._folder / "many-pykmip", self._pki) as server:
            report_progress(f"PyKMIP: filling with {NAMES:,} objects ...")
            self._fill(server, itertools.count(), NAMES)
            return self._locate(server, NAMES, PYKMIP_LOCATES)

    def _kmipkit_locates(self) -> dict[str, float]:
        results = {}
        with servers.kmipkit(self._folder / "many", self._pki) as server:
            filled = 0
            for number in STORE_SIZES:
                report_progress(f"kmipkit: filling with {number:,} objects ...")
                self._fill(server, itertools.count(filled), number)
                filled = number
                results[f"locate {number}"] = self._locate(server, number, 2_000)
            results["memory"] = server.memory()
        return results

    def _neighbours(self) -> list[Row]:
        """Another client's Gets while one client sends expensive requests."""
        latencies = neighbours.measure(self._folder / "neighbours", self._pki, report_progress)
        alone = latencies.pop("")
        return [
            Row(
                f"Get beside {name}: median, 99 %",
                f"{alone.median:.2f} ms",
                f"{latency.median:.2f} ms, {latency.percentile_99:.0f} ms",
                latency.median / alone.median,
                "≤ 3, 100 ms",
                latency.median <= 3 * alone.median and latency.percentile_99 <= 100,
            )
            for name, latency in latencies.items()
        ]

    def _idle(self) -> Row:
        """Memory of idle connections, in the short form."""
        result = idle.measure(self._folder / "idle", self._pki, idle.SHORT, report_progress)
        is_served = result.median <= 3 * result.alone and result.percentile_99 <= 100
        return Row(
            f"Memory of each of {result.connections:,} idle connections",
            "",
            f"{result.kilobytes:.0f} kB",
            result.kilobytes / idle.MAX_KILOBYTES,
            "≤ 1",
            result.kilobytes <= idle.MAX_KILOBYTES and is_served,
        )

    def _help(self) -> Row:
        import subprocess

        def seconds() -> float:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "kmipkit", "--help"], capture_output=True)
            return time.perf_counter() - started

        best = min(seconds() for _ in range(5))
        return Row("kmipkit --help", "", f"{best:.2f} s", best / 0.3, "≤ 1", best < 0.3)


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| measurement | compared with | kmipkit | ratio | goal | |",
        "| --- | ---: | ---: | ---: | --- | --- |",
    ]
    for row in rows:
        mark = "reached" if row.reached else "**missed**"
        lines.append(
            f"| {row.measurement} | {row.reference} | {row.measured} | {row.ratio:.2f}"
            f" | {row.goal} | {mark} |"
        )
    return "\n".join(lines)


def timed(work: Callable[[], list[Row]]) -> list[Row]:
    """The rows; reports how long they took."""
    started = time.perf_counter()
    rows = work()
    report_progress(f"done in {time.perf_counter() - started:.0f} s")
    return rows


if __name__ == "__main__":
    # So that the servers end with the benchmark.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as directory:
        print(table(timed(Bench(Path(directory)).rows)))
