"""The audit at the seam: each message is recorded before its response leaves.

A message that has changed something was recorded in the transaction of its change (see
:mod:`kmipkit_server.audit.outbox`); here all others are.
"""

from collections.abc import Awaitable, Callable

from kmipkit_server.audit.log import AuditLog
from kmipkit_server.audit.plain_records import PlainRecords
from kmipkit_server.audit.recorder import records
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.seam import Hook


class AuditHook(Hook):
    """Records what each message has read, and what was refused."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._plain = PlainRecords(log.name)

    def responding(self, exchange: Exchange) -> None:
        """Write the records of a message. AuditError if that fails, and the server refuses then."""
        if exchange.is_recorded:
            return
        log = self._log
        body = self._plain.body(exchange, log.position.number + 1) if log.is_ready else None
        if body is None:
            log.append(records(exchange, exchange.results, exchange.objects))
        else:
            log.append_body(body)


class DurableAuditHook(AuditHook):
    """The same, and each response waits until its records are on the disk."""

    def __init__(self, log: AuditLog, settled: Callable[[], Awaitable[None]]) -> None:
        super().__init__(log)
        self._settled = settled

    async def settle(self, exchange: Exchange) -> None:
        """Wait for the disk, where the store has already put the records of a change."""
        if not exchange.is_recorded:
            await self._settled()
