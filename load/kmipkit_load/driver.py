"""Sends requests on many connections from one thread, as the pace says.

The driver has no clock and no socket of its own: both are the network's, so that tests run it in
virtual time.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from kmipkit_load.encoding import Failure
from kmipkit_load.errors import LinkFailed
from kmipkit_load.framing import UNASKED
from kmipkit_load.measures import Measures
from kmipkit_load.network import LinkLike, Network
from kmipkit_load.pace import Pace
from kmipkit_load.source import Request

TICK = 100_000_000
"""Nanoseconds between two looks for requests without a response."""
FIRST_PAUSE, LONGEST_PAUSE = 100_000_000, 1_000_000_000
"""How long a connection waits after it has failed, in nanoseconds: each time twice as long."""

TIMED_OUT = "no response in time"
UNFINISHED = "no response before the end of the run"
OVERDUE, NOT_SENT = "(not sent)", "no connection was free in time"


class Reuse(Enum):
    """What happens with a connection after a response."""

    KEEP = "keep"
    """It carries the next request."""
    COLD = "cold"
    """Each request has a connection of its own, with a full TLS handshake."""
    RESUMED = "resumed"
    """Each request has a connection of its own, which resumes a TLS session."""


class Requests(Protocol):
    """Where requests come from, and where their responses are judged."""

    def __next__(self) -> Request:
        """The next request."""

    def answered(self, request: Request, body: bytes) -> Failure | None:
        """The failure that a response reports, if it does."""

    def unanswered(self, request: Request, *, may_have_arrived: bool) -> None:
        """Nobody knows what became of a request, if the server may have received it."""


Tick = Callable[[int], bool]
"""Is called every 0.1 s with the time; True ends the run."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is sent, when, and where it is counted."""

    requests: Requests
    pace: Pace
    measures: Measures
    drain: int
    """Nanoseconds for requests that are open or overdue at the end."""
    patience: int | None = None
    """Nanoseconds after which a server that answers nothing is given up; None for a run whose end does
    not depend on it."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A connection with the request that it carries."""

    link: LinkLike
    request: Request | None = None
    intended: int = 0
    sent: int = 0
    free_since: int = 0
    pause: int = FIRST_PAUSE
    pauses_until: int = 0


