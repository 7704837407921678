"""The time that an exchange with a server may take."""

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since any moment; it never goes back."""

SYSTEM_CLOCK: Clock = time.monotonic


class Deadline:
    """The end of an exchange that may take some seconds from now on."""

    __slots__ = ("_clock", "_end")

    def __init__(self, seconds: float = math.inf, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def within(self, seconds: float) -> "Deadline":
        """The earlier one of this deadline and of so many seconds from now on."""
        inner = Deadline(seconds, self._clock)
        return inner if inner._end < self._end else self

    def left(self) -> float:
        """The seconds that remain, 0 if there are none."""
        return max(0.0, self._end - self._clock())

    def remaining(self) -> float:
        """The seconds that remain; TimeoutError if there are none."""
        seconds = self._end - self._clock()
        if seconds <= 0:
            raise TimeoutError
        return seconds
