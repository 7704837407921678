"""The clock: every role is given one, so that a test can move the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present time, in UTC."""


def system_clock() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)
