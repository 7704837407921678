"""Questions over a channel: who asks gets the answer, or learns that there will be none."""

import logging
from dataclasses import dataclass, field
from itertools import count

import trio

from kmipkit_server.engine import handing_over
from kmipkit_server.engine.peers import Answer
from kmipkit_server.process.channel import Channel
from kmipkit_server.process.messages import Begun, Question, Reply

log = logging.getLogger("kmipkit.server")

REPORTED = frozenset({handing_over.KIND})
"""The kinds of questions whose answers have effects that must not take place twice: who asks learns
whether they may have begun, although there is no answer."""


class NoAnswer(Exception):
    """The one that was asked has ended, is silent, or does not know the kind of question."""

    def __init__(self, reason: str = "", *, may_have_begun: bool = False) -> None:
        super().__init__(reason)
        self.may_have_begun = may_have_begun
        """Whether something may have been done for the question."""


@dataclass(slots=True)
class _Waiting:
    """Who waits for an answer."""

    answered: trio.Event = field(default_factory=trio.Event)
    body: bytes | None = None
    has_begun: bool = False


class Questions:
    """The questions of one end of a channel, and its answers to those of the other end."""

    def __init__(self, channel: Channel, *, passes_on: bool = False) -> None:
        """``passes_on`` says that this end only passes questions on, and does not carry them out."""
        self._channel = channel
        self._passes_on = passes_on
        self._numbers = count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._has_ended = False
        self._effects = 0
        """How many answers with effects are being given."""
        self._settled = trio.Event()

    async def settled(self) -> None:
        """Wait until no answer with effects is being given."""
        while self._effects:
            self._settled = trio.Event()
            await self._settled.wait()

    async def ask(self, to: int, kind: str, body: bytes) -> bytes:
        """The answer. NoAnswer if there is none, also if the other process ends before."""
        if self._has_ended:
            raise NoAnswer("it has ended")
        number = next(self._numbers)
        waiting = self._waiting[number] = _Waiting()
        try:
            self._channel.send(Question(number, to, kind, body))
            await waiting.answered.wait()
        finally:
            self._waiting.pop(number, None)
        if waiting.body is None:
            raise NoAnswer("it has ended", may_have_begun=waiting.has_begun)
        return waiting.body

    def on_answer(self, message: Reply | Begun) -> None:
        """Note what the other end says to a question."""
        if isinstance(message, Begun):
            self.on_begun(message)
        else:
            self.on_reply(message)

    def on_begun(self, begun: Begun) -> None:
        """Note that the answer to a question is about to have effects."""
        waiting = self._waiting.get(begun.number)
        if waiting is not None:
            waiting.has_begun = True

    def on_reply(self, reply: Reply) -> None:
        """Wake up who waits for an answer."""
        waiting = self._waiting.pop(reply.number, None)
        if waiting is not None:
            waiting.body = reply.body
            waiting.has_begun |= reply.has_begun
            waiting.answered.set()

    def end(self, *, may_have_begun: bool = False) -> None:
        """The other process has ended: nothing is answered any more.

        ``may_have_begun`` says that what it has passed on may have had effects, which nobody can tell
        any longer.
        """
        self._has_ended = True
        for waiting in self._waiting.values():
            waiting.has_begun |= may_have_begun
            waiting.answered.set()
        self._waiting.clear()

    def begin(self, nursery: trio.Nursery, question: Question, answer: Answer | None) -> None:
        """Answer a question of the other end in a task of its own."""
        has_effects = self._has_effects(question)
        self._effects += has_effects

        async def work() -> None:
            try:
                await self.answer(question, answer)
            finally:
                self._effects -= has_effects
                self._settled.set()

        nursery.start_soon(work)

    def _has_effects(self, question: Question) -> bool:
        return question.kind in REPORTED and not self._passes_on

    async def answer(self, question: Question, answer: Answer | None) -> None:
        """Answer a question of the other end."""
        body, has_begun = None, False
        if answer is not None:
            if self._has_effects(question):
                # On its way before anything is done: it arrives even if this process is killed then.
                self._channel.send(Begun(question.number))
                await self._channel.flushed()
            try:
                body = await answer(question.body)
            except NoAnswer as error:
                has_begun = error.may_have_begun
            except Exception:
                # Only a defect gets here, so any exception is caught: who asks must not wait for ever,
                # and this process must not end.
                log.exception("internal error while a question of another process was answered")
        self._channel.send(Reply(question.number, body, has_begun))
