"""Migrations as vCenter sees them: both hosts get a one-time key, and nobody loses a machine.

What is going on is noted in the store before it begins. Where source, target or vCenter itself ends
in the middle, the note is still there, and :meth:`MigrationManager.settle_all` asks the target who
has the machine and tells the source (vsphere.md §2.6).
"""

import json
import logging
from dataclasses import replace
from typing import Any, Final

from kmipkit_vsphere.model.errors import HostUnreachable, MigrationBroken, NotFound, VSphereError
from kmipkit_vsphere.model.migration_spec import MigrationSpec
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.vcenter.host_manager import HostManager
from kmipkit_vsphere.vcenter.store import Store

_NOTES: Final = "migration/"

log = logging.getLogger("kmipkit.vsphere.vcenter")


class MigrationManager:
    """The migrations of one vCenter."""

    def __init__(self, store: Store, hosts: HostManager) -> None:
        self._store = store
        self._hosts = hosts
        self._going_on: set[str] = set()

    async def move(
        self, name: str, source: HostRecord, target: HostRecord, *, encrypted: bool
    ) -> None:
        """Move a machine; whatever is raised, it is on the source as before, or will be settled."""
        spec = MigrationSpec.new(encrypted=encrypted)
        note = {"name": name, "source": source.name, "target": target.name}
        self._store.providers.set_setting(_NOTES + spec.migration_id, json.dumps(note))
        self._going_on.add(spec.migration_id)
        failure: VSphereError | None = None
        try:
            ended = await self._play(spec, name, source, target)
        except VSphereError as fault:
            ended, failure = "failed", fault
        finally:
            self._going_on.discard(spec.migration_id)
            spec.erase()
        if ended == "done":
            self._moved(spec.migration_id, name, target.name)
        elif not await self._settle(spec.migration_id, note):
            raise failure or MigrationBroken(
                f"the migration of {name} broke off; it is still on {source.name}"
            )

    async def _play(
        self, spec: MigrationSpec, name: str, source: HostRecord, target: HostRecord
    ) -> str:
        where = await self._hosts.call(target, "PrepareMigration", {"spec": spec.to_json()})
        order = {"spec": spec.to_json(), "name": name, **where}
        return str(await self._hosts.call(source, "StartMigration", order))

    async def _settle(self, migration_id: str, note: dict[str, Any]) -> bool:
        """Whether the target has the machine; the source is told so."""
        about = {"migrationId": migration_id, "name": note["name"]}
        source = self._store.inventory.host(note["source"])
        target = self._store.inventory.host(note["target"])
        has_left = bool(await self._hosts.call(target, "MigrationOutcome", about))
        await self._hosts.call(source, "SettleMigration", {**about, "hasLeft": has_left})
        if has_left:
            self._moved(migration_id, note["name"], note["target"])
        else:
            self._store.providers.set_setting(_NOTES + migration_id, None)
        return has_left

    def _moved(self, migration_id: str, name: str, target: str) -> None:
        machine = self._store.inventory.machine(name)
        self._store.inventory.put_machine(replace(machine, host=target))
        self._store.providers.set_setting(_NOTES + migration_id, None)

    async def settle_all(self) -> None:
        """Settle the migrations that ended in doubt; those whose hosts do not answer wait."""
        for migration_id, text in self._store.providers.settings(_NOTES).items():
            if migration_id in self._going_on:
                continue
            try:
                await self._settle(migration_id, json.loads(text))
            except (HostUnreachable, NotFound) as failure:
                log.warning("migration %s is in doubt: %s", migration_id, failure.message)
