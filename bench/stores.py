"""Servers with many objects: how fast they find one, and the room that they need."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kmipkit_client import calls
from kmipkit_load.target import Target

from bench import load, messages, servers

NAMES = 10_000
PYKMIP_LOCATES, LOCATES = 3, 2_000
SIZES = (1_000, NAMES, 100_000)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """A store with a number of objects."""

    locates: float
    """Locates by name in a second, on one connection."""
    memory: float
    """Resident memory of the server, in megabytes."""
    disk: float
    """The database, in megabytes."""
    audit: float
    """The audit log, in megabytes: a record for each object, and for each Locate so far."""


def pykmip_locate(folder: Path, pki: Path, progress: Progress) -> float:
    """Locates by name in a second of PyKMIP."""
    with servers.pykmip(folder, pki) as server:
        progress(f"PyKMIP: filling with {NAMES:,} objects ...")
        target = load.target(server.port, pki)
        _fill(target, 0, NAMES)
        return _locates(target, NAMES, PYKMIP_LOCATES)


def measure(folder: Path, pki: Path, progress: Progress) -> dict[int, Size]:
    """The sizes of the kmipkit server, by number of objects."""
    results = {}
    with servers.kmipkit(folder, pki) as server:
        target = load.target(server.port, pki)
        for before, number in itertools.pairwise((0, *SIZES)):
            progress(f"kmipkit: filling with {number:,} objects ...")
            _fill(target, before, number)
            locates = _locates(target, number, LOCATES)
            audit = _megabytes(folder / "audit")
            disk = _megabytes(folder) - audit
            results[number] = Size(locates, server.memory(), disk, audit)
    return results


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _fill(target: Target, first: int, total: int) -> None:
    """Create objects ``name-0`` and so on, from the first missing one up to ``total``."""
    requests = (messages.create(f"name-{number}") for number in itertools.count(first))
    load.send_all(target, requests, total - first)


def _locates(target: Target, among: int, times: int) -> float:
    """Responses per second on one connection, for names spread over all objects."""
    with load.connect(target) as session:
        session.exchange(messages.of(calls.discover_versions()))  # connects
        started = time.perf_counter()
        for number in range(times):
            name = f"name-{number * 7919 % among}"
            messages.check_success(session.exchange(messages.locate(name)))
        return times / (time.perf_counter() - started)
