"""What the processes of a server are made of: channels, the front, turns of writers."""

import errno
import fcntl
import math
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import trio
import trio.lowlevel
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from kmipkit_server.audit.logs import place_of, place_text
from kmipkit_server.config import Config
from kmipkit_server.config.sections import StoreConfig
from kmipkit_server.net.connection_limits import ConnectionLimits
from kmipkit_server.net.events import ConnectionEvents
from kmipkit_server.process.channel import NO_FILE, Channel, ChannelClosed
from kmipkit_server.process.computations import Computations
from kmipkit_server.process.crew import Crew
from kmipkit_server.process.front import Front, as_full
from kmipkit_server.process.messages import Connect, MakeRoom, Message, Question
from kmipkit_server.process.questions import NoAnswer, Questions
from kmipkit_server.process.supervisor import Supervisor
from kmipkit_server.process.wire import Authenticated, Silence
from kmipkit_server.service.ready import Ready
from kmipkit_server.store.sqlite.turns import Turns
from trio.abc import Clock

from kmipkit.places import Full, Limit


def channels() -> tuple[Channel, Channel]:
    first, second = socket.socketpair()
    return Channel(first), Channel(second)


# --- channels --------------------------------------------------------------------------------------


def test_messages_arrive_in_order_whatever_their_size_and_sockets_with_them() -> None:
    """More than the system keeps for the reader must not make the sender wait."""
    messages = [Question(number, 1, "kind", b"x" * 50_000 * (number % 5)) for number in range(60)]

    async def run() -> None:
        here, there = channels()
        sent = [socket.socketpair() for _ in messages]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.run)
            for number, message in enumerate(messages):
                here.send(message)
                here.send(Connect(number, "192.0.2.1", 5696), (sent[number][0].fileno(),))
                sent[number][0].close()
            for number, message in enumerate(messages):
                assert await there.receive() == (message, ())
                connect, [descriptor] = await there.receive()
                assert connect == Connect(number, "192.0.2.1", 5696)
                assert not os.get_inheritable(descriptor)
                with socket.socket(fileno=descriptor) as received:
                    received.send(b"%d" % number)
                assert sent[number][1].recv(16) == b"%d" % number
                sent[number][1].close()
            await here.flushed()
            nursery.cancel_scope.cancel()
        here.close()
        with pytest.raises(ChannelClosed):
            await there.receive()
        there.close()

    trio.run(run)


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process cannot open any further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_for_which_a_process_has_no_descriptor_leaves_the_others_alone() -> None:
    """Its socket is lost on the way; the next message has its own again."""

    async def run() -> None:
        here, there = channels()
        first, second = socket.socketpair()
        for number in (1, 2):
            here.send(Connect(number, "192.0.2.1", 5696), (first.fileno(),))
        first.close()
        with no_more_files():
            assert await there.receive() == (Connect(1, "192.0.2.1", 5696), (NO_FILE,))
        connect, [descriptor] = await there.receive()
        assert connect.number == 2
        with socket.socket(fileno=descriptor) as received:
            received.send(b"2")
        assert second.recv(1) == b"2"
        for each in (here, there, second):
            each.close()

    trio.run(run)


def test_a_question_to_a_process_that_ends_has_no_answer() -> None:
    async def run() -> None:
        here, there = channels()
        questions = Questions(here)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(NoAnswer):
                    await questions.ask(1, "kind", b"")

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            questions.end()
        here.close()
        there.close()

    trio.run(run)


def test_a_question_that_comes_after_the_end_has_no_answer_either() -> None:
    """Otherwise the request of a client, or a reload, would wait for ever for a process that is gone."""

    async def run() -> None:
        here, there = channels()
        questions = Questions(here)
        questions.end()
        with trio.fail_after(5), pytest.raises(NoAnswer):
            await questions.ask(1, "kind", b"")
        here.close()
        there.close()

    trio.run(run)


