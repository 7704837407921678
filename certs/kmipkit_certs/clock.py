"""The system's clock. Everything else gets the time from its caller, so that tests can set it."""

from datetime import UTC, datetime


def system_clock() -> datetime:
    """The present time."""
    return datetime.now(UTC)
