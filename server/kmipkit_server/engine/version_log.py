"""The log of clients that send what only later versions have (``engine/request``)."""

import logging
from dataclasses import dataclass, field

from kmipkit_server.engine.request import Request

log = logging.getLogger("kmipkit.server")

_MAX_CLIENTS = 10_000
"""Clients whose names are remembered. Then all are forgotten, so that memory stays bounded."""


_MAX_DETAILS = 5
"""What a line names at most."""


@dataclass(slots=True)
class VersionLog:
    """Logs the first such request of each client, and others only for debugging."""

    _clients: set[str] = field(default_factory=set)

    def report(self, client: str, request: Request) -> None:
        """Log what a request has that only later versions have."""
        is_first = client not in self._clients
        if is_first:
            if len(self._clients) >= _MAX_CLIENTS:
                self._clients.clear()
            self._clients.add(client)
        level = logging.WARNING if is_first else logging.DEBUG
        if log.isEnabledFor(level):
            details = [error.message for error in request.later[:_MAX_DETAILS]]
            if len(request.later) > _MAX_DETAILS:
                details.append(f"{len(request.later) - _MAX_DETAILS} more")
            log.log(
                level,
                "%s: accepted a request with what only later versions have: %s",
                client,
                "; ".join(details),
            )