@pytest.mark.parametrize("has_begun", [False, True])
def test_who_asks_learns_whether_the_one_that_has_ended_had_begun(has_begun: bool) -> None:
    """The supervisor between them must not count for the one that does the work."""
    unknown: list[bool] = []

    async def run() -> None:
        (asking, to_asking), (to_receiving, receiving) = channels(), channels()
        asker, passing = Questions(asking), Questions(to_asking, passes_on=True)
        onward, receiver = Questions(to_receiving, passes_on=True), Questions(receiving)

        async def ask() -> None:
            with pytest.raises(NoAnswer) as raised:
                await asker.ask(2, "parts", b"")
            unknown.append(raised.value.may_have_begun)

        async def pass_on(body: bytes) -> bytes:
            return await onward.ask(2, "parts", body)

        async def compute(_: bytes) -> bytes:
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(passing.answer, (await to_asking.receive())[0], pass_on)
            question = (await receiving.receive())[0]
            if has_begun:
                nursery.start_soon(receiver.answer, question, compute)
                onward.on_begun((await to_receiving.receive())[0])
            onward.end()  # as the supervisor does when the process has ended
            asker.on_reply((await asking.receive())[0])
            with trio.move_on_after(5):
                while not unknown:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        for each in (asking, to_asking, to_receiving, receiving):
            each.close()

    trio.run(run)
    assert unknown == [has_begun]


def test_a_defect_of_who_answers_is_no_answer() -> None:
    async def fail(_: bytes) -> bytes:
        raise ValueError

    async def run() -> None:
        here, there = channels()
        await Questions(here).answer(Question(7, 1, "kind", b""), fail)
        reply, _ = await there.receive()
        assert (reply.number, reply.body) == (7, None)
        here.close()
        there.close()

    trio.run(run)


# --- the front -------------------------------------------------------------------------------------


