"""``make bench-against BASE=DIR``: this checkout's server beside that of another one, in one run.

Both servers run at the same time and are asked in turn, so that what else the machine does hits both
alike; the median of the rounds' ratios is what counts. DIR is a checkout of an older commit, such as
``git worktree add ../base v1.0`` makes it.
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

from bench import load, messages, servers

SECONDS = 1.0
ROUNDS = 15

COMPONENTS = (".", "server", "client", "certs", "conformance")
"""Folders of a checkout that hold packages."""

Measure = Callable[[servers.Server, str], float]


def measures(settings: "load.ssl.SSLContext", gets: dict[int, bytes]) -> dict[str, Measure]:
    """What is measured: answers or connections per second."""

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
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(str(checkout / part) for part in COMPONENTS)
    try:
        starting = servers.kmipkit(folder, pki, checkout=checkout)
        with starting as running:
            yield running
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def compare(base: Path, here: Path, folder: Path) -> None:
    """Measure both and print the ratios: more than 1 is faster than before."""
    pki = folder / "pki"
    development.ensure(pki, hosts=("127.0.0.1",), clients=("admin",), clock=system_clock)
    settings = load.context(pki)
    with (
        from_checkout(base, folder / "base", pki) as old,
        from_checkout(here, folder / "here", pki) as new,
    ):
        gets = {server.port: _get(server, settings) for server in (old, new)}
        print("| measurement | before | now | ratio (median) |\n| --- | ---: | ---: | ---: |")
        for what, measure in measures(settings, gets).items():
            pairs = [
                (measure(old, f"{number}-"), measure(new, f"{number}-")) for number in range(ROUNDS)
            ]
            ratio = statistics.median(now / before for before, now in pairs)
            before, now = (max(rates) for rates in zip(*pairs, strict=True))
            print(f"| {what} | {before:,.0f}/s | {now:,.0f}/s | {ratio:.3f} |", flush=True)


def _get(server: servers.Server, settings: "load.ssl.SSLContext") -> bytes:
    """The request for a new key, which has been asked for once."""
    with load.connect(server.port, settings) as stream:
        get = messages.get(messages.succeeded(load.exchange(stream, messages.create())))
        messages.succeeded(load.exchange(stream, get))
    return get


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "kmipkit").is_dir():
        raise SystemExit("usage: python -m bench.against DIR, a checkout to compare with")
    with tempfile.TemporaryDirectory(prefix="kmipkit-bench-") as made:
        compare(Path(sys.argv[1]).resolve(), servers.PROJECT, Path(made))
