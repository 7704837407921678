"""One process of a run: its share of the connections, the rate and the requests."""

import resource
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from kmipkit.errors import KMIPError
from kmipkit_load.driver import Driver, Work
from kmipkit_load.errors import LinkFailed
from kmipkit_load.histogram import Histogram
from kmipkit_load.interrupts import ENDING
from kmipkit_load.measures import Effort, Measures, interval_width
from kmipkit_load.mixes import Line
from kmipkit_load.network import Sockets
from kmipkit_load.operations import Prepared
from kmipkit_load.pace import Closed, Open, Pace, schedule
from kmipkit_load.settings import Settings
from kmipkit_load.source import Objects, Source

Stock = Mapping[Line, Sequence[Prepared]]
"""The prepared objects of each line of the mix."""

LONGEST_DRAIN = 10.0
"""Seconds that open and overdue requests have at the end, at most."""
MIN_PATIENCE = 10.0
"""Seconds."""
MIN_EFFORT = 0.1
"""Seconds that are enough to say which part of a core a process uses."""
PROGRESS = 500_000_000
"""Nanoseconds between two messages about the progress."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one process does."""

    settings: Settings
    index: int
    stock: Stock


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a process is."""

    succeeded: int
    failed: int
    recent: Histogram
    """The latencies of the last interval."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a share."""

    measures: Measures
    objects: Objects
    problem: str = ""
    """Why it ended early; empty if it did not."""


def make_pace(settings: Settings, index: int, begin: int, random: Random) -> Pace:
    """The times at which the requests of a process begin, ``begin`` being that of the first."""
    measured = begin + round(settings.warm_up * 1e9)
    end = None if settings.duration is None else measured + round(settings.duration * 1e9)
    number = None if settings.requests is None else settings.share(settings.requests, index)
    if settings.rate is None:
        return Closed(begin, measured, end, number)
    # The processes take turns, so that the times of all together are at equal distances.
    rate = settings.rate / settings.processes
    first = begin + round(index / settings.rate * 1e9)
    if settings.arrivals == "even":
        # The measurement begins with a request, however few there are.
        first += measured - begin - round(int(settings.warm_up * rate) / rate * 1e9)
    return Open(measured, end, number, schedule(settings.arrivals, rate, first, random))


def make_measures(settings: Settings, begin: int) -> Measures:
    """Empty measures of a run that begins at this time."""
    measured = begin + round(settings.warm_up * 1e9)
    end = None if settings.duration is None else measured + round(settings.duration * 1e9)
    return Measures(measured, end, interval_width(settings.duration))


def run_share(
    share: Share, start: Callable[[], int], tick: Callable[[int, Measures], bool]
) -> Outcome:
    """Carry out a share in this process.

    Args:
        start: is called when all connections are open; the time of the first request.
        tick: is called every 0.1 s with the time and the measures so far; True ends the run.
    """
    settings, index = share.settings, share.index
    problem = ""
    random = Random(f"{settings.seed}/{index}")  # noqa: S311 - a schedule, not a secret
    names = f"{settings.prefix}{index}-"
    source = Source(settings.mix, share.stock, settings.version, settings.encoding, names, random)
    _permit_many_files()
    with Sockets(settings.target) as network:
        driver = Driver(
            network,
            connections=max(settings.share(settings.connections, index), 1),
            timeout=round(settings.timeout * 1e9),
            reuse=settings.reuse,
        )
        try:
            driver.connect()
        except LinkFailed as failure:
            measures = make_measures(settings, network.now())
            problem = (
                f"cannot open all connections, only {driver.open_connections} of"
                f" {settings.share(settings.connections, index)}: {failure}"
            )
            return Outcome(measures, source.objects, problem)
        begin = start()
        measures = make_measures(settings, begin)
        network.handshake = measures.handshake
        effort = _EffortMeter(measures)
        drain = round(min(settings.timeout, LONGEST_DRAIN) * 1e9)
        pace = make_pace(settings, index, begin, random)

        def each(now: int) -> bool:
            effort.look(now)
            return tick(now, measures)

        if not driver.run(Work(source, pace, measures, drain, patience(settings)), each):
            problem = "The run was given up: the server has not responded for a long time."
        effort.finish(network.now())
    return Outcome(measures, source.objects, problem)


def patience(settings: Settings) -> int | None:
    """How long a run goes on whose end depends on responses, if there are none."""
    if settings.duration is not None:
        return None
    return round(max(2 * settings.timeout, MIN_PATIENCE) * 1e9)


def _permit_many_files() -> None:
    """Use all open files that the machine permits: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _EffortMeter:
    """Measures what this process uses, from the end of the warm-up to that of the run."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._from: tuple[int, float, float] | None = None

    def look(self, now: int) -> None:
        """Begin with the first look after the warm-up."""
        if self._from is None and now >= self._measures.begin:
            self._from = now, time.process_time(), _waited()

    def finish(self, now: int) -> None:
        """Note the result."""
        if self._from is None:
            return
        since, processor, waited = self._from
        seconds = (now - since) / 1e9
        if seconds < MIN_EFFORT:
            return
        self._measures.efforts.append(
            Effort((time.process_time() - processor) / seconds, (_waited() - waited) / seconds)
        )


def _waited() -> float:
    """Seconds for which this process has waited for a core (Linux); 0 if that is not known."""
    try:
        fields = Path("/proc/self/schedstat").read_text().split()
    except OSError:
        return 0.0
    return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0


def work(pipe: Connection, share: Share) -> None:
    """The process: reports when it is ready, its progress, and the outcome."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # the first process decides when to end
    last = 0
    is_stopped = False

    def start() -> int:
        pipe.send(READY)
        begin: int = pipe.recv()
        return begin

    def tick(now: int, measures: Measures) -> bool:
        nonlocal last, is_stopped
        if now - last >= PROGRESS:
            last = now
            pipe.send(_progress(measures))
        if pipe.poll():
            pipe.recv()
            is_stopped = True
        return is_stopped

    try:
        outcome = run_share(share, start, tick)
    except (EOFError, BrokenPipeError):
        return  # the first process is gone
    except KMIPError as error:
        outcome = Outcome(make_measures(share.settings, 0), Objects(), str(error))
    pipe.send(outcome)


READY = "ready"
STOP = "stop"


def _progress(measures: Measures) -> Progress:
    newest = max(measures.intervals, default=None)
    recent = Histogram() if newest is None else measures.intervals[newest].latency
    return Progress(measures.succeeded, measures.failed, recent)
