"""The other processes of a server that consists of several: what each of them can be asked.

A question has a kind and a body, whose form its two ends agree on. Who answers a kind has registered
for it, as a row of a table. A server that is one process has no peers.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

Answer = Callable[[bytes], Awaitable[bytes]]
"""From the body of a question to that of its answer."""


class PeerGone(Exception):
    """The process that was asked does not run, or has ended before it could answer."""

    def __init__(self, number: int, *, may_have_begun: bool = False) -> None:
        super().__init__(f"worker {number} does not run")
        self.number = number
        self.may_have_begun = may_have_begun
        """Whether something may have been done for the question."""


class Peers(Protocol):
    """The worker processes of a server, each with a number."""

    @property
    def number(self) -> int:
        """That of this process, from 1 on. No two processes that run have the same."""

    @property
    def is_alone(self) -> bool:
        """Whether the server is one process."""

    async def ask(self, worker: int, kind: str, body: bytes) -> bytes:
        """The answer of one process. PeerGone if it does not run, or dies before it answers."""

    async def ask_others(self, kind: str, body: bytes = b"") -> list[bytes]:
        """The answers of all other processes that serve; those that die meanwhile are left out."""

    def answer(self, kind: str, answer: Answer) -> None:
        """What this process answers to questions of a kind."""


class Alone:
    """The peers of the only process."""

    number = 1
    is_alone = True

    async def ask(self, worker: int, kind: str, body: bytes) -> bytes:  # noqa: ARG002 - see Peers
        """There is nobody to ask."""
        raise PeerGone(worker)

    async def ask_others(self, kind: str, body: bytes = b"") -> list[bytes]:  # noqa: ARG002
        """There are no others."""
        return []

    def answer(self, kind: str, answer: Answer) -> None:
        """Nobody asks."""


ALONE = Alone()
