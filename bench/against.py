"""``make bench-against BASE=DIR``: compares the server of this checkout with that of another one.

Both servers run at the same time and are measured in turn, so that other programs affect both in the
same way. The result is the median of the ratios of all rounds. DIR is a checkout of an older commit,
as ``git worktree add ../base COMMIT`` creates it.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from kmipkit_certs import development
from kmipkit_certs.clock import system_clock
from kmipkit_load.driver import Reuse

from bench import load, messages, servers

SECONDS = 1.0
ROUNDS = 15

COMPONENTS = (".", "server", "client", "certs", "conformance", "load")
"""Directories of a checkout that contain packages."""

Measure = Callable[[servers.Server, str], float]


def measures(pki: Path, gets: dict[int, bytes]) -> dict[str, Measure]:
    """The measurements: responses or connections per second."""

    def rate(server: servers.Server, requests: load.Requests, connections: int) -> float:
        target = load.target(server.port, pki)
        return load.rate(target, requests, connections, SECONDS, warm_up=0.2)

    return {
        "Get, 8 connections": lambda server, _: rate(server, repeat(gets[server.port]), 8),
        "Create, durable, 32 connections": lambda server, prefix: rate(
            server, messages.creates(prefix), 32
        ),
        "Cold connection with one Get": lambda server, _: load.connection_rate(
            load.target(server.port, pki), gets[server.port], SECONDS, Reuse.COLD
        ),
    }


@contextmanager
def from_checkout(checkout: Path, folder: Path, pki: Path) -> Iterator[servers.Server]:
    """The server of a checkout."""
    python_path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(str(checkout / part) for part in COMPONENTS)
    try:
        with servers.kmipkit(folder, pki, checkout=checkout) as server:
            yield server
    finally:
        if python_path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = python_path


def compare(base: Path, current: Path, folder: Path) -> None:
    """Measure both checkouts and print the ratios: more than 1 is faster than ``base``."""
    pki = folder / "pki"
    development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
    with (
        from_checkout(base, folder / "base", pki) as base_server,
        from_checkout(current, folder / "current", pki) as server,
    ):
        gets = {running.port: _get(running, pki) for running in (base_server, server)}
        print("| measurement | before | now | ratio (median) |\n| --- | ---: | ---: | ---: |")
        for name, measure in measures(pki, gets).items():
            pairs = [
                (measure(base_server, f"{number}-"), measure(server, f"{number}-"))
                for number in range(ROUNDS)
            ]
            ratio = statistics.median(now / before for before, now in pairs)
            before, now = (max(rates) for rates in zip(*pairs, strict=True))
            print(f"| {name} | {before:,.0f}/s | {now:,.0f}/s | {ratio:.3f} |", flush=True)


def _get(server: servers.Server, pki: Path) -> bytes:
    """A Get request for a new key, after a first successful one."""
    return load.prepared_get(load.target(server.port, pki))


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "kmipkit").is_dir():
        raise SystemExit("usage: python -m bench.against DIR, where DIR is another checkout")
    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as directory:
        compare(Path(sys.argv[1]).resolve(), servers.PROJECT, Path(directory))
