"""``make bench``: everything in one run, a table at the end."""

import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kmipkit_certs import development

from bench import codec, load, messages, servers

SECONDS = 1.5
ROUNDS = 4
"""Of each measurement, the programs taking turns; the best of each counts."""

NAMES = 10_000
PYKMIP_LOCATES = 3
OURS_AT = (1_000, 10_000, 100_000)


_MEASURED = {
    "get": ("echo", "PyKMIP", "kmipkit"),
    "create": ("PyKMIP", "kmipkit"),
    "cold": ("PyKMIP", "kmipkit"),
}
"""What is measured of which servers."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; ``goal`` is what the project asks of the ratio."""

    what: str
    theirs: str
    ours: str
    ratio: float
    goal: str
    reached: bool


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)


def at_least(what: str, theirs: float, ours: float, goal: float, unit: str = "/s") -> Row:
    """A row where more is better."""
    ratio = ours / theirs
    return Row(
        what, f"{theirs:,.0f}{unit}", f"{ours:,.0f}{unit}", ratio, f"≥ {goal:g}", ratio >= goal
    )


class Bench:
    """One run; everything lies in one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pki = folder / "pki"
        development.ensure(
            self._pki, hosts=("127.0.0.1",), clients=("admin",), clock=lambda: datetime.now(UTC)
        )
        self._settings = load.context(self._pki)

    def rows(self) -> list[Row]:
        """All measurements."""
        rows = self._codec()
        taking_turns = self._taking_turns()
        theirs, ours = taking_turns["PyKMIP"], taking_turns["kmipkit"]
        theirs["locate"] = self._their_locate()
        ours |= self._our_locates()
        rows += [
            at_least("Get, 8 connections, to PyKMIP", theirs["get"], ours["get"], 15),
            at_least(
                "Get, 8 connections, to the TLS echo", taking_turns["echo"]["get"], ours["get"], 0.2
            ),
            at_least("Create, durable, 32 connections", theirs["create"], ours["create"], 10),
            at_least("Cold connection with one Get", theirs["cold"], ours["cold"], 2),
            at_least(
                f"Locate by name among {NAMES:,}", theirs["locate"], ours[f"locate {NAMES}"], 500
            ),
        ]
        small, large = (1e6 / ours[f"locate {number}"] for number in (OURS_AT[0], OURS_AT[-1]))
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
        memory = ours["memory"]
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
        return rows

    def _codec(self) -> list[Row]:
        say("codec ...")
        return [
            Row(
                name,
                f"{theirs:.1f} µs",
                f"{ours:.1f} µs",
                theirs / ours,
                "≥ 15",
                theirs >= 15 * ours,
            )
            for name, (theirs, ours) in codec.figures().items()
        ]

    def _taking_turns(self) -> dict[str, dict[str, float]]:
        """The best rates of all servers, which run at the same time and are asked in turn."""
        best: dict[str, dict[str, float]] = {"echo": {}, "PyKMIP": {}, "kmipkit": {}}
        with (
            servers.echo(self._pki) as echo,
            servers.pykmip(self._folder / "pykmip", self._pki) as pykmip,
            servers.kmipkit(self._folder / "kmipkit", self._pki) as kmipkit,
        ):
            gets = {server.port: self._get(server) for server in (pykmip, kmipkit)}
            gets[echo.port] = gets[kmipkit.port]
            running = {"echo": echo, "PyKMIP": pykmip, "kmipkit": kmipkit}
            for number, (what, names) in itertools.product(range(ROUNDS), _MEASURED.items()):
                say(f"{what}, round {number + 1} of {ROUNDS} ...")
                for name in names:
                    server = running[name]
                    rate = self._measure(what, server, gets[server.port], f"{number}-")
                    best[name][what] = max(rate, best[name].get(what, 0.0))
        return best

    def _get(self, server: servers.Running) -> bytes:
        """The request for a new key, which has been asked for once."""
        with load.connect(server.port, self._settings) as stream:
            key = messages.succeeded(load.exchange(stream, messages.create()))
            get = messages.get(key)
            messages.succeeded(load.exchange(stream, get))
        return get

    def _measure(self, what: str, server: servers.Running, get: bytes, prefix: str) -> float:
        if what == "cold":
            return load.cold_rate(server.port, self._settings, get, SECONDS)
        if what == "create":
            return self._rate(server, messages.creates(prefix), 32)
        return self._rate(server, itertools.repeat(get), 8)

    def _rate(self, server: servers.Running, requests: load.Requests, connections: int) -> float:
        one = load.Load(server.port, self._settings, requests, connections)
        return one.rate(SECONDS)

    def _fill(self, server: servers.Running, names: "itertools.count[int]", total: int) -> None:
        """Objects ``name-0`` and so on, up to a number."""
        missing = total - next(names)
        made = itertools.count(total - missing)
        requests = (messages.create(f"name-{number}") for number in made)
        streams = [load.connect(server.port, self._settings) for _ in range(32)]
        for batch in range(0, missing, len(streams)):
            used = streams[: min(len(streams), missing - batch)]
            for stream in used:
                stream.sendall(next(requests))
            for stream in used:
                load.read(stream)
        for stream in streams:
            stream.close()

    def _locate(self, server: servers.Running, among: int, times: int) -> float:
        """Answers per second on one connection, for names spread over all."""
        with load.connect(server.port, self._settings) as stream:
            begun = time.perf_counter()
            for number in range(times):
                wanted = f"name-{number * 7919 % among}"
                messages.succeeded(load.exchange(stream, messages.locate(wanted)))
            return times / (time.perf_counter() - begun)

    def _their_locate(self) -> float:
        with servers.pykmip(self._folder / "many-pykmip", self._pki) as server:
            say(f"PyKMIP: filling with {NAMES:,} objects ...")
            self._fill(server, itertools.count(), NAMES)
            return self._locate(server, NAMES, PYKMIP_LOCATES)

    def _our_locates(self) -> dict[str, float]:
        found = {}
        with servers.kmipkit(self._folder / "many", self._pki) as server:
            had = 0
            for number in OURS_AT:
                say(f"kmipkit: filling with {number:,} objects ...")
                self._fill(server, itertools.count(had), number)
                had = number
                found[f"locate {number}"] = self._locate(server, number, 2_000)
            found["memory"] = server.memory()
        return found

    def _help(self) -> Row:
        import subprocess

        def seconds() -> float:
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-m", "kmipkit", "--help"], capture_output=True)
            return time.perf_counter() - begun

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
            f"| {row.what} | {row.theirs} | {row.ours} | {row.ratio:.2f} | {row.goal} | {mark} |"
        )
    return "\n".join(lines)


def timed(work: Callable[[], list[Row]]) -> list[Row]:
    """The rows, and how long they took."""
    begun = time.perf_counter()
    rows = work()
    say(f"done in {time.perf_counter() - begun:.0f} s")
    return rows


if __name__ == "__main__":
    # Whatever ends the benchmark ends the servers that it has started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as directory:
        print(table(timed(Bench(Path(directory)).rows)))