class Driver:
    """The connections of one process."""

    def __init__(
        self,
        network: Network,
        *,
        connections: int,
        timeout: int,
        reuse: Reuse = Reuse.KEEP,
    ) -> None:
        """``timeout``: nanoseconds for each request."""
        self._network = network
        self._keeps = reuse is Reuse.KEEP
        self._timeout = timeout
        links = [network.link(resumes=reuse is Reuse.RESUMED) for _ in range(connections)]
        self._slots = {id(link): _Slot(link) for link in links}
        self._free = deque(self._slots.values())
        self._pausing: list[_Slot] = []
        self._requests: Requests
        self._pace: Pace
        self._measures: Measures
        self._drain: int
        self._is_scheduled: bool
        self._last_response: int
        self._stopped: int | None

    def connect(self) -> None:
        """Open the connections that are kept. LinkFailed if one of them fails, when it is known how many
        are open."""
        if not self._keeps:
            return
        until = self._network.now() + self._timeout
        failures: dict[int, LinkFailed] = {}

        def proceed(link: LinkLike, step: Callable[[], object]) -> None:
            try:
                step()
            except LinkFailed as failure:
                failures[id(link)] = failure

        for slot in self._slots.values():
            proceed(slot.link, slot.link.open)
        while self.open_connections + len(failures) < len(self._slots):
            left = until - self._network.now()
            if left <= 0:
                raise LinkFailed("no connection in time")
            for link in self._network.wait(left):
                proceed(link, link.advance)
        for failure in failures.values():
            raise failure

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return sum(slot.link.is_open for slot in self._slots.values())

    def run(self, work: Work, tick: Tick = lambda now: False) -> bool:
        """Send requests until the pace is over, and all of them are answered or given up.

        Returns:
            False if the server answered nothing for as long as the work has patience.
        """
        self._take_on(work)
        next_tick = self._network.now()
        over_since: int | None = None
        has_patience = True
        while True:
            now = self._network.now()
            if now >= next_tick:
                has_patience = has_patience and self._has_patience(now, work.patience)
                if tick(now) or not has_patience:
                    self._stop(now)
                self._expire(now)
                next_tick = now + TICK
            self._begin_due(now)
            if self._pace.is_over(now):
                over_since = over_since or now
                if len(self._free) + len(self._pausing) == len(self._slots):
                    break
                if now - over_since >= self._drain:
                    break
            elif self._is_late(now):
                self._give_up_overdue(now)
                if self._stopped is not None:
                    break
            for link in self._network.wait(self._time_to_wait(now, next_tick)):
                self._advance(self._slots[id(link)])
        self._finish()
        return has_patience

    def _take_on(self, work: Work) -> None:
        self._requests, self._pace, self._measures = work.requests, work.pace, work.measures
        self._drain, self._is_scheduled = work.drain, work.pace.is_scheduled
        self._stopped = None
        self._last_response = self._network.now()

    def _stop(self, now: int) -> None:
        if self._stopped is None:
            self._stopped = now
            self._pace.stop(now)

    def _has_patience(self, now: int, patience: int | None) -> bool:
        return patience is None or now - self._last_response < patience

    def _is_late(self, now: int) -> bool:
        """Whether the end has passed for so long that what is overdue will not be sent."""
        ends = [end for end in (self._measures.end, self._stopped) if end is not None]
        return bool(ends) and now >= min(ends) + self._drain

    def _time_to_wait(self, now: int, next_tick: int) -> int:
        wake = self._pace.wake() if self._free else None
        return max((next_tick if wake is None else min(wake, next_tick)) - now, 0)

    def _begin_due(self, now: int) -> None:
        while self._free:
            intended = self._pace.take(now)
            if intended is None:
                return
            self._begin(self._free.popleft(), intended, now)

    def _begin(self, slot: _Slot, intended: int, now: int) -> None:
        if self._pace.is_scheduled and slot.free_since <= intended >= self._measures.begin:
            self._measures.lag.record(now - intended)
        slot.request = request = next(self._requests)
        slot.intended, slot.sent = intended, now
        try:
            slot.link.send(request.body)
        except LinkFailed as failure:
            self._failed(slot, failure)

    def _advance(self, slot: _Slot) -> None:
        try:
            response = slot.link.advance()
        except LinkFailed as error:
            self._failed(slot, error)
            return
        if response is None:
            return
        request = slot.request
        if request is None:
            slot.link.close()
            self._failed(slot, LinkFailed(UNASKED))
            return
        self._last_response = now = self._network.now()
        failure = self._requests.answered(request, response)
        if failure is None:
            self._measures.succeed(request.label, slot.intended, now)
            if self._is_scheduled and slot.intended >= self._measures.begin:
                self._measures.tally(request.label).service.record(now - slot.sent)
        else:
            self._measures.fail(request.label, slot.intended, now, *failure)
        if not self._keeps:
            slot.link.close()
        slot.pause = FIRST_PAUSE
        self._release(slot, now)

    def _release(self, slot: _Slot, now: int) -> None:
        slot.request = None
        slot.free_since = now
        intended = self._pace.take(now)
        if intended is None:
            self._free.append(slot)
        else:
            self._begin(slot, intended, now)

    def _failed(self, slot: _Slot, failure: LinkFailed) -> None:
        """The connection has failed; wait before the next, which may fail as quickly."""
        now = self._network.now()
        request, slot.request = slot.request, None
        if request is not None:
            self._measures.fail(request.label, slot.intended, now, str(failure))
            self._requests.unanswered(request, may_have_arrived=failure.may_have_arrived)
        elif slot in self._free:  # the server closed it between two requests
            self._free.remove(slot)
        slot.pauses_until = now + slot.pause
        slot.pause = min(2 * slot.pause, LONGEST_PAUSE)
        self._pausing.append(slot)

    def _expire(self, now: int) -> None:
        """Give up requests that had no response in time, and let connections go on after their pause."""
        for slot in self._busy():
            if now - slot.sent >= self._timeout:
                self._give_up(slot, TIMED_OUT, now)
                slot.free_since = now
                self._free.append(slot)
        rested = [slot for slot in self._pausing if slot.pauses_until <= now]
        for slot in rested:
            self._pausing.remove(slot)
            slot.free_since = now
            self._free.append(slot)

    def _busy(self) -> Iterable[_Slot]:
        return [slot for slot in self._slots.values() if slot.request is not None]

    def _give_up(self, slot: _Slot, reason: str, now: int) -> None:
        request, slot.request = slot.request, None
        may_have_arrived = slot.link.is_open
        slot.link.close()
        if request is not None:
            self._measures.give_up(request.label, slot.intended, now, reason)
            self._requests.unanswered(request, may_have_arrived=may_have_arrived)

    def _give_up_overdue(self, now: int) -> None:
        for overdue in self._pace.overdue(now):
            self._measures.give_up_all(OVERDUE, overdue, now, NOT_SENT)

    def _finish(self) -> None:
        """Count what was not answered, and close all connections."""
        now = self._network.now()
        self._give_up_overdue(now)
        self._measures.ended = self._pace.covered(now)
        for slot in self._busy():
            self._give_up(slot, UNFINISHED, now)
        for slot in self._slots.values():
            slot.link.close()
