"""The time of a server that no test controls."""

from datetime import UTC, datetime


def system_clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)
