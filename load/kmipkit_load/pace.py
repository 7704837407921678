"""When requests begin: closed and open loop. Times are nanoseconds of one clock.

In the *closed loop* each connection sends its next request when it has the response. A server that
stalls is sent fewer requests meanwhile, so the stall is hardly seen in the percentiles. In the *open
loop* the times are fixed beforehand, as for clients that do not know of each other. A request that
finds no free connection waits, and its latency counts from the time at which it should have begun
("coordinated omission" is thus avoided).
"""

from collections.abc import Iterator
from random import Random
from typing import Protocol

SECOND = 1_000_000_000

ARRIVALS = ("even", "poisson")


class Pace(Protocol):
    """Gives the time at which each request begins."""

    is_scheduled: bool
    """Whether the times are independent of the responses."""

    def take(self, now: int) -> int | None:
        """The intended start of a request that is due, or None if none is due now."""

    def wake(self) -> int | None:
        """When the next request is due; None if that depends on responses only."""

    def is_over(self, now: int) -> bool:
        """Whether no request becomes due any more; those that are due may still be taken."""

    def stop(self, now: int) -> None:
        """Let no further request become due; those that are due by now may still be taken."""

    def covered(self, now: int) -> int:
        """Until when all requests have been taken that were due, at the end of a run."""

    def overdue(self, now: int) -> Iterator[int]:
        """The intended starts of the requests that were due, and that nobody has taken."""


class Closed:
    """A request is due whenever a connection is free."""

    is_scheduled = False

    def __init__(self, start: int, measured_from: int, end: int | None, number: int | None) -> None:
        """``number`` counts the requests from ``measured_from`` on; None for no bound."""
        self._start = start
        self._has_started = False
        self._measured_from = measured_from
        self._end = end
        self._left = number

    def take(self, now: int) -> int | None:
        """Now, from the start until the end."""
        end, left = self._end, self._left
        if now < self._start or left == 0 or (end is not None and now >= end):
            return None
        self._has_started = True
        if left is not None and now >= self._measured_from:
            self._left = left - 1
        return now

    def wake(self) -> int | None:
        """The start; later, only a response makes a request due."""
        return None if self._has_started else self._start

    def is_over(self, now: int) -> bool:
        """Whether the time or the number is used up."""
        return self._left == 0 or (self._end is not None and now >= self._end)

    def stop(self, now: int) -> None:
        """Use up the number."""
        del now
        self._left = 0

    def covered(self, now: int) -> int:
        """Until now."""
        return now

    def overdue(self, now: int) -> Iterator[int]:
        """None ever is."""
        del now
        return iter(())


class Open:
    """Requests are due at the times of a schedule."""

    is_scheduled = True

    def __init__(
        self, measured_from: int, end: int | None, number: int | None, schedule: Iterator[int]
    ) -> None:
        self._measured_from = measured_from
        self._end = end
        self._left = number
        self._schedule = schedule
        self._due = next(schedule)

    def take(self, now: int) -> int | None:
        """The oldest time that has come, until the end."""
        due = self._due
        if due > now or self._is_used_up():
            return None
        if self._left is not None and due >= self._measured_from:
            self._left -= 1
        self._due = next(self._schedule)
        return due

    def wake(self) -> int | None:
        """The next time of the schedule."""
        return None if self._is_used_up() else self._due

    def is_over(self, now: int) -> bool:
        """Whether all times of the schedule before the end have been taken."""
        del now
        return self._is_used_up()

    def stop(self, now: int) -> None:
        """End the schedule now. Who waits already is not forgotten: that would hide a server that stands
        still when the run is interrupted."""
        self._end = now if self._end is None else min(self._end, now)

    def covered(self, now: int) -> int:
        """Until the next request, or the end."""
        del now
        return self._due if self._end is None else min(self._due, self._end)

    def overdue(self, now: int) -> Iterator[int]:
        """Takes the times that have come without a free connection."""
        while (due := self.take(now)) is not None:
            yield due

    def _is_used_up(self) -> bool:
        return self._left == 0 or (self._end is not None and self._due >= self._end)


def schedule(arrivals: str, rate: float, start: int, random: Random) -> Iterator[int]:
    """Endless times from ``start`` on, ``rate`` of them in a second on average.

    ``even``: at equal distances. ``poisson``: as from many clients that do not know of each other.
    """
    distance = SECOND / rate
    due = float(start)
    while True:
        yield round(due)
        due += distance if arrivals == "even" else random.expovariate(1 / distance)
