"""A worker process as the supervisor has it."""

import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from kmipkit_server.engine.peers import Answer
from kmipkit_server.process import wire
from kmipkit_server.process.channel import Channel, ChannelClosed
from kmipkit_server.process.child import Child
from kmipkit_server.process.computations import Computations
from kmipkit_server.process.front import Front
from kmipkit_server.process.messages import (
    Begin,
    Begun,
    Declined,
    Drain,
    Drained,
    Failed,
    Farewell,
    GivenBack,
    Happened,
    Kept,
    Leaving,
    Left,
    Message,
    Question,
    Ready,
    Reply,
    Taken,
)
from kmipkit_server.process.questions import NoAnswer, Questions
from kmipkit_server.process.wire import Silence

log = logging.getLogger("kmipkit.server")

MODULE = "kmipkit_server.process"


@dataclass(slots=True, eq=False)
class Member:
    """A worker process, from its start to its end."""

    number: int
    process: Child
    channel: Channel
    front: Front
    computations: Computations
    route: Callable[["Member", Question], Answer | None]
    """Who answers a question of the worker."""
    on_change: Callable[[], None]
    """Called when it serves, when it takes no more connections, and when it has none any more."""
    questions: Questions = field(init=False)
    has_begun: bool = False
    """Whether it was told to serve."""
    is_ready: bool = False
    has_served: bool = False
    is_leaving: bool = False
    """Whether it takes no more connections."""
    is_silent: bool = False
    """Whether it has not answered lately."""
    is_drained: bool = False
    """Whether it is to end, and has finished the requests of its connections."""
    was_asked_to_leave: bool = False
    """Whether somebody has sent it a signal to end."""
    failure: str = ""
    """Why it could not start."""
    ca: str = ""
    """The file of the authorities, which the first worker may have made."""
    figures: bytes = b""
    """Its metrics when they were asked for last; see :meth:`note_figures`."""
    _scrape: float = -math.inf
    """For which scrape they were asked."""
    settled: trio.Event = field(default_factory=trio.Event)
    """Set when it serves, and when it has ended."""
    begun: float = field(default_factory=trio.current_time)

    def __post_init__(self) -> None:
        self.questions = Questions(self.channel, passes_on=True)

    @property
    def takes_connections(self) -> bool:
        """Whether it serves new connections."""
        return self.is_ready and not self.is_leaving and not self.is_silent

    def send(self, message: Message, files: tuple[int, ...] = ()) -> None:
        """Send a message."""
        self.channel.send(message, files)

    async def ask(self, kind: str, body: bytes = b"") -> bytes:
        """The answer to a question. NoAnswer if it has ended, or takes too long."""
        seconds = wire.SECONDS.get(kind, wire.USUAL_SECONDS)
        with trio.move_on_after(seconds):
            return await self.questions.ask(self.number, kind, body)
        raise NoAnswer(f"it has not answered within {seconds:g} seconds")

    async def silences(self) -> list[Silence]:
        """How long its connections have been silent."""
        try:
            return msgspec.msgpack.decode(await self.ask(wire.SILENCES), type=list[Silence])
        except NoAnswer:
            return []

    async def run(self) -> int:
        """Hear what the worker says, until it has ended; its exit status, negative for a signal."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.channel.run)
            try:
                while True:
                    message, _ = await self.channel.receive()
                    self._on_message(message, nursery)
            except ChannelClosed:
                self.is_leaving = True  # it is about to end, if it has not
                self.on_change()
            with trio.CancelScope(shield=True):
                code = await self.process.wait()
            self.is_ready = False
            self.questions.end()
            nursery.cancel_scope.cancel()
        self.channel.close()
        self.settled.set()
        return code

    def _on_message(self, message: Message, nursery: trio.Nursery) -> None:
        if isinstance(message, Question):
            self.questions.begin(nursery, message, self.route(self, message))
        elif isinstance(message, Declined):
            nursery.start_soon(self.front.declined, message.number)
        else:
            _EFFECTS[type(message)](self, message)

    def _note_ready(self, message: Ready) -> None:
        self.ca, self.is_ready, self.has_served = message.ca, True, True
        self.settled.set()
        self.on_change()

    def _note_failure(self, message: Failed) -> None:
        self.failure = message.text

    def note_silence(self, *, is_silent: bool) -> None:
        """Note whether it answers."""
        if self.is_silent is not is_silent:
            self.is_silent = is_silent
            self.on_change()

    def _note_leaving(self, _: Leaving) -> None:
        self.is_leaving = self.was_asked_to_leave = True
        self.on_change()

    def _note_drained(self, _: Drained) -> None:
        self.is_drained = True
        self.on_change()

    def note_figures(self, figures: bytes, scrape: float) -> None:
        """Note its metrics, unless those of a later scrape are known: scrapes may overtake each other,
        and no counter may go back."""
        if scrape > self._scrape:
            self.figures, self._scrape = figures, scrape

    def _note_farewell(self, message: Farewell) -> None:
        self.note_figures(message.figures, math.inf)

    def begin(self, orders: bytes, descriptors: tuple[int, ...]) -> None:
        """Tell it to serve."""
        self.has_begun = True
        self.send(Begin(orders, len(descriptors)), descriptors)

    def drain(self, seconds: float) -> None:
        """Let it finish what has begun, and end."""
        self.is_leaving = True
        if self.has_begun:
            self.send(Drain(seconds))
        else:  # it has nothing to finish, and may still be loading its modules
            self.kill()

    def kill(self) -> None:
        """End it at once; nothing of what it has acknowledged is lost."""
        self.process.kill()


_EFFECTS: Mapping[type, Callable[[Member, Any], None]] = {
    Reply: lambda member, message: member.questions.on_answer(message),
    Begun: lambda member, message: member.questions.on_answer(message),
    Taken: lambda member, message: member.front.taken(message.number),
    Left: lambda member, message: member.front.left(message.number),
    Happened: lambda member, message: member.front.happened(member, message),
    Kept: lambda member, message: member.front.kept(message.number),
    GivenBack: lambda member, message: member.computations.give_back(member.number, message.number),
    Ready: Member._note_ready,
    Failed: Member._note_failure,
    Leaving: Member._note_leaving,
    Drained: Member._note_drained,
    Farewell: Member._note_farewell,
}
"""What the other messages of a worker lead to."""


def start(
    number: int,
    front: Front,
    computations: Computations,
    route: Callable[[Member, Question], Answer | None],
    on_change: Callable[[], None],
) -> Member:
    """Start the process of a worker, which waits for :class:`Begin`. OSError if that fails."""
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with other:
        command = [sys.executable, "-P", "-m", MODULE, str(number), str(other.fileno())]
        try:
            process = Child(command, (other.fileno(),), _environment())
        except BaseException:
            own.close()
            raise
    return Member(number, process, Channel(own), front, computations, route, on_change)


def _environment() -> Mapping[str, str]:
    """That of this process, with the same modules to import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def how_ended(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}"
