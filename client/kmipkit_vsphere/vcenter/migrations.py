"""Migrations as vCenter sees them: both hosts get a one-time key, and no machine is lost.

A migration is recorded in the store before it begins. If source, target or vCenter itself ends in
the middle, the record is still there, and :meth:`MigrationManager.settle_all` asks the target
whether it has the machine, and tells the source (vsphere.md §2.6).
"""

import logging
from dataclasses import replace
from typing import Final

from kmipkit_vsphere.calls.machines import (
    MigrationEnd,
    MigrationOutcome,
    PrepareMigration,
    SettleMigration,
    StartMigration,
)
from kmipkit_vsphere.model.defects import contained
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import MigrationBroken, VSphereError
from kmipkit_vsphere.model.message import Message
from kmipkit_vsphere.model.migration_spec import MigrationSpec
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.store import Store

_RECORDS: Final = "migration/"

log = logging.getLogger("kmipkit.vsphere.vcenter")


class MigrationRecord(Message):
    """A migration that has begun: the machine and both hosts."""

    name: str
    source: str
    target: str


class MigrationManager:
    """The migrations of one vCenter."""

    def __init__(self, store: Store, hosts: HostManager) -> None:
        self._store = store
        self._hosts = hosts
        self._running: set[str] = set()

    async def move(
        self, name: str, source: HostRecord, target: HostRecord, *, encrypted: bool
    ) -> None:
        """Move a machine; after an error it is on the source as before, or will be settled."""
        spec = MigrationSpec.new(encrypted=encrypted)
        record = MigrationRecord(name, source.name, target.name)
        self._store.providers.set_setting(_RECORDS + spec.migration_id, encode(record).decode())
        self._running.add(spec.migration_id)
        failure: VSphereError | None = None
        try:
            try:
                end = await self._run(spec, name, source, target)
            except VSphereError as fault:
                end, failure = MigrationEnd.IN_DOUBT, fault
            if end is MigrationEnd.DONE:
                self._moved(spec.migration_id, record)
            elif not await self._settle(spec.migration_id, record):
                raise failure or MigrationBroken(
                    f"the migration of {name} failed; the machine is still on {source.name}"
                )
        finally:
            # Only now may the background task settle it: twice would be once too often.
            self._running.discard(spec.migration_id)
            spec.erase()

    async def _run(
        self, spec: MigrationSpec, name: str, source: HostRecord, target: HostRecord
    ) -> MigrationEnd:
        where = await self._hosts.call(target, PrepareMigration(spec))
        start = StartMigration(spec, name, where.address, where.port)
        return await self._hosts.call(source, start)

    async def _settle(self, migration_id: str, record: MigrationRecord) -> bool:
        """Ask the target whether it has the machine, and tell the source."""
        source = self._store.inventory.host(record.source)
        target = self._store.inventory.host(record.target)
        has_left = await self._hosts.call(target, MigrationOutcome(migration_id, record.name))
        await self._hosts.call(source, SettleMigration(migration_id, record.name, has_left))
        if has_left:
            self._moved(migration_id, record)
        else:
            self._store.providers.set_setting(_RECORDS + migration_id, None)
        return has_left

    def _moved(self, migration_id: str, record: MigrationRecord) -> None:
        machine = self._store.inventory.machine(record.name)
        self._store.inventory.put_machine(replace(machine, host=record.target))
        self._store.providers.set_setting(_RECORDS + migration_id, None)

    async def settle_all(self) -> None:
        """Settle the migrations that ended in doubt, unless one of their hosts does not answer."""
        for migration_id, text in self._store.providers.settings(_RECORDS).items():
            if migration_id in self._running:
                continue
            with contained(log, f"migration {migration_id} is in doubt"):
                await self._settle(migration_id, decode(text.encode(), MigrationRecord))
