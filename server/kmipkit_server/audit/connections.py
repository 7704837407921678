"""Records of connections that the server refuses before a request has an account.

Whoever can connect can cause them. So the listener counts those of one address and kind, and there is
one record a minute for them (see :mod:`kmipkit_server.net.connection_log`).
"""

import logging

import msgspec

from kmipkit_server.audit.log import AuditError, AuditLog
from kmipkit_server.audit.recorder import MAX_MESSAGE, shortened
from kmipkit_server.audit.records import Client, Event, Outcome, Record, encode
from kmipkit_server.engine.settings import Clock

log = logging.getLogger("kmipkit.server")


class ConnectionAudit:
    """Records refused connections."""

    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def refused(self, address: str, port: int, kind: str, text: str, count: int) -> None:
        """Record refusals of one kind. If that fails, there is nothing further to refuse."""
        record = Record(
            time=self._clock(),
            event=Event.CONNECTION,
            outcome=Outcome.FAILED,
            kind=kind,
            message=shortened(text, MAX_MESSAGE),
            count=count if count > 1 else 0,
            client=msgspec.Raw(encode(Client(address=address, port=port))),
        )
        try:
            self._audit.append([record])
        except AuditError:
            log.debug("%s: %s is not recorded", address, kind)
