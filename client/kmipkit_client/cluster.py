"""The servers of a client: in which order a call tries them, and which of them rest.

A server that failed rests for a while: calls try it after all others. The time is as long as the failure
took, so that a server that is silent delays few calls, and doubles with each further failure. It is
drawn at random up to that limit, so that many clients do not return to a server at the same moment. No
server is given up: when all rest, the one that may return first is tried first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from kmipkit.spec.versions import Version
from kmipkit_client.deadline import Clock
from kmipkit_client.endpoints import Endpoint

FIRST_REST, LONGEST_REST = 0.2, 30.0
"""Seconds."""


class Order(StrEnum):
    """How calls are distributed over the servers."""

    ORDERED = "ordered"
    """All to the first server that works."""
    BALANCED = "balanced"
    """To each server in turn."""


@dataclass(slots=True, eq=False)
class Member:
    """One server, and what the calls so far have shown of it."""

    endpoint: Endpoint
    failures: int = 0
    """Failures since the last response."""
    rests_until: float = 0.0
    error: str = field(default="", repr=False)
    """The last failure; empty after a response."""
    version: Version | None = None
    """The protocol version that was negotiated with it."""


@dataclass(frozen=True, slots=True)
class Health:
    """The state of one server, for monitoring."""

    server: str
    failures: int
    """Failures since the last response; 0 for a server that works, or was not used yet."""
    error: str
    rest: float
    """Seconds until calls try it again before others."""
    version: Version | None
    """The protocol version in use; None before the first response."""


class Cluster:
    """All servers of a client. Threads and tasks may share it."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        order: Order,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """``random`` returns numbers from 0 to 1."""
        self.members = tuple(Member(each) for each in endpoints)
        self._order = order
        self._clock = clock
        self._random = random
        self._turns = count(int(random() * len(self.members)))

    def candidates(self) -> list[Member]:
        """All servers, in the order in which a call tries them."""
        members = list(self.members)
        if len(members) == 1:
            return members
        if self._order is Order.BALANCED:
            turn = next(self._turns) % len(members)
            members = members[turn:] + members[:turn]
        now = self._clock()
        return sorted(members, key=lambda member: max(0.0, member.rests_until - now))

    def failed(self, member: Member, error: str, seconds: float) -> None:
        """Note that a server could not be reached, or did not respond, and how long that took."""
        member.failures += 1
        member.error = error
        member.rests_until = self._clock() + self.rest(member.failures, seconds)

    def responded(self, member: Member) -> None:
        """Note a response, of whatever content."""
        if member.failures:
            member.failures, member.rests_until, member.error = 0, 0.0, ""

    def rest(self, failures: int, seconds: float = 0.0) -> float:
        """Seconds to wait after so many failures: between half of the limit and all of it.

        ``seconds`` is how long the last one took.
        """
        limit = min(LONGEST_REST, max(FIRST_REST, 2 * seconds) * 2.0 ** min(failures - 1, 16))
        return limit * (1 + self._random()) / 2

    def health(self) -> tuple[Health, ...]:
        """The state of each server, in the order of the client's arguments."""
        now = self._clock()
        return tuple(
            Health(
                str(member.endpoint),
                member.failures,
                member.error,
                max(0.0, member.rests_until - now),
                member.version,
            )
            for member in self.members
        )
