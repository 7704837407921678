"""When a worker that has ended is started again, and when that is pointless."""

from dataclasses import dataclass

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
STEADY_SECONDS = 60.0
"""A worker that has served for so long was in order: the next one starts at once."""
MAX_FAILED_STARTS = 5
"""Starts that fail one after the other, after which the server gives up, unless others serve."""


@dataclass(slots=True)
class Restarts:
    """The ends of one worker; times are in seconds."""

    failed_starts: int = 0
    """How often in a row it has ended before it could serve."""
    _short_lives: int = 0

    @property
    def is_hopeless(self) -> bool:
        """Whether another start would probably fail as well."""
        return self.failed_starts >= MAX_FAILED_STARTS

    def delay_after(self, life: float, *, has_served: bool) -> float:
        """How long to wait before the next start, after a process that has lived so long."""
        self.failed_starts = 0 if has_served else self.failed_starts + 1
        self._short_lives = 0 if has_served and life >= STEADY_SECONDS else self._short_lives + 1
        if self._short_lives <= 1 and has_served:
            return 0.0
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._short_lives - 1, 16))
