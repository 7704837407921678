"""When requests begin: closed and open loop. Times are nanoseconds of one clock.

In the *closed loop* each connection sends its next request when it has the response. A server that
stalls is sent fewer requests meanwhile, so the stall is hardly seen in the percentiles. In the *open
loop* the times are fixed beforehand, as for clients that do not know of each other. A request that
finds no free connection waits, and its latency counts from the time at which it should have begun
("coordinated omission" is thus avoided).
"""

from collections.abc import Iterator
from math import ceil
from random import Random
from typing import NamedTuple, Protocol

SECOND = 1_000_000_000

ARRIVALS = ("even", "poisson")
SINGLY = 10_000
"""Overdue requests that are looked at one by one; beyond, they are as if at equal distances."""


class Overdue(NamedTuple):
    """Requests that were due, and that nobody has taken."""

    first: int
    """The intended start of the first."""
    distance: float = 0.0
    number: int = 1


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

    def overdue(self, now: int) -> Iterator[Overdue]:
        """The requests that were due, and that nobody has taken."""


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

    def overdue(self, now: int) -> Iterator[Overdue]:
        """None ever is."""
        del now
        return iter(())


class Open:
    """Requests are due at the times of a schedule."""

    is_scheduled = True

    def __init__(
        self, measured_from: int, end: int | None, number: int | None, schedule: "Schedule"
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

    def overdue(self, now: int) -> Iterator[Overdue]:
        """Takes the times that have come without a free connection."""
        for _ in range(SINGLY):
            due = self.take(now)
            if due is None:
                return
            yield Overdue(due)
        while self._due <= now and not self._is_used_up():
            yield self._take_many(now)

    def _take_many(self, now: int) -> Overdue:
        first, distance = self._due, self._schedule.distance
        until = now if self._end is None else min(now, self._end - 1)
        number = int((until - first) / distance) + 1
        before = max(ceil((self._measured_from - first) / distance), 0)
        if self._left is not None:
            number = min(number, before + self._left)
            self._left -= max(number - before, 0)
        self._schedule.skip(number - 1)
        self._due = next(self._schedule)
        return Overdue(first, distance, number)

    def _is_used_up(self) -> bool:
        return self._left == 0 or (self._end is not None and self._due >= self._end)


class Schedule(Iterator[int]):
    """Endless times from ``start`` on, at equal distances."""

    def __init__(self, rate: float, start: int) -> None:
        self.distance = SECOND / rate
        self._start = start
        self._number = 0

    def __next__(self) -> int:
        # Not added up, so that no error does.
        due = self._start + round(self._number * self.distance)
        self._number += 1
        return due

    def skip(self, number: int) -> None:
        """Leave times out."""
        self._number += number


class _Poisson(Schedule):
    """Times as of many clients that do not know of each other."""

    def __init__(self, rate: float, start: int, random: Random) -> None:
        super().__init__(rate, start)
        self._random = random
        self._offset = 0.0

    def __next__(self) -> int:
        due = self._start + round(self._offset)
        self._offset += self._random.expovariate(1 / self.distance)
        return due

    def skip(self, number: int) -> None:
        """Leave out so many, on average."""
        self._offset += number * self.distance


def schedule(arrivals: str, rate: float, start: int, random: Random) -> Schedule:
    """Endless times from ``start`` on, ``rate`` of them in a second on average.

    ``even``: at equal distances. ``poisson``: as from many clients that do not know of each other.
    """
    return Schedule(rate, start) if arrivals == "even" else _Poisson(rate, start, random)
