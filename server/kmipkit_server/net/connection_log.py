"""Log lines about connections: one for each address, kind and minute, with a count.

Whoever can connect could otherwise fill the disk with log lines.
"""

import logging
from dataclasses import dataclass, field

PERIOD = 60.0
"""Seconds for which further lines of the same kind are only counted."""
MAX_KEYS = 4096
"""Addresses and kinds that are counted apart; the rest share one count for each kind."""
_OTHERS = "other addresses"


@dataclass(slots=True)
class _Count:
    since: float
    suppressed: int = 0
    level: int = logging.WARNING
    last: str = ""


@dataclass(slots=True)
class ConnectionLog:
    """Writes to ``log``; times are those of the caller's clock, in seconds."""

    log: logging.Logger
    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict)

    def write(self, level: int, now: float, address: str, peer: str, kind: str, text: str) -> None:
        """Log a line about a peer, or count it if there was one like it a short time ago.

        Args:
            address: The network address of the peer; lines of the same address are counted.
            peer: How the line names the peer, such as with its port.
            kind: What has happened, in a few fixed words.
            text: The details.
        """
        if not self.log.isEnabledFor(level):
            return
        key = (address, kind)
        if key not in self._counts and len(self._counts) >= MAX_KEYS:
            key = (_OTHERS, kind)
        count = self._counts.get(key)
        if count is None:
            self._counts[key] = _Count(now)
            self.log.log(level, "%s: %s: %s", peer, kind, text)
        else:
            count.suppressed += 1
            count.level, count.last = level, text

    def flush(self, now: float) -> None:
        """Log the counts of the periods that have ended."""
        for key in [key for key, count in self._counts.items() if now - count.since >= PERIOD]:
            address, kind = key
            count = self._counts.pop(key)
            if count.suppressed:
                self.log.log(
                    count.level, "%s: %s: %d more times in the last minute, lastly: %s",
                    address, kind, count.suppressed, count.last,
                )  # fmt: skip
