"""All workers of a server: each is started, started again when it has ended, and asked things."""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import trio

from kmipkit.errors import KMIPError
from kmipkit_server.engine.peers import Answer
from kmipkit_server.process.computations import Computations
from kmipkit_server.process.front import Front
from kmipkit_server.process.member import Member, how_ended, start
from kmipkit_server.process.messages import OTHERS, SUPERVISOR, End, Question
from kmipkit_server.process.questions import NoAnswer
from kmipkit_server.process.restarts import Restarts
from kmipkit_server.process.watch import SECONDS_FOR_RESTART, settled, watch

log = logging.getLogger("kmipkit.server")

MARGIN = 10.0
"""Seconds that a worker has for its last commits and records, when its requests are done."""
HURRIED_MARGIN = 3.0
"""The same when the server is told a second time to stop."""

Orders = Callable[[int, bool], Awaitable[tuple[bytes, tuple[int, ...]]]]
"""What a worker is told, and the files that it gets: by its number, and whether it is the first one."""


class WorkersFailed(KMIPError):
    """The server cannot have its workers; the text says why."""


@dataclass(slots=True)
class Crew:
    """The workers, by their numbers."""

    count: int
    orders: Orders
    front: Front
    computations: Computations
    answer_timeout: float = math.inf
    """Seconds after which a worker that does not answer is killed."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """What the supervisor itself answers, by the kind of the question."""
    on_end: list[Callable[[Member], None]] = field(default_factory=list)
    """Called when a worker has ended."""
    members: dict[int, Member] = field(default_factory=dict)
    restarts: int = 0
    """How often a worker was started again."""
    failure: str = ""
    """Why the server cannot go on."""
    ca: str = ""
    """The file of the authorities, known when the first worker has served."""
    turn: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(1))
    """Held while a worker opens its files, and while all workers read theirs again."""
    _available: trio.Event = field(default_factory=trio.Event)
    """Set while a worker takes connections."""
    _changed: trio.Event = field(default_factory=trio.Event)
    """Set, and replaced, when a worker serves or has ended."""
    _has_first: trio.Event = field(default_factory=trio.Event)
    """Set when what a start does once is done."""
    _stopping: trio.Event = field(default_factory=trio.Event)
    _opening: set[int] = field(default_factory=set)
    """The workers that open their files."""
    _restarts: dict[int, Restarts] = field(default_factory=dict)
    """The ends of each worker, by its number."""
    _is_started: bool = False
    _background: trio.Nursery | None = None

    # --- life ------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep all workers running until :meth:`stop`, or until :attr:`failure` says why it cannot.

        It has started when all of them serve, or when it is told to stop before.
        """
        async with trio.open_nursery() as background:
            self._background = background
            async with trio.open_nursery() as nursery:
                for number in range(1, self.count + 1):
                    nursery.start_soon(self._keep, number)
                while len(self.serving()) < self.count and not self._stopping.is_set():
                    await self._changed.wait()
                self._is_started = True
                task_status.started()
            self._background = None
            background.cancel_scope.cancel()

    async def _keep(self, number: int) -> None:
        """Have one worker running."""
        restarts = self._restarts[number] = Restarts()
        while not self._stopping.is_set():
            try:
                member = start(
                    number, self.front, self.computations, self._route, self._note_change
                )
            except OSError as error:  # the system has no room for a process
                await self._not_started(number, restarts, error)
                continue
            self.members[number] = member
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._begin, member)
                code = await member.run()
                nursery.cancel_scope.cancel()
            self._ended(member)
            if self._stopping.is_set():
                return
            life = trio.current_time() - member.begun
            delay = restarts.delay_after(life, has_served=member.has_served)
            self._judge(member, code)
            await self._pause(delay)

    async def _not_started(self, number: int, restarts: Restarts, error: OSError) -> None:
        """There is no process for a worker."""
        reason = f"worker {number}: {error.strerror}"
        if not self._is_started:
            self._fail(reason)
            return
        delay = restarts.delay_after(0.0, has_served=False)
        if self._is_hopeless():
            self._fail(f"no worker can be started any longer: {reason}")
            return
        log.error("%s; another attempt follows", reason)
        await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._stopping.wait()

    async def _begin(self, member: Member) -> None:
        """Tell a worker to serve, when it is its turn, and see to it that it does."""
        if member.number != 1:
            await self._has_first.wait()
        if not self._is_started:
            await self._open(member, math.inf)
        else:
            async with self.turn:
                await self._open(member, SECONDS_FOR_RESTART)
        if member.has_served:
            await watch(member, self.answer_timeout)

    async def _open(self, member: Member, seconds: float) -> None:
        self._opening.add(member.number)
        try:
            member.begin(*await self.orders(member.number, not self._has_first.is_set()))
            await settled(member, seconds)
        finally:
            self._opening.discard(member.number)
            self._note_change()
        if member.has_served:
            self.ca = member.ca
            self._has_first.set()

    def _ended(self, member: Member) -> None:
        del self.members[member.number]
        self.computations.lost(member.number)
        self._note_change()
        for note in self.on_end:
            note(member)
        if self._background is not None:
            self._background.start_soon(self.front.lost, member)

    def _judge(self, member: Member, code: int) -> None:
        """Say that a worker has ended, and give up if no worker can be had."""
        what = f"worker {member.number} (process {member.process.pid}) {how_ended(code)}"
        reason = member.failure or f"{what} while it was starting"
        if member.was_asked_to_leave:
            log.info("%s; another one takes its place", what)
        elif member.has_served:
            log.error("%s; another one takes its place", what)
        elif not self._is_started:
            self._fail(reason)
        elif self._is_hopeless():
            self._fail(f"no worker can be started any longer: {reason}")
        else:
            log.error("worker %d cannot start, and will be tried again: %s", member.number, reason)
        self.restarts += 1

    def _is_hopeless(self) -> bool:
        """Whether no worker serves, and none could be started for a while: another one may be about to
        serve whose predecessor has just been killed."""
        return not self.serving() and all(each.is_hopeless for each in self._restarts.values())

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        self.stop(0)

    def _note_change(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        is_available = any(each.takes_connections for each in self.members.values())
        if is_available:
            self._available.set()
        elif self._available.is_set():
            self._available = trio.Event()
        self._end_drained()

    def _end_drained(self) -> None:
        """Let those end that have finished their requests. When the server stops, all have to: a request
        of one worker may need another one that has the earlier parts of an operation."""
        drained = [each for each in self.members.values() if each.is_drained]
        if not self._stopping.is_set() or len(drained) == len(self.members):
            for member in drained:
                member.send(End())

    # --- the end ---------------------------------------------------------------------------------

    @property
    def is_stopping(self) -> bool:
        """Whether the workers are to end."""
        return self._stopping.is_set()

    def stop(self, grace: float, margin: float = MARGIN) -> None:
        """Let all workers finish what has begun, for so many seconds at most, and end.

        Those that have not ended after a further ``margin`` are killed.
        """
        self._stopping.set()
        self._changed.set()
        for member in self.members.values():
            member.drain(grace)
        self._end_drained()
        if self._background is not None:
            self._background.start_soon(self._kill_after, grace + margin)

    async def _kill_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        for member in self.members.values():
            log.warning("worker %d does not end by itself, and is killed", member.number)
            member.kill()

    # --- questions -------------------------------------------------------------------------------

    def serving(self) -> list[Member]:
        """The workers that serve, also those that finish their last requests."""
        return [self.members[each] for each in sorted(self.members) if self.members[each].is_ready]

    def taking(self) -> list[Member]:
        """The workers that take connections."""
        return [each for each in self.members.values() if each.takes_connections]

    async def opened(self) -> None:
        """Wait until no worker opens its files as it was told before."""
        while self._opening:
            await self._changed.wait()

    async def available(self) -> None:
        """Wait until a worker takes connections."""
        await self._available.wait()

    async def ask_all(
        self, kind: str, body: bytes = b"", but: Member | None = None
    ) -> dict[Member, bytes]:
        """The answers of all workers that serve; those that end meanwhile, or do not answer in time,
        are left out."""
        answers: dict[Member, bytes] = {}

        async def ask(member: Member) -> None:
            try:
                answers[member] = await member.ask(kind, body)
            except NoAnswer as error:
                log.debug("worker %d has no answer to %r: %s", member.number, kind, error)

        async with trio.open_nursery() as nursery:
            for member in self.serving():
                if member is not but:
                    nursery.start_soon(ask, member)
        return answers

    def _route(self, asking: Member, question: Question) -> Answer | None:
        """Who answers a question of a worker."""
        kind = question.kind
        if question.to == SUPERVISOR:
            return self.answers.get(kind)
        if question.to == OTHERS:

            async def ask_others(body: bytes) -> bytes:
                answers = await self.ask_all(kind, body, but=asking)
                return msgspec.msgpack.encode(list(answers.values()))

            return ask_others
        member = self.members.get(question.to)
        if member is None or not member.is_ready:
            return None

        async def ask(body: bytes) -> bytes:
            return await member.ask(kind, body)

        return ask
