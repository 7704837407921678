"""The processes of a run: starts them at the same moment, shows their progress, adds their results.

Ctrl-C ends the run early: the processes wait for the open responses, and their results and the objects
that they have created come back as usual.
"""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from kmipkit_load.histogram import Histogram, merged
from kmipkit_load.interrupts import Interrupts, blocked
from kmipkit_load.measures import Measures
from kmipkit_load.settings import Settings
from kmipkit_load.source import Objects
from kmipkit_load.worker import (
    READY,
    STOP,
    Outcome,
    Progress,
    Share,
    Stock,
    make_measures,
    work,
)

_SOON = 50_000_000
"""Nanoseconds from the last process being ready to the first request."""
_LOOK = 0.2
"""Seconds between two looks at the signals."""
_PATIENCE = 20.0
"""Seconds that the processes have after Ctrl-C."""


@dataclass(slots=True)
class Status:
    """How far the run is."""

    seconds: float = 0.0
    """Since the first request; the warm-up is a part of it."""
    succeeded: int = 0
    failed: int = 0
    recent: Histogram = field(default_factory=Histogram)


Show = Callable[[Status], None]


@dataclass(slots=True)
class _Process:
    process: BaseProcess
    pipe: Connection
    is_ready: bool = False
    progress: Progress | None = None
    outcome: Outcome | None = None
    is_gone: bool = False

    @property
    def is_done(self) -> bool:
        return self.is_gone or self.outcome is not None


@dataclass(slots=True)
class Run:
    """What came of a run."""

    measures: Measures
    problems: list[str]
    """Why processes ended early."""
    was_interrupted: bool


class Fleet:
    """All processes of one run."""

    def __init__(self, settings: Settings, stock: Stock, interrupts: Interrupts) -> None:
        self._settings = settings
        self._stock = stock
        self._signals = interrupts
        self._processes: list[_Process] = []
        self._begin = 0
        self._interrupts = 0

    def run(self, objects: Objects, show: Show) -> Run:
        """Carry out the run. What it creates is added to ``objects``."""
        try:
            self._start()
            self._wait(show)
        finally:
            for each in self._processes:
                if each.process.is_alive() and not each.is_done:
                    each.process.kill()
                each.process.join()
                each.pipe.close()
        return self._added(objects)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # it unblocks the signals where it starts
        for index in range(self._settings.processes):
            if self._is_interrupted():
                return
            mine, theirs = context.Pipe()
            share = Share(self._settings, index, self._stock)
            process = context.Process(target=work, args=(theirs, share), daemon=True)
            with blocked():
                process.start()
            theirs.close()
            self._processes.append(_Process(process, mine))

    def _is_interrupted(self) -> bool:
        """Whether the run is to end; a second signal ends the wait for open responses."""
        while self._signals.take():
            self._interrupts += 1
        return bool(self._interrupts)

    def _wait(self, show: Show) -> None:
        until: float | None = None
        while open_ := [each for each in self._processes if not each.is_done]:
            if self._is_interrupted() and until is None:
                until = time.monotonic() + _PATIENCE
                self._stop()
            if until is not None and (self._interrupts > 1 or time.monotonic() >= until):
                return
            ready = wait([each.pipe for each in open_], timeout=_LOOK)
            for each in open_:
                if each.pipe in ready:
                    self._receive(each)
            self._start_if_ready()
            show(self._status())

    def _receive(self, each: _Process) -> None:
        try:
            message = each.pipe.recv()
        except (EOFError, OSError):
            each.is_gone = True
            message = None
        if isinstance(message, Outcome):
            each.outcome = message
        if each.is_done and not self._begin:  # the others would wait for it in vain
            self._stop()
        elif isinstance(message, Progress):
            each.progress = message
        elif message == READY:
            each.is_ready = True

    def _start_if_ready(self) -> None:
        if self._begin or not all(each.is_ready for each in self._processes):
            return
        self._begin = time.monotonic_ns() + _SOON
        for each in self._processes:
            self._tell(each, self._begin)

    def _stop(self) -> None:
        """End the run; processes that wait for its beginning are told that first."""
        for each in self._processes:
            if not self._begin:
                self._tell(each, time.monotonic_ns())
            self._tell(each, STOP)
        self._begin = self._begin or time.monotonic_ns()

    def _tell(self, each: _Process, message: object) -> None:
        if not each.is_done:
            try:
                each.pipe.send(message)
            except OSError:
                each.is_gone = True

    def _status(self) -> Status:
        progress = [each.progress for each in self._processes if each.progress is not None]
        return Status(
            max(time.monotonic_ns() - self._begin, 0) / 1e9 if self._begin else 0.0,
            sum(each.succeeded for each in progress),
            sum(each.failed for each in progress),
            merged(each.recent for each in progress),
        )

    def _added(self, objects: Objects) -> Run:
        measures = make_measures(self._settings, self._begin or time.monotonic_ns())
        problems = []
        for index, each in enumerate(self._processes):
            if each.outcome is None:
                problems.append(
                    f"load process {index} ended without a result; objects whose names begin with"
                    f" {self._settings.prefix}{index}- may be left on the server:"
                    f" kmipkit bench clean {self._settings.run} destroys them"
                )
                continue
            measures.add(each.outcome.measures)
            objects.made |= each.outcome.objects.made
            objects.uncertain += each.outcome.objects.uncertain
            if each.outcome.problem:
                problems.append(each.outcome.problem)
        return Run(measures, list(dict.fromkeys(problems)), bool(self._interrupts))
