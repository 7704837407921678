"""The clock: every role gets one, so that a test can set the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present time, in UTC."""


def system_clock() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)
