"""Workers that do not answer: they are killed, and meanwhile nobody waits for them without end."""

import logging
import pickle
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.metrics import merging
from kmipkit_server.metrics.whole import FIGURES
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.counters import ConnectionCounters
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.process import wire
from kmipkit_server.process.computations import Computations
from kmipkit_server.process.crew import Crew
from kmipkit_server.process.figures import Figures
from kmipkit_server.process.front import Front
from kmipkit_server.process.member import Member
from kmipkit_server.process.messages import Farewell, Reply
from kmipkit_server.process.reloading import Reloading
from kmipkit_server.process.supervisor import Supervisor, WorkerFiles
from kmipkit_server.process.watch import QUESTIONS, SECONDS_FOR_RESTART, settled, watch
from kmipkit_server.store.errors import StoreError
from prometheus_client.core import CounterMetricFamily

TIMEOUT = 30.0


class Process:
    """A process that a test can look at."""

    pid = 4711

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.is_killed = False

    def kill(self) -> None:
        self.is_killed = True


class Line:
    """A channel whose other end answers, or not, after some seconds."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.seconds = 0.0
        self.member: Any = None
        self.nursery: Any = None

    def send(self, message: Any, _files: tuple[int, ...] = ()) -> None:
        self.nursery.start_soon(self._answer, message)

    async def _answer(self, message: Any) -> None:
        await trio.sleep(self.seconds)
        body = self.answers.get(message.kind, b"")
        self.member.questions.on_reply(Reply(message.number, body))


def members(count: int, nursery: trio.Nursery) -> list[Any]:
    """Workers that serve."""
    crew: list[Any] = []
    for number in range(1, count + 1):
        line, front = Line(), Front(ConnectionLimits(), ConnectionEvents())
        process: Any = Process()
        channel: Any = line
        member = Member(
            number, process, channel, front, Computations(1), lambda *_: None, lambda: None
        )
        member.is_ready = member.has_served = True
        line.member, line.nursery = member, nursery
        crew.append(member)
    return crew


def crew_of(all_members: list[Any]) -> Crew:
    async def orders(_number: int, _is_first: bool) -> tuple[bytes, tuple[int, ...]]:
        return b"", ()

    crew = Crew(len(all_members), orders, all_members[0].front, Computations(1))
    crew.members = {each.number: each for each in all_members}
    return crew


def run(work: Callable[[trio.Nursery], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with trio.open_nursery() as nursery:
            await work(nursery)
            nursery.cancel_scope.cancel()

    trio.run(whole, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_worker_that_answers_lives(caplog: pytest.LogCaptureFixture) -> None:
    async def work(nursery: trio.Nursery) -> None:
        [member] = members(1, nursery)
        member.channel.seconds = TIMEOUT / QUESTIONS - 1
        nursery.start_soon(watch, member, TIMEOUT)
        await trio.sleep(100 * TIMEOUT)
        assert not member.process.is_killed
        assert member.takes_connections

    run(work)
    assert not caplog.records


def test_a_worker_that_does_not_answer_is_killed_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its clients would wait for ever, and a monitoring that looks at processes sees nothing wrong."""

    async def work(nursery: trio.Nursery) -> None:
        [member] = members(1, nursery)
        nursery.start_soon(watch, member, TIMEOUT)
        await trio.sleep(TIMEOUT)
        member.channel.seconds = float("inf")
        await trio.sleep(2 * TIMEOUT / QUESTIONS + 1)
        assert not member.takes_connections, "no new clients come to it"
        assert not member.process.is_killed
        await trio.sleep(TIMEOUT)
        assert member.process.is_killed

    with caplog.at_level(logging.ERROR):
        run(work)
    [record] = caplog.records
    assert record.getMessage() == (
        "worker 1 (process 4711) has not answered for 30 seconds, and is killed"
    )


def test_a_worker_that_answers_again_in_time_is_spared() -> None:
    async def work(nursery: trio.Nursery) -> None:
        [member] = members(1, nursery)
        nursery.start_soon(watch, member, TIMEOUT)
        for _ in range(20):
            member.channel.seconds = float("inf")
            await trio.sleep(TIMEOUT * 3 / QUESTIONS)
            member.channel.seconds = 0.0
            await trio.sleep(TIMEOUT * 2 / QUESTIONS)
        assert not member.process.is_killed
        assert member.takes_connections

    run(work)


