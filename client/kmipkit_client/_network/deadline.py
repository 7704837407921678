"""The time that an exchange with a server may take."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since any moment; it never goes back."""

SYSTEM_CLOCK: Clock = time.monotonic


class Deadline:
    """The end of an exchange that may take some seconds from now on."""

    __slots__ = ("_clock", "_end")

    def __init__(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """The seconds that remain; TimeoutError if there are none."""
        seconds = self._end - self._clock()
        if seconds <= 0:
            raise TimeoutError
        return seconds
