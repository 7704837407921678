"""The time by which the server judges: it never goes back, also not over a restart.

A key that was deactivated by its date would be active again if the clock were put back. The newest time
that a request was carried out at is stored; a clock behind it does not count until it has caught up.
Meanwhile the time passes from the newest time on, so that tickets and waiting requests still expire.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

log = logging.getLogger("kmipkit.server")

TOLERANCE = timedelta(seconds=5)
"""How far the clock may be put back without a warning; then the time only stands still."""


class SteadyClock:
    """A clock that never goes back. Call it for the time."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        newest: datetime,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """``newest`` is the newest time so far; ``elapsed`` returns seconds since any moment."""
        self._clock = clock
        self._elapsed = elapsed
        self._newest = newest
        self._last_call = elapsed()
        self._is_behind = False

    def __call__(self) -> datetime:
        """The time now."""
        now, last_call, self._last_call = self._clock(), self._last_call, self._elapsed()
        if now < self._newest or self._is_behind:  # seldom; each request asks for the time
            now = self._corrected(now, timedelta(seconds=self._last_call - last_call))
        self._newest = now
        return now

    def _corrected(self, now: datetime, passed: timedelta) -> datetime:
        """The time, if the clock is behind the newest time; ``passed`` has passed since then."""
        steady = self._newest + passed
        if self._is_behind:
            if now >= steady:
                self._is_behind = False
                log.info("the clock has caught up")
            return max(now, steady)
        if steady - now <= TOLERANCE:
            return self._newest
        self._is_behind = True
        log.warning(
            "the clock went back by %s: until it has caught up, the time is counted from %s, so that no"
            " key becomes active again",
            steady - now,
            steady,
        )
        return steady
