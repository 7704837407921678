"""A clock that a test puts forward: that of the dates, and that of the event loop."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import trio.abc

_END = datetime(9000, 1, 1, tzinfo=UTC)
"""How far a clock goes: dates that the server reckons from it must still be dates of Python."""


def _time_of_day() -> datetime:
    return datetime.now(UTC)


class MovableClock(trio.abc.Clock):
    """The time of the system, plus what it was put forward by.

    It is the clock of a server (call it for the time) and that of its event loop: states, leases and
    rotations follow, and so do the time-outs of connections and the intervals of background work.
    """

    def __init__(self, time_of_day: Callable[[], datetime] = _time_of_day) -> None:
        self._time_of_day = time_of_day
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        """The time now."""
        return self._time_of_day() + self._ahead

    @property
    def ahead(self) -> timedelta:
        """By how much it was put forward so far."""
        return self._ahead

    def put_forward(self, duration: timedelta) -> None:
        """Let this time pass at once.

        ValueError if it is negative, since time never goes back, or if the clock would go too far.
        """
        if duration < timedelta(0):
            raise ValueError(f"the clock cannot go back: {duration} is negative")
        if duration > _END - self():
            raise ValueError(
                f"the clock can go as far as the year {_END.year}, not {duration} further"
            )
        self._ahead += duration

    # --- for the event loop ----------------------------------------------------------------------

    def start_clock(self) -> None:
        """The event loop starts."""

    def current_time(self) -> float:
        """Seconds since any moment."""
        return time.perf_counter() + self._ahead.total_seconds()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """The seconds until a time of :meth:`current_time`."""
        return deadline - self.current_time()
