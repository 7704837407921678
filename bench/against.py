"""``make bench-against BASE=DIR``: compares the server of this checkout with that of another one.

Both servers run at the same time and are measured in turn, so that other programs affect both in the
same way. The result is the median of the ratios of all rounds. DIR is a checkout of an older commit,
as ``git worktree add ../base COMMIT`` creates it.
"""

import os
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from kmipkit_certs import development
from kmipkit_certs.clock import system_clock

from bench import load, messages, servers

SECONDS = 1.0
ROUNDS = 15

COMPONENTS = (".", "server", "client", "certs", "conformance")
"""Directories of a checkout that contain packages."""

Measure = Callable[[servers.Server, str], float]


def measures(settings: ssl.SSLContext, gets: dict[int, bytes]) -> dict[str, Measure]:
    """The measurements: responses or connections per second."""

    def rate(server: servers.Server, requests: load.Requests, connections: int) -> float:
        return load.Load(server.port, settings, requests, connections).rate(SECONDS, 0.2)

    return {
        "Get, 8 connections": lambda server, _: rate(server, repeat(gets[server.port]), 8),
        "Create, durable, 32 connections": lambda server, prefix: rate(
            server, messages.creates(prefix), 32
        ),
        "Cold connection with one Get": lambda server, _: load.cold_rate(
            server.port, settings, gets[server.port], SECONDS
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
    settings = load.context(pki)
    with (
        from_checkout(base, folder / "base", pki) as base_server,
        from_checkout(current, folder / "current", pki) as server,
    ):
        gets = {running.port: _get(running, settings) for running in (base_server, server)}
        print("| measurement | before | now | ratio (median) |\n| --- | ---: | ---: | ---: |")
        for name, measure in measures(settings, gets).items():
            pairs = [
                (measure(base_server, f"{number}-"), measure(server, f"{number}-"))
                for number in range(ROUNDS)
            ]
            ratio = statistics.median(now / before for before, now in pairs)
            before, now = (max(rates) for rates in zip(*pairs, strict=True))
            print(f"| {name} | {before:,.0f}/s | {now:,.0f}/s | {ratio:.3f} |", flush=True)


def _get(server: servers.Server, settings: ssl.SSLContext) -> bytes:
    """A Get request for a new key, after a first successful one."""
    with load.connect(server.port, settings) as stream:
        get = messages.get(messages.check_success(load.exchange(stream, messages.create())))
        messages.check_success(load.exchange(stream, get))
    return get


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "kmipkit").is_dir():
        raise SystemExit("usage: python -m bench.against DIR, where DIR is another checkout")
    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as directory:
        compare(Path(sys.argv[1]).resolve(), servers.PROJECT, Path(directory))
