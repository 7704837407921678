"""One drill: faults in turn while clients work, and then what has become of all objects."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from drill import load as loads
from drill.checker import Finding, check
from drill.faults import ALL_FAULTS
from drill.history import Action, Operation, Outcome
from drill.load import Load
from drill.outages import Window
from drill.sites import Site

QUIET = 3.0
"""Seconds between two faults."""
_READERS = 4
"""Threads that read all objects in the end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a drill is to do."""

    seed: int
    faults: Sequence[str]
    seconds: float | None
    """How long faults are caused; None for each of them once."""
    clients: int
    workers: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a drill has shown."""

    plan: Plan
    seconds: float
    history: Sequence[Operation]
    windows: Sequence[Window]
    findings: Sequence[Finding]
    complaints: Sequence[str]
    """What the servers say about themselves that they must not say."""
    failures: dict[str, int]
    """Why operations have failed or had no answer, and how often."""
    objects: int
    """How many there are of those whose Create was acknowledged."""
    unacknowledged: int
    """How many there are of those whose Create had no answer."""


class Drill:
    """One drill, in namespaces of its own."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._clock = loads.clock()
        self._print = say
        self._site = Site(plan.workers, self._say)
        self._load = Load(self._site.service, plan.seed, plan.clients, self._clock)

    def run(self) -> Result:
        """Carry it out."""
        plan, site, load = self._plan, self._site, self._load
        self._say("starting three key servers and two databases ...")
        site.start()
        load.start()
        self._wait_for_answers()
        time.sleep(QUIET)
        windows = list(self._faults())
        load.stop()
        seconds = self._clock()
        self._say(f"reading {len(load.identifiers)} objects ...")
        found = self._read_all()
        site.stop()
        self._say("checking the history ...")
        unknown = _names(load.history, Outcome.UNKNOWN)
        return Result(
            plan,
            seconds,
            load.history,
            windows,
            check(load.history, found),
            self._complaints(),
            dict(load.failures),
            len(load.identifiers),
            sum(1 for name in unknown if found.get(name)),
        )

    def _say(self, text: str) -> None:
        self._print(f"{self._clock():7.1f} s  {text}")

    def keep_logs(self, directory: Path) -> None:
        """Copy the logs of all servers, which are gone with the drill."""
        directory.mkdir(parents=True, exist_ok=True)
        for log in self._site.folder.glob("*.log"):
            shutil.copy(log, directory)

    def _faults(self) -> Iterator[Window]:
        """Cause faults in turn, in an order that the seed decides."""
        plan, random = self._plan, Random(plan_seed(self._plan))
        end = None if plan.seconds is None else time.monotonic() + plan.seconds
        while True:
            for name in random.sample(list(plan.faults), len(plan.faults)):
                yield self._cause(name, random)
                if end is not None and time.monotonic() > end:
                    return
            if end is None:
                return

    def _cause(self, name: str, random: Random) -> Window:
        fault, site, begun = ALL_FAULTS[name], self._site, self._clock()
        self._say(f"{name}: {fault.what}")
        victim = fault.cause(site, random)
        self._wait_for_answers()  # what has failed is still away: nothing of it may be needed
        fault.mend(site)
        site.settle()
        self._wait_for_answers()
        ended = self._clock()
        self._say(f"{name}: over ({victim})")
        time.sleep(QUIET)
        return Window(name, victim, begun, ended)

    def _wait_for_answers(self) -> None:
        self._load.wait_for_answers()
        if self._load.error is not None:
            raise self._load.error

    def _read_all(self) -> dict[str, list[str]]:
        """Note the state and the key of each object; the identifiers of all that have a name of ours."""
        load = self._load
        names = sorted(load.identifiers)
        with ThreadPoolExecutor(_READERS) as pool:
            found = pool.map(self._read, [names[number::_READERS] for number in range(_READERS)])
            list(found)
        unknown = _names(load.history, Outcome.UNKNOWN)
        with self._site.service.client() as client:
            return {name: list(client.locate(name=name).ids) for name in [*unknown, *names]}

    def _read(self, names: Sequence[str]) -> None:
        with self._site.service.client() as client:
            for name in names:
                for action in (Action.STATE, Action.GET):
                    outcome = self._load.perform(client, "afterwards", action, name)
                    if outcome not in (Outcome.DONE, Outcome.REFUSED):
                        raise RuntimeError(f"{name} cannot be read: {action} {outcome}")

    def _complaints(self) -> list[str]:
        """Lines of logs that only a defect writes, and audit logs that cannot be verified."""
        lines = [
            f"{node.name}: {line}"
            for node in self._site.nodes
            for line in node.log.read_text(errors="replace").splitlines()
            if any(text in line for text in _DEFECTS)
        ]
        for node in self._site.nodes:
            done = node.command("admin", "audit", "verify", "--data-dir", str(node.folder))
            if done.returncode:
                lines.append(f"{node.name}: audit verify: {done.stdout}{done.stderr}")
        return lines


_DEFECTS = ("internal error", "Traceback", "was changed by another program", "is older than the")
"""What a log says about a defect, or about a database that is not what the servers have written."""


def _names(history: Sequence[Operation], outcome: Outcome) -> list[str]:
    return [
        each.name for each in history if each.action is Action.CREATE and each.outcome is outcome
    ]


def plan_seed(plan: Plan) -> str:
    """What decides about faults: another sequence of numbers than any client has."""
    return f"{plan.seed}/faults"
