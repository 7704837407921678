"""The clock of the tester: the time of day, and how to wait. Tests pass a clock of their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """A source of time."""

    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    sleep: Callable[[float], None] = time.sleep


SYSTEM_CLOCK = Clock()
