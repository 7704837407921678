"""A network without sockets, whose clock moves only when somebody waits."""

import heapq
from collections.abc import Callable
from itertools import count

from kmipkit_load.encoding import Failure
from kmipkit_load.errors import LinkFailed
from kmipkit_load.source import Request

MILLISECOND = 1_000_000
SECOND = 1000 * MILLISECOND

Serve = Callable[[int], int | None]
"""The time that a request takes which arrives at a time; None if it is never answered."""


class VirtualLink:
    """A connection to a server that answers each request after a time."""

    def __init__(self, network: "VirtualNetwork") -> None:
        self._network = network
        self._turn = 0
        self.is_open = False
        self.failure = ""

    def open(self) -> None:
        self._network.opened += 1
        self.is_open = True

    def send(self, body: bytes) -> None:
        if self._network.refuses:
            raise LinkFailed("cannot connect: Connection refused", may_have_arrived=False)
        if not self.is_open:
            self.open()
        self._network.arrive(self, self._turn)

    def advance(self) -> bytes | None:
        if self.failure:
            failure, self.failure = self.failure, ""
            self.close()
            raise LinkFailed(failure)
        return self._network.response

    def close(self) -> None:
        self._turn += 1  # what is under way for it is lost
        self.is_open = False

    def is_current(self, turn: int) -> bool:
        return self._turn == turn


class VirtualNetwork:
    """A server in virtual time; it serves as many requests at once as arrive."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._now = 0
        self._events: list[tuple[int, int, VirtualLink, int]] = []
        self._order = count()
        self.arrivals: list[int] = []
        self.opened = 0
        self.refuses = False
        self.response = b"ok"

    def now(self) -> int:
        return self._now

    def link(self, *, resumes: bool = False) -> VirtualLink:
        return VirtualLink(self)

    def arrive(self, link: VirtualLink, turn: int) -> None:
        self.arrivals.append(self._now)
        delay = self._serve(self._now)
        if delay is not None:
            heapq.heappush(self._events, (self._now + delay, next(self._order), link, turn))

    def wait(self, nanoseconds: int) -> list[VirtualLink]:
        until = self._now + max(nanoseconds, 1)
        while self._events and self._events[0][0] <= until:
            when, _, link, turn = heapq.heappop(self._events)
            self._now = max(self._now, when)
            if link.is_current(turn):
                return [link]
        self._now = until
        return []


class Counting:
    """Requests that are all alike, and judged by a function."""

    def __init__(self, judge: Callable[[int], Failure | None] = lambda number: None) -> None:
        self._judge = judge
        self.sent = 0
        self.answers = 0
        self.lost: list[Request] = []

    def __next__(self) -> Request:
        self.sent += 1
        return Request("get", b"request", creates=f"name-{self.sent}")

    def answered(self, request: Request, body: bytes) -> Failure | None:
        self.answers += 1
        return self._judge(self.answers)

    def unanswered(self, request: Request, *, may_have_arrived: bool) -> None:
        if may_have_arrived:
            self.lost.append(request)
