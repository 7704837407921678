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
        steady = self._newest + timedelta(seconds=self._last_call - last_call)
        if self._is_behind:
            if now < steady:
                now = steady
            else:
                self._is_behind = False
                log.info("the clock has caught up")
        elif steady - now > TOLERANCE:
            self._is_behind = True
            log.warning(
                "the clock went back by %s: until it has caught up, the time is counted from %s, so that"
                " no key becomes active again",
                steady - now,
                steady,
            )
            now = steady
        self._newest = max(self._newest, now)
        return self._newest
