"""Events of connections: one for each address, kind and minute, with a count.

Whoever can connect could otherwise fill the disk with log lines or records.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

PERIOD = 60.0
"""Seconds for which further events of the same kind are only counted."""
MAX_KEYS = 4096
"""Addresses and kinds that are counted apart; the rest share one count for each kind."""
_OTHERS = "other addresses"


class Occurrence(NamedTuple):
    """One event, or several of the last minute."""

    level: int
    address: str
    """The network address; events of the same one are counted."""
    port: int
    """The port of the peer; 0 if it is unknown, and for several events."""
    kind: str
    """What has happened, in a few fixed words."""
    text: str
    """The details, of the last one."""
    further: int = 0
    """How many there were after the first one, which was reported at once; 0 for that one."""


@dataclass(slots=True)
class _Count:
    since: float
    suppressed: int = 0
    last: Occurrence | None = None


@dataclass(slots=True)
class Throttle:
    """Passes on what happens; times are those of the caller's clock, in seconds."""

    report: Callable[[Occurrence], None]
    max_keys: int = MAX_KEYS
    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict)

    def add(self, now: float, occurrence: Occurrence) -> None:
        """Report an event, or count it if there was one like it a short time ago."""
        key = (occurrence.address, occurrence.kind)
        if key not in self._counts and len(self._counts) >= self.max_keys:
            key = (_OTHERS, occurrence.kind)
        count = self._counts.get(key)
        if count is None:
            self._counts[key] = _Count(now)
            self.report(occurrence)
        else:
            count.suppressed += 1
            count.last = occurrence

    def flush(self, now: float) -> None:
        """Report the counts of the periods that have ended."""
        for key in [key for key, count in self._counts.items() if now - count.since >= PERIOD]:
            count = self._counts.pop(key)
            if count.last is not None:
                self.report(count.last._replace(address=key[0], port=0, further=count.suppressed))


@dataclass(slots=True)
class ConnectionLog:
    """Writes to ``log``, throttled."""

    log: logging.Logger
    _throttle: Throttle = field(init=False)

    def __post_init__(self) -> None:
        self._throttle = Throttle(self._report)

    def write(self, now: float, occurrence: Occurrence) -> None:
        """Log a line about a peer, or count it."""
        if self.log.isEnabledFor(occurrence.level):
            self._throttle.add(now, occurrence)

    def flush(self, now: float) -> None:
        """Log the counts of the periods that have ended."""
        self._throttle.flush(now)

    def _report(self, occurrence: Occurrence) -> None:
        level, address, port, kind, text, count = occurrence
        if count:
            self.log.log(
                level, "%s: %s: %d more times in the last minute, lastly: %s",
                address, kind, count, text,
            )  # fmt: skip
        else:
            peer = peer_name((address, port)) if port else address
            self.log.log(level, "%s: %s: %s", peer, kind, text)


def peer_name(address: object) -> str:
    """How the log names a peer."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return str(address) or "local peer"
