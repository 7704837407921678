"""When workers that have ended are started again, and when the server gives up."""

import errno
import math
from collections import Counter
from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.process.computations import Computations
from kmipkit_server.process.crew import Crew
from kmipkit_server.process.front import Front
from kmipkit_server.process.restarts import LONGEST_DELAY, MAX_FAILED_STARTS, Restarts

# --- one worker ------------------------------------------------------------------------------------


def test_a_worker_is_replaced_at_once_but_not_again_and_again() -> None:
    restarts = Restarts()
    delays = [restarts.delay_after(1.0, has_served=True) for _ in range(12)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    assert restarts.delay_after(3600.0, has_served=True) == 0


def test_starts_that_always_fail_are_hopeless() -> None:
    restarts = Restarts()
    for _ in range(MAX_FAILED_STARTS):
        assert not restarts.is_hopeless
        restarts.delay_after(0.1, has_served=False)
    assert restarts.is_hopeless
    restarts.delay_after(0.1, has_served=True)
    assert not restarts.is_hopeless


# --- all workers -----------------------------------------------------------------------------------


class Process:
    pid = 4711


class Played:
    """A worker process whose life is told by the test: seconds until it serves, and until it ends."""

    failure = ""
    ca = "ca.crt"
    was_asked_to_leave = is_drained = False

    def __init__(self, number: int, starts: float, serves: float, crew: Crew) -> None:
        self.number = number
        self.process = Process()
        self.is_ready = self.has_served = False
        self.settled = trio.Event()
        self.begun = trio.current_time()
        self._starts, self._serves, self._crew = starts, serves, crew
        self._end = trio.Event()

    @property
    def takes_connections(self) -> bool:
        return self.is_ready

    def begin(self, *_: object) -> None:
        """It serves when it is time for that."""

    async def run(self) -> int:
        with trio.move_on_after(math.inf) as life:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._live, nursery)
                await self._end.wait()
                life.cancel()
        self.is_ready = False
        self.settled.set()
        return 1

    async def _live(self, nursery: trio.Nursery) -> None:
        await trio.sleep(self._starts)
        if self._serves:
            self.is_ready = self.has_served = True
            self.settled.set()
            self._crew._note_change()
            await trio.sleep(self._serves)
        self._end.set()

    async def ask(self, *_: object) -> bytes:
        return b""

    def note_silence(self, *, is_silent: bool) -> None:
        assert not is_silent

    def drain(self, _seconds: float) -> None:
        self._end.set()

    kill = drain


FAILS = (0.1, 0.0)
"""A start that fails after so many seconds."""
NO_PROCESS = None
"""The system has no room for a process."""


def play(
    monkeypatch: pytest.MonkeyPatch, lives: dict[int, list[Any]], rest: dict[int, Any]
) -> tuple[str, Counter[int]]:
    """The failure with which the server ends within an hour, and how often each worker was started.

    ``lives`` are the first ones of each worker; ``rest`` is what all later ones are like.
    """
    starts: Counter[int] = Counter()

    async def orders(_number: int, _is_first: bool) -> tuple[bytes, tuple[int, ...]]:
        return b"", ()

    async def run() -> str:
        front = Front(ConnectionLimits(), ConnectionEvents())
        crew = Crew(len(lives), orders, front, Computations(1))

        def start(number: int, *_: object) -> Any:
            starts[number] += 1
            life = lives[number].pop(0) if lives[number] else rest[number]
            if life is NO_PROCESS:
                raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
            return Played(number, *life, crew)

        monkeypatch.setattr("kmipkit_server.process.crew.start", start)
        with trio.move_on_after(3600):
            await crew.run()
        return crew.failure

    return trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0)), starts


@pytest.mark.parametrize("later", [FAILS, NO_PROCESS])
def test_the_server_ends_if_no_worker_can_be_started_any_longer(
    monkeypatch: pytest.MonkeyPatch, later: Any
) -> None:
    lives = {1: [(1.0, 60.0)], 2: [(1.0, 70.0)]}
    failure, starts = play(monkeypatch, lives, {1: later, 2: later})
    assert failure.startswith("no worker can be started any longer: worker ")
    assert min(starts.values()) > MAX_FAILED_STARTS


def test_the_server_does_not_end_while_another_worker_is_about_to_serve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its predecessor was killed at a moment in which it was the only one that served."""
    lives = {1: [(1.0, 60.0)], 2: [(1.0, 600.0), (120.0, 3600.0)]}
    failure, starts = play(monkeypatch, lives, {1: FAILS, 2: FAILS})
    assert failure == ""
    assert starts[1] < 1.1 * 3600 / LONGEST_DELAY, (
        "and nothing is tried again and again without a pause"
    )


@pytest.mark.parametrize("life", [FAILS, NO_PROCESS])
def test_a_start_of_the_server_that_fails_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, life: Any
) -> None:
    """Whoever starts it is told, and decides."""
    failure, starts = play(monkeypatch, {1: [life], 2: [(1.0, 60.0)]}, {1: FAILS, 2: FAILS})
    assert failure.startswith("worker 1")
    assert max(starts.values()) == 1
