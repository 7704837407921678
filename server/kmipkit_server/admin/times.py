"""Times of the command line."""

from datetime import UTC, datetime, timedelta

import click

from kmipkit.durations import duration


def parse_time(text: str | None, option: str) -> datetime | None:
    """A time: UTC unless it has a zone, or a duration before now. BadParameter if it is neither."""
    if text is None:
        return None
    ago = duration(text)
    if ago is not None:
        return datetime.now(UTC) - ago
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a time such as 2026-11-29T08:30 or 2h", param_hint=option
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def parse_duration(text: str, option: str) -> timedelta:
    """A duration, such as 90s, 15m, 2h or 30d. BadParameter if it is none."""
    found = duration(text)
    if not found:
        raise click.BadParameter(
            f"{text!r} is not a duration such as 90s, 15m, 2h or 30d", param_hint=option
        )
    return found
