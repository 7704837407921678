"""A run: plays cases, one by one or several at once, and keeps the verdicts whatever ends it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace

from kmipkit.errors import KMIPError
from kmipkit.reports import Outcome
from kmipkit_conformance.cases import Case
from kmipkit_conformance.clock import SYSTEM_CLOCK, Clock
from kmipkit_conformance.deviations import apply, obsolete
from kmipkit_conformance.interrupting import Interrupts
from kmipkit_conformance.parallel import chosen_names, may_share
from kmipkit_conformance.player import Player, Verdict
from kmipkit_conformance.support import UNKNOWN, Offer


@dataclass(slots=True)
class Run:
    """The verdicts so far, and what ended the run early."""

    verdicts: list[Verdict] = field(default_factory=list)
    is_interrupted: bool = False
    """Whether the user ended it with Ctrl-C."""
    problem: str = ""
    """Why the target could not be tested further."""
    started: float = 0.0
    """Seconds since 1970."""
    seconds: float = 0.0
    """The duration."""
    unplayed: int = 0
    """The number of cases that were not played, as the run has ended early."""
    clean_up: list[str] = field(default_factory=list)
    """What went wrong when the objects of the cases were removed, so that some may be left."""
    obsolete_deviations: list[str] = field(default_factory=list)
    """Cases that are listed as known deviations, and pass."""

    @property
    def has_failed(self) -> bool:
        """Whether a case failed, or the target could not be tested to the end."""
        return bool(self.problem) or any(
            verdict.outcome is Outcome.FAILED for verdict in self.verdicts
        )


def play_queried(
    query: Callable[[], Offer],
    play: Callable[[Offer], Run],
    total: int,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[Run, Offer]:
    """Ask the target what it offers, and play so many cases.

    A target that cannot be reached, and Ctrl-C, give a run without verdicts: its report says why.
    """
    run = Run(started=clock.now(), unplayed=total)
    try:
        offer = query()
    except KeyboardInterrupt:
        run.is_interrupted = True
    except KMIPError as error:
        run.problem = str(error)
    else:
        return play(offer), offer
    run.seconds = clock.now() - run.started
    return run, UNKNOWN


def play_all(
    player: Player,
    cases: Sequence[Case],
    deviations: Mapping[str, str],
    tell: Callable[[Verdict], None],
    jobs: int = 1,
    interrupts: Interrupts | None = None,
) -> Run:
    """Play the cases, and tell each verdict. Ctrl-C and a target that is gone end the run early.

    With several jobs, cases that are independent are played first, so many at a time; the others
    follow one by one. The verdicts are in the order of the cases nevertheless.
    """
    run = Run(started=player.clock.now())

    def add(verdict: Verdict) -> None:
        verdict = apply(verdict, deviations)
        run.verdicts.append(verdict)
        tell(verdict)

    try:
        _play(player, cases, add, jobs)
    except KeyboardInterrupt:
        run.is_interrupted = True
        with (interrupts or Interrupts()).cleaning(), suppress(KMIPError):
            player.clean_up()
    except KMIPError as error:
        run.problem = str(error)
    order = {id(case): number for number, case in enumerate(cases)}
    run.verdicts.sort(key=lambda verdict: order[id(verdict.case)])
    run.unplayed = len(cases) - len(run.verdicts)
    run.clean_up = list(player.remarks)
    run.obsolete_deviations = obsolete(run.verdicts, deviations)
    run.seconds = player.clock.now() - run.started
    return run


def _play(player: Player, cases: Sequence[Case], add: Callable[[Verdict], None], jobs: int) -> None:
    """Play the cases, first those that may be played together."""
    together = [case for case in cases if jobs > 1 and may_share(case)]
    identities = {id(case) for case in together}  # names may occur in several folders
    if together:
        _Together(player, add).play(together, jobs)
        player.clean_up()
    for case in cases:
        if id(case) not in identities:
            add(player.play(case))  # before the clean-up: the case may have broken the target
            player.clean_up()


def play_with(
    play: Callable[[Case], Verdict],
    cases: Sequence[Case],
    tell: Callable[[Verdict], None],
    clock: Clock = SYSTEM_CLOCK,
) -> Run:
    """Play the cases one by one in some way, and tell each verdict. Ctrl-C ends the run early."""
    run = Run(started=clock.now())
    with suppress(KeyboardInterrupt):
        run.is_interrupted = True  # until all cases are played
        for case in cases:
            verdict = play(case)
            run.verdicts.append(verdict)
            tell(verdict)
        run.is_interrupted = False
    run.unplayed = len(cases) - len(run.verdicts)
    run.seconds = clock.now() - run.started
    return run


class _Together:
    """Plays independent cases in threads. A case waits for those with which it shares a name."""

    def __init__(self, player: Player, add: Callable[[Verdict], None]) -> None:
        self._player = player
        self._add = add
        self._is_over = threading.Event()

    def play(self, cases: Sequence[Case], jobs: int) -> None:
        """Play all, and add each verdict in this thread, also of those that run when one raises."""
        waiting = list(cases)
        running: dict[Future[_Played], frozenset[str]] = {}
        with ThreadPoolExecutor(jobs) as pool:
            try:
                while waiting or running:
                    self._start(waiting, running, pool, jobs)
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    errors = list(self._take(done, running))
                    if errors:
                        raise errors[0]
            finally:
                self._is_over.set()
                list(self._take(wait(running).done, running))

    def _take(
        self, done: set[Future["_Played"]], running: dict[Future["_Played"], frozenset[str]]
    ) -> Iterator[KMIPError]:
        """Add the verdicts of cases that have ended; why any of them cannot go on."""
        for future in done:
            del running[future]
            played = future.result()
            if played.verdict is not None:
                self._add(played.verdict)
            if played.error is not None:
                yield played.error

    def _start(
        self,
        waiting: list[Case],
        running: dict[Future["_Played"], frozenset[str]],
        pool: ThreadPoolExecutor,
        jobs: int,
    ) -> None:
        """Start as many cases as there are free jobs."""
        for case in list(waiting):
            if len(running) >= jobs:
                return
            names = chosen_names(case)
            if not any(names & others for others in running.values()):
                waiting.remove(case)
                running[pool.submit(self._play, case)] = names

    def _play(self, case: Case) -> "_Played":
        """Play a case with its own record of created objects; no verdict if the run is over."""
        if self._is_over.is_set():
            return _Played()
        player = replace(self._player, created=set(), generated=set())
        verdict = None
        try:
            verdict = player.play(case)
            # Objects without names are in nobody's way: they are removed later, with one connection.
            if chosen_names(case):
                player.clean_up()
        except KMIPError as error:
            return _Played(verdict, error)
        finally:
            self._player.created.update(player.created)
        return _Played(verdict)


@dataclass(frozen=True, slots=True)
class _Played:
    """What came of one case."""

    verdict: Verdict | None = None
    error: KMIPError | None = None
    """Why the run cannot go on."""
