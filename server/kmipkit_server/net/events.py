"""What happens to connections: lines of the log, and records of the audit.

The log has a line for each connection that fails, with the rule that was violated; of many alike from
one address it has one a minute, with their number. Probes (a handshake, then a close) and idle
timeouts are normal, and are logged at debug level.
"""

import logging
from dataclasses import dataclass, field

import trio

from kmipkit_server.net.connection_log import ConnectionLog, Occurrence, Throttle

log = logging.getLogger("kmipkit.server")

# What happens, as log lines and records of the audit show it.
NO_PLACE = "connection refused"
NO_HANDSHAKE = "TLS handshake failed"
NO_ACCOUNT = "client refused"
BAD_REQUEST = "bad request"
BROKEN = "connection broken"
CLOSED = "closed"

_REFUSALS = frozenset({NO_PLACE, NO_HANDSHAKE, NO_ACCOUNT, BAD_REQUEST})
"""What the server refuses."""


@dataclass(slots=True)
class ConnectionEvents:
    """Writes down what happens to connections."""

    refusals: Throttle | None = None
    """Gets what is refused before a request has an account, for the audit."""
    _log: ConnectionLog = field(default_factory=lambda: ConnectionLog(log))

    def warn(self, address: str, port: int, kind: str, text: str) -> None:
        """Note what an operator should know of."""
        self.write(logging.WARNING, address, port, kind, text)

    def write(self, level: int, address: str, port: int, kind: str, text: str) -> None:
        """Note what has happened to a connection."""
        now = trio.current_time()
        occurrence = Occurrence(level, address, port, kind, text)
        self._log.write(now, occurrence)
        if kind in _REFUSALS and self.refusals is not None:
            self.refusals.add(now, occurrence)

    def is_wanted(self, level: int, kind: str) -> bool:
        """Whether such an event is written down at all."""
        return log.isEnabledFor(level) or kind in _REFUSALS

    async def settled(self) -> None:
        """Wait until all that was noted so far is written down: before a peer can see its effect."""

    def flush(self) -> None:
        """Note what has happened often, if it is time to."""
        now = trio.current_time()
        self._log.flush(now)
        if self.refusals is not None:
            self.refusals.flush(now)
