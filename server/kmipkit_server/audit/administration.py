"""Records of what administrators request: each, carried out or refused, before its answer leaves.

The record of a change can be part of the transaction of that change, as for operations of clients: the
work for the store then returns an :class:`AuditedChange`, which the outbox records.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

import msgspec

from kmipkit_server.audit.log import AuditLog
from kmipkit_server.audit.recorder import (
    MAX_IDENTIFIER,
    MAX_MESSAGE,
    MAX_OBJECTS,
    encoded_client,
    shortened,
)
from kmipkit_server.audit.records import Event, Outcome, Record
from kmipkit_server.identity.identity import Identity


@dataclass(slots=True)
class AdminRequest:
    """A request of an administrator, as the audit sees it."""

    identity: Identity
    moment: datetime
    action: str = ""
    """The name of its route; empty if there is none."""
    subject: str = ""
    objects: list[str] = field(default_factory=list)
    started: float = field(default_factory=perf_counter)
    is_recorded: bool = False
    """Whether a record of it is part of the transaction of its change."""

    def record(self, *, reason: str = "", message: str = "", change: bool = False) -> Record:
        """The record; a ``reason`` means that the request was refused."""
        objects = self.objects
        return Record(
            time=self.moment,
            event=Event.ADMINISTRATION,
            operation=self.action,
            objects=tuple(shortened(each, MAX_IDENTIFIER) for each in objects[:MAX_OBJECTS]),
            object_count=len(objects) if len(objects) > MAX_OBJECTS else 0,
            outcome=Outcome.FAILED if reason else Outcome.SUCCESS,
            reason=reason,
            message=shortened(message, MAX_MESSAGE),
            duration=round((perf_counter() - self.started) * 1_000_000),
            subject=shortened(self.subject, MAX_IDENTIFIER),
            change=change,
            client=msgspec.Raw(encoded_client(self.identity)),
        )


@dataclass(slots=True)
class AuditedChange:
    """The result of work for the store whose record belongs into its transaction."""

    request: AdminRequest
    result: Any


class AdminAudit:
    """Records the requests of administrators."""

    def __init__(self, log: AuditLog, settled: Callable[[], Awaitable[None]] | None) -> None:
        """``settled`` waits for the disk, if answers have to."""
        self._log = log
        self._settled = settled

    async def answered(self, request: AdminRequest, *, reason: str = "", message: str = "") -> None:
        """Record a request before its answer leaves. AuditError if that fails."""
        if request.is_recorded:
            return
        self._log.append([request.record(reason=reason, message=message)])
        if self._settled is not None:
            await self._settled()
