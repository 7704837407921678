"""Records of changes: they are part of the transaction of the change, and of the log.

A transaction that changes something stores the lines of its records in a setting of the store, and
writes them to the log before its commit. So neither a killed process nor a lost disk cache can leave a
change without its record: what the log lacks at the next start is added from the store. And no record
stays without its change: after a failed commit, another record says so; after a crash, the next start
finds the records that the store does not have. Once the log is synced, the settings are removed by a
later transaction, which has a newer one.
"""

from collections.abc import Iterable
from typing import Any

from kmipkit_server.audit.administration import AdminRequest, AuditedChange
from kmipkit_server.audit.anchor import outbox_prefix
from kmipkit_server.audit.log import AuditLog
from kmipkit_server.audit.recorder import records
from kmipkit_server.audit.records import Event, Record
from kmipkit_server.engine.batch import Batch
from kmipkit_server.engine.exchange import Exchange
from kmipkit_server.engine.settings import Clock
from kmipkit_server.store.base import Transaction


class Outbox:
    """The journal of the store (:class:`kmipkit_server.store.base.Journal`)."""

    def __init__(self, log: AuditLog, clock: Clock, stored: Iterable[str], key: str = "") -> None:
        """``stored`` are the names of the settings that the store has already, ``key`` its name of the
        log."""
        self._log = log
        self._prefix = outbox_prefix(key)
        self._clock = clock
        self._stored = {int(name.removeprefix(self._prefix)): name for name in stored}
        """The settings, by the number of the last record that each has."""
        self._removed: dict[int, str] = {}
        """Those that the transaction in progress removes."""
        self._added: range | None = None
        """The numbers of the records of the transaction in progress."""
        self._exchanges: list[Exchange | AdminRequest] = []

    def _name(self, last: int) -> str:
        return f"{self._prefix}{last:018d}"

    def clear(self, transaction: Transaction) -> None:
        """Remove what earlier runs have left: all of it is in the log, and on the disk."""
        for name in self._stored.values():
            transaction.set_setting(name, None)
        self._stored.clear()

    def write(self, transaction: Transaction, results: Iterable[Any]) -> None:
        """Record what a transaction has done for clients. StoreError if that is impossible."""
        self._removed, self._added = {}, None
        new: list[Record] = []
        self._exchanges = []
        for result in results:
            if isinstance(result, Batch):
                exchange = result.exchange
                new += records(exchange, result.results, result.objects, change=True)
                self._exchanges.append(exchange)
            elif isinstance(result, AuditedChange):
                new.append(result.request.record(change=True))
                self._exchanges.append(result.request)
        prepared = self._log.prepare(new) if new else None
        for recorded in self._exchanges:
            recorded.is_recorded = True  # also if the server goes on without a record
        if prepared is None:
            return
        last = prepared.end.number
        synced = self._log.synced.number
        for number in [number for number in self._stored if number <= synced]:
            transaction.set_setting(self._stored[number], None)
            self._removed[number] = self._stored.pop(number)
        transaction.set_setting(self._name(last), b"".join(prepared.lines))
        self._log.write(prepared)
        if self._log.position.number != last:
            # It cannot be written, the server goes on, and other records will have these numbers.
            transaction.set_setting(self._name(last), None)
            return
        self._stored[last] = self._name(last)
        self._added = range(last - len(new) + 1, last + 1)

    def rolled_back(self) -> None:
        """Record that the changes did not take place."""
        self._stored |= self._removed
        self._removed = {}
        if self._added is not None:
            self._stored.pop(self._added[-1], None)
            self._log.owe(
                not_committed(self._clock, self._added, "the store could not commit the changes")
            )
            self._added = None
        for exchange in self._exchanges:
            exchange.is_recorded = False
        self._exchanges = []


def not_committed(clock: Clock, numbers: range, message: str) -> Record:
    """The record that changes did not take place."""
    return Record(
        time=clock(),
        event=Event.NOT_COMMITTED,
        first=numbers[0],
        last=numbers[-1],
        message=message,
    )