def test_a_worker_that_never_serves_is_killed(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise it would hold the turn that the others and every reload need."""

    async def work(nursery: trio.Nursery) -> None:
        [member] = members(1, nursery)
        member.process.kill = member.settled.set
        await settled(member, SECONDS_FOR_RESTART)

    run(work)
    assert "does not serve 300 seconds after its start, and is killed" in caplog.text


@pytest.mark.parametrize("kind", [FIGURES, wire.PREPARE, wire.STORE, wire.APPLY, "any other"])
def test_no_question_waits_for_ever(kind: str) -> None:
    async def work(nursery: trio.Nursery) -> None:
        first, second = members(2, nursery)
        first.channel.seconds = float("inf")
        second.channel.answers[kind] = b"here"
        crew = crew_of([first, second])
        with trio.fail_after(61):
            assert await crew.ask_all(kind) == {second: b"here"}

    run(work)


def counted(number: float) -> bytes:
    family = CounterMetricFamily("kmipkit_operations", "Operations.", value=number)
    return merging.pack([family])


def values_of(merged: bytes) -> dict[str, float]:
    return {
        sample.name: sample.value
        for metric in merging.unpack(merged)
        for sample in metric.samples
        if not sample.labels
    }


def test_a_scrape_that_another_one_has_overtaken_makes_no_counter_go_back() -> None:
    """One scrape waits for a worker that hangs; a later one does not, since that has been killed."""

    async def work(nursery: trio.Nursery) -> None:
        first, second = members(2, nursery)
        crew = crew_of([first, second])
        figures = Figures(crew, ConnectionCounters())
        first.channel.seconds = float("inf")
        second.channel.answers[FIGURES] = counted(4)
        nursery.start_soon(figures.of_all, b"")
        await trio.sleep(1)
        second.channel.answers[FIGURES] = counted(9)
        del crew.members[1]
        assert values_of(await figures.of_all(b""))["kmipkit_operations_total"] == 9
        await trio.sleep(5)  # now the first one is over
        del crew.members[2]
        figures.keep(second)
        assert values_of(await figures.of_all(b""))["kmipkit_operations_total"] == 9

    run(work)


def test_no_counter_goes_back_at_the_moment_in_which_a_worker_ends() -> None:
    """Its process has ended, but it has not been taken off the list."""

    async def work(nursery: trio.Nursery) -> None:
        first, second = members(2, nursery)
        first.figures = counted(3)
        first.is_ready = False
        second.channel.answers[FIGURES] = counted(4)
        figures = Figures(crew_of([first, second]), ConnectionCounters())
        values = values_of(await figures.of_all(b""))
        assert values["kmipkit_operations_total"] == 7
        assert values["kmipkit_workers"] == 1

    run(work)


def test_the_last_metrics_of_a_worker_are_those_that_it_sends_at_its_end() -> None:
    async def work(nursery: trio.Nursery) -> None:
        first, second = members(2, nursery)
        figures = Figures(crew_of([first, second]), ConnectionCounters())
        first.channel.seconds = 2.0
        second.channel.answers[FIGURES] = counted(4)
        nursery.start_soon(figures.of_all, b"")
        await trio.sleep(1)
        second._on_message(Farewell(counted(5)), nursery)
        await trio.sleep(5)
        figures.keep(second)
        assert values_of(figures._ended)["kmipkit_operations_total"] == 5

    run(work)


def test_a_scrape_shows_what_answered_and_counts_what_did_not() -> None:
    async def work(nursery: trio.Nursery) -> None:
        first, second = members(2, nursery)
        first.figures = counted(3)  # when it was asked before
        first.channel.seconds = float("inf")
        second.channel.answers[FIGURES] = counted(4)
        figures = Figures(crew_of([first, second]), ConnectionCounters())
        with trio.fail_after(9):  # Prometheus gives up after ten seconds
            merged = await figures.of_all(b"")
        values = values_of(merged)
        assert values["kmipkit_operations_total"] == 7, "no counter goes back"
        assert values["kmipkit_workers"] == 2
        assert values["kmipkit_workers_silent"] == 1

    run(work)


def test_a_reload_that_one_worker_does_not_prepare_is_refused() -> None:
    """And the others keep what they use."""

    async def work(nursery: trio.Nursery) -> None:
        first, second = members(2, nursery)
        first.channel.seconds = float("inf")
        told: list[str] = []
        second.channel.answers[wire.PREPARE] = msgspec.msgpack.encode([])
        send = second.channel.send

        def noting(message: Any) -> None:
            told.append(message.kind)
            send(message)

        second.channel.send = noting
        files = WorkerFiles(crew_of([first, second]))
        with pytest.raises(ConfigError, match="worker 1 has not read its files within 60 seconds"):
            await files._prepare(b"")
        assert told == [wire.PREPARE, wire.ABANDON]

    run(work)


def test_a_reload_while_no_worker_serves_is_refused() -> None:
    """Nobody would check the files, nor store the policy, and the log would say that all is in use."""

    async def work(nursery: trio.Nursery) -> None:
        [member] = members(1, nursery)
        member.is_ready = False
        crew = crew_of([member])
        supervisor: Any = SimpleNamespace(crew=crew, _files=WorkerFiles(crew))
        supervisor._stored = partial(Supervisor._stored, supervisor)
        with pytest.raises(StoreError, match="no worker serves"):
            await Supervisor._store_and_apply(supervisor, Config())

    run(work)


class Turn:
    """What a worker needs of its reloader; reading the files takes until the test says so."""

    def __init__(self) -> None:
        self.turn = trio.Semaphore(1)
        self.may_read = threading.Event()

    def prepared(self, _config: Config) -> list[Any]:
        assert self.may_read.wait(TIMEOUT)
        return []


@pytest.mark.parametrize("when", ["before", "meanwhile", "after"])
def test_a_worker_that_comes_too_late_for_a_reload_is_ready_for_the_next(when: str) -> None:
    """Nobody tells it to apply what it has prepared: it must not hold its turn for ever."""
    reloader: Any = Turn()
    reloading = Reloading(reloader)

    async def prepare(number: int) -> list[str]:
        answer = await reloading.prepare(pickle.dumps((number, Config())))
        return msgspec.msgpack.decode(answer, type=list[str])

    async def whole() -> None:
        async with trio.open_nursery() as nursery:
            if when == "before":
                reloader.may_read.set()
                await reloading.abandon(pickle.dumps(1))
                assert await prepare(1) == ["the reload was given up"]
            elif when == "meanwhile":
                nursery.start_soon(prepare, 1)
                await trio.testing.wait_all_tasks_blocked()
                await reloading.abandon(pickle.dumps(1))
                reloader.may_read.set()
            else:
                reloader.may_read.set()
                assert await prepare(1) == []
                await reloading.abandon(pickle.dumps(1))
        with trio.fail_after(TIMEOUT):
            assert await prepare(2) == []

    trio.run(whole)
