"""The places for computations, which all workers share: no client gets more with more connections."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
import trio.testing
from kmipkit_server.config import Config
from kmipkit_server.config.sections import LimitsConfig
from kmipkit_server.engine.peers import PeerGone
from kmipkit_server.process import wire
from kmipkit_server.process.computations import Computations, OwnComputations
from kmipkit_server.process.messages import SUPERVISOR, GivenBack
from kmipkit_server.running.limits import computations_of


class Line:
    """What a worker needs of its channel and of its peers: the supervisor is in the same process."""

    def __init__(self, number: int, computations: Computations) -> None:
        self.number = number
        self.is_alone = False
        self.is_up = True
        self._computations = computations

    def send(self, message: Any) -> None:
        assert isinstance(message, GivenBack)
        if self.is_up:
            self._computations.give_back(self.number, message.number)

    async def ask(self, to: int, kind: str, body: bytes) -> bytes:
        assert (to, kind) == (SUPERVISOR, wire.PLACE)
        if not self.is_up:
            raise PeerGone(to)
        return await self._computations.take(body)


class Scene:
    """Workers that share so many places, and what they compute for each account."""

    def __init__(self, nursery: trio.Nursery, places: int, workers: int) -> None:
        self.shared = Computations(places)
        self.lines: list[Any] = [Line(number, self.shared) for number in range(1, workers + 1)]
        self.workers = [OwnComputations(each, each) for each in self.lines]
        self.running: list[str] = []
        self._nursery = nursery

    def compute(self, worker: int, account: str, most: int | None = None) -> trio.CancelScope:
        """Begin a computation; what ends it."""
        scope = trio.CancelScope()
        self._nursery.start_soon(self._compute, worker, account, most, scope)
        return scope

    async def _compute(
        self, worker: int, account: str, most: int | None, scope: trio.CancelScope
    ) -> None:
        with scope:
            async with self.workers[worker - 1].take(account, most):
                with self._noted(account):
                    await trio.sleep_forever()

    @contextmanager
    def _noted(self, account: str) -> Iterator[None]:
        self.running.append(account)
        try:
            yield
        finally:
            self.running.remove(account)


def play(places: int, workers: int, work: Callable[[Scene], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with trio.open_nursery() as nursery:
            scene = Scene(nursery, places, workers)
            await nursery.start(scene.shared.run)
            await work(scene)
            nursery.cancel_scope.cancel()

    trio.run(whole)


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


def test_an_account_has_half_of_the_places_of_all_workers() -> None:
    """With a connection to each worker it had all of them, and nobody else could compute."""

    async def work(scene: Scene) -> None:
        for worker in (1, 2, 3, 4):
            scene.compute(worker, "greedy")
        await settled()
        assert scene.running == ["greedy"] * 2
        other = scene.compute(4, "other")
        await settled()
        assert scene.running.count("other") == 1
        other.cancel()
        await settled()
        assert scene.running == ["greedy"] * 2

    play(4, 4, work)


def test_all_places_are_those_of_all_workers() -> None:
    async def work(scene: Scene) -> None:
        ends = [scene.compute(1 + each % 3, f"account {each}") for each in range(9)]
        await settled()
        assert len(scene.running) == 2
        assert sum(each.figures.used for each in scene.workers) == 2
        assert sum(each.figures.waiting for each in scene.workers) == 7
        while ends:
            ends.pop().cancel()
            await settled()
            assert len(scene.running) == min(2, len(ends))

    play(2, 3, work)


def test_a_tenant_has_as_many_places_as_it_may_have_of_all_workers() -> None:
    async def work(scene: Scene) -> None:
        for worker in (1, 2, 3):
            scene.compute(worker, f"tenant:acme:db{worker}", most=1)
        await settled()
        assert len(scene.running) == 1

    play(8, 3, work)


def test_who_waits_no_longer_takes_no_place() -> None:
    """The client may have gone, or the time for its computations may be over."""

    async def work(scene: Scene) -> None:
        first = scene.compute(1, "one")
        await settled()
        waiting = scene.compute(2, "two")
        await settled()
        waiting.cancel()
        gone_at_once = scene.compute(2, "two")
        gone_at_once.cancel()
        await settled()
        first.cancel()
        scene.compute(3, "three")
        await settled()
        assert scene.running == ["three"]

    play(1, 3, work)


def test_a_place_that_is_given_back_before_the_question_for_it_is_looked_at() -> None:
    """The supervisor hears both at once, and answers questions in tasks of their own."""

    async def work(scene: Scene) -> None:
        scene.shared.give_back(1, 1)
        scene.compute(1, "early")  # the first one of this worker
        await settled()
        scene.compute(2, "later")
        await settled()
        assert "later" in scene.running

    play(1, 2, work)


def test_the_places_of_a_worker_that_has_ended_are_for_the_others() -> None:
    async def work(scene: Scene) -> None:
        for account in ("one", "two", "three"):
            scene.compute(1, account)
        await settled()
        scene.compute(2, "four")
        await settled()
        assert "four" not in scene.running
        scene.lines[0].is_up = False
        scene.shared.lost(1)
        await settled()
        assert "four" in scene.running

    play(2, 2, work)


def test_without_the_supervisor_nothing_waits() -> None:
    """The worker is about to end, and must not hang until then."""

    async def work(scene: Scene) -> None:
        scene.lines[0].is_up = False
        scene.compute(1, "one")
        await settled()
        assert scene.running == ["one"]

    play(1, 1, work)


def test_a_reload_changes_the_places() -> None:
    async def work(scene: Scene) -> None:
        for number in range(4):
            scene.compute(1 + number % 2, f"account {number}")
        await settled()
        assert len(scene.running) == 1
        scene.shared.resize(3)
        await settled()
        assert len(scene.running) == 3

    play(1, 2, work)


@pytest.mark.parametrize(("places", "processes"), [(4, 1), (4, 3), (4, 8), (1, 2), (7, 4)])
def test_the_metrics_of_all_workers_have_the_sum_of_the_places(places: int, processes: int) -> None:
    config = Config(limits=LimitsConfig(workers=places))
    numbers = range(1, processes + 1)
    assert sum(computations_of(config, processes, number) for number in numbers) == places