class Colleague:
    """A worker that notes what it is told."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.told: list[Message] = []
        self.silent: list[Silence] = []

    def send(self, message: Message, _files: tuple[int, ...] = ()) -> None:
        self.told.append(message)

    async def silences(self) -> list[Silence]:
        return self.silent

    @property
    def connections(self) -> list[int]:
        return [each.number for each in self.told if isinstance(each, Connect)]


class Scene:
    """A front with workers, and connections to it."""

    def __init__(self, count: int, **limits: int) -> None:
        self.workers = [Colleague(number) for number in range(1, count + 1)]
        self.front = Front(ConnectionLimits(**limits), ConnectionEvents())
        self.front.workers = lambda: self.workers
        self.sockets: list[socket.socket] = []

    async def connect(self, address: str = "192.0.2.1") -> None:
        raw, other = socket.socketpair()
        self.sockets += raw, other
        await self.front._take(raw, address, 1234)

    def run(self, work: Callable[[], Awaitable[None]], clock: Clock | None = None) -> None:
        try:
            trio.run(work, clock=clock)
        finally:
            for each in self.sockets:
                each.close()


def test_each_connection_goes_to_the_worker_that_has_the_fewest() -> None:
    scene = Scene(3)

    async def work() -> None:
        for _ in range(9):
            await scene.connect()
        assert [len(each.connections) for each in scene.workers] == [3, 3, 3]
        for number in scene.workers[1].connections:
            scene.front.taken(number)
            scene.front.left(number)
        for _ in range(3):
            await scene.connect()
        assert [len(each.connections) for each in scene.workers] == [3, 6, 3]

    scene.run(work)


def test_a_client_comes_back_to_the_worker_where_it_can_resume_its_session() -> None:
    scene = Scene(3)

    async def work() -> None:
        await scene.connect("192.0.2.1")
        await scene.connect("192.0.2.2")
        for worker in scene.workers:
            for number in worker.connections:
                scene.front.left(number)
        await scene.connect("192.0.2.2")
        await scene.connect("192.0.2.1")
        assert [len(each.connections) for each in scene.workers] == [2, 2, 0]

    scene.run(work)


def test_what_a_dead_worker_has_not_begun_is_for_another_one() -> None:
    scene = Scene(2)
    dead, alive = scene.workers

    async def work() -> None:
        for _ in range(4):
            await scene.connect()
        begun, pending = dead.connections
        scene.front.taken(begun)
        scene.workers.remove(dead)
        await scene.front.lost(dead)
        assert pending in alive.connections
        assert begun not in alive.connections

    scene.run(work)


def test_who_has_been_silent_longest_makes_room_wherever_it_is() -> None:
    scene = Scene(2, connections=2)

    async def work() -> None:
        await scene.connect()
        await scene.connect()
        [first], [second] = (each.connections for each in scene.workers)
        with pytest.raises(Full) as refused:
            await scene.connect()
        assert refused.value.limit is Limit.TOTAL
        scene.workers[0].silent = [Silence(first, True, 5.0)]
        scene.workers[1].silent = [Silence(second, True, 9.0)]
        await scene.connect()
        assert [each for each in scene.workers[1].told if isinstance(each, MakeRoom)]
        assert not [each for each in scene.workers[0].told if isinstance(each, MakeRoom)]

    scene.run(work)


def test_no_connection_goes_to_a_worker_that_ends_while_room_is_made() -> None:
    """Its client would wait for ever, and its place would never be free again."""
    scene = Scene(2, connections=2)
    dead, alive = scene.workers

    async def silences() -> list[Silence]:
        scene.workers.remove(dead)
        await scene.front.lost(dead)
        return []

    async def work() -> None:
        await scene.connect()
        await scene.connect()
        for number in (1, 2):
            scene.front.taken(number)
        dead.silences = silences  # type: ignore[method-assign]
        await scene.connect("192.0.2.9")
        assert dead.connections == [1]
        assert alive.connections == [2, 3]

    scene.run(work)


def test_a_worker_that_does_not_answer_stops_nobody_from_connecting() -> None:
    """It may have been stopped, or compute without end; the others have room."""
    scene = Scene(2, connections=2)

    async def work() -> None:
        await scene.connect()
        await scene.connect()
        [second] = scene.workers[1].connections
        scene.workers[0].silences = trio.sleep_forever  # type: ignore[method-assign]
        scene.workers[1].silent = [Silence(second, True, 9.0)]
        await scene.connect()
        assert [each for each in scene.workers[1].told if isinstance(each, MakeRoom)]

    scene.run(work, trio.testing.MockClock(autojump_threshold=0))


def test_a_connection_that_cannot_be_handed_over_is_closed_and_no_more() -> None:
    """The process that accepts must not end because it has too many open files."""
    scene = Scene(1, connections=1)

    def send(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def work() -> None:
        [worker] = scene.workers
        original, worker.send = worker.send, send  # type: ignore[method-assign]
        await scene.connect()
        assert scene.sockets[0].fileno() == -1
        worker.send = original  # type: ignore[method-assign]
        await scene.connect()
        assert len(worker.connections) == 1

    scene.run(work)


def test_the_limit_of_an_account_counts_the_connections_of_all_workers() -> None:
    scene = Scene(2)

    async def work() -> None:
        import msgspec

        answers = []
        for number in (1, 2, 3):
            await scene.connect()
            note = Authenticated(number, "alice", 2, "", 100)
            answers.append(await scene.front.authenticated(msgspec.msgpack.encode(note)))
        assert [as_full(each) is None for each in answers] == [True, True, False]
        full = as_full(answers[2])
        assert full is not None
        assert full.limit is Limit.ACCOUNT
        assert "alice" in str(full)
        scene.front.left(1)
        again = Authenticated(3, "alice", 2, "", 100)
        assert not await scene.front.authenticated(msgspec.msgpack.encode(again))

    scene.run(work)


# --- the crew --------------------------------------------------------------------------------------


def test_a_server_is_ready_whichever_workers_have_ended_at_that_moment() -> None:
    """Even if it is the first one, which another one is about to replace."""
    crew = SimpleNamespace(members={}, ca="ca.crt", is_stopping=False)
    said: list[Ready] = []

    async def idle(*_: object) -> None:
        """Nothing happens."""

    async def work(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

    supervisor: Any = SimpleNamespace(
        crew=crew, config=Config(), sockets=[], monitoring_sockets=[], _obey=idle, _flush=idle,
        _work=work, front=SimpleNamespace(acceptor=SimpleNamespace(serve=idle)),
        computations=SimpleNamespace(run=work),
    )  # fmt: skip

    async def no_signals() -> AsyncIterator[int]:
        return
        yield

    trio.run(Supervisor.run, supervisor, said.append, no_signals())
    assert [str(each.ca) for each in said] == ["ca.crt"]


def test_a_worker_that_does_not_answer_keeps_no_other_one_from_starting(tmp_path: Path) -> None:
    """Each that begins needs to know which root key is in use; any other one can tell."""

    class Stopped:
        async def ask(self, _kind: str) -> bytes:
            await trio.sleep_forever()

    config = Config(store=StoreConfig(tmp_path))
    crew = SimpleNamespace(serving=lambda: [Stopped()])
    supervisor: Any = SimpleNamespace(crew=crew, _root_key=None)

    async def run() -> None:
        assert await Supervisor._with_root_key(supervisor, config) is config

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_root_key_is_in_use_until_no_worker_opens_the_store_with_it() -> None:
    """A rotation that ended while other workers were starting kept the whole server from starting."""

    async def orders(_number: int, _is_first: bool) -> tuple[bytes, tuple[int, ...]]:
        return b"", ()

    crew = Crew(3, orders, Front(ConnectionLimits(), ConnectionEvents()), Computations(1))
    supervisor: Any = SimpleNamespace(crew=crew, _root_key=None)
    noted: list[bytes] = []

    async def note() -> None:
        noted.append(await Supervisor._note_root_key(supervisor, b"file:new.key"))

    async def run() -> None:
        members: list[Any] = [
            SimpleNamespace(
                number=number, begin=Mock(), settled=trio.Event(), has_served=True, ca=""
            )
            for number in (1, 2, 3)
        ]
        slow, *others = members
        async with trio.open_nursery() as nursery:
            for each in members:
                nursery.start_soon(crew._open, each, math.inf)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(note)
            for each in others:
                each.settled.set()
            await trio.testing.wait_all_tasks_blocked()
            assert not noted
            slow.settled.set()
        assert noted == [b""]

    trio.run(run)


# --- turns -----------------------------------------------------------------------------------------


def test_who_has_just_written_does_not_come_before_the_one_that_waits(tmp_path: Path) -> None:
    """However quickly it comes back: otherwise the fastest process would starve the others."""
    first, second = (Turns(tmp_path / "database") for _ in range(2))
    order: list[str] = []

    async def write() -> None:
        await second.take()
        order.append("second")
        await trio.lowlevel.checkpoint()
        second.release()

    async def run() -> None:
        for _ in range(20):
            await first.take()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                # Its first look at the queue is over: from now on, whoever has that is waiting.
                await trio.testing.wait_all_tasks_blocked()
                await trio.to_thread.run_sync(_wait_until_somebody_waits, tmp_path)
                first.release()
                await first.take()
                order.append("first")
                first.release()

    trio.run(run)
    first.close()
    second.close()
    assert order == ["second", "first"] * 20


def _wait_until_somebody_waits(folder: Path) -> None:
    """Wait until another one is at the head of the queue."""
    with (folder / "database.queue").open() as queue:
        while True:
            try:
                fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(queue, fcntl.LOCK_UN)


# --- places in several logs ------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.integers(2, 99).map(lambda number: f"worker-{number}"), st.integers(1, 10**9)
    ),
    st.integers(0, 10**9),
)
def test_a_place_in_all_logs_is_one_text(others: dict[str, int], first: int) -> None:
    numbers: dict[str, Any] = {"": first, **others}
    assert place_of(place_text(numbers)) == numbers


def test_the_end_of_a_connection_that_nobody_knows_does_no_harm() -> None:
    scene = Scene(1)

    async def work() -> None:
        scene.front.left(99)
        scene.front.taken(99)
        scene.front.kept(99)
        await scene.front.declined(99)

    scene.run(work)
