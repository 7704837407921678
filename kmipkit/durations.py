"""Durations as people write them on a command line: 90s, 15m, 2h, 30d."""

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta | None:
    """The duration; None if it is none."""
    parts = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    return None if parts is None else timedelta(**{_UNITS[parts[2]]: int(parts[1])})
