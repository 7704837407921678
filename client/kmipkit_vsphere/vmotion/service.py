"""The calls by which vCenter directs a migration on both hosts."""

from collections.abc import Mapping
from typing import Any

from kmipkit_vsphere.host.service import MANAGEMENT
from kmipkit_vsphere.model.migration_spec import MigrationSpec
from kmipkit_vsphere.rpc.channel import Method
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.vmotion.migrations import Migrations


class MigrationService:
    """The calls of one host's migrations; they are served beside the host's own."""

    def __init__(self, migrations: Migrations) -> None:
        self._migrations = migrations

    def methods(self) -> Mapping[str, Method]:
        """Name to role and handler."""
        handlers = {
            "PrepareMigration": self.prepare,
            "StartMigration": self.start,
            "MigrationOutcome": self.outcome,
            "SettleMigration": self.settle,
        }
        return {name: Method(MANAGEMENT, handler) for name, handler in handlers.items()}

    async def prepare(self, params: Params) -> dict[str, Any]:
        spec = MigrationSpec.from_json(params.inner("spec").values)
        return await self._migrations.prepare(spec)

    async def start(self, params: Params) -> str:
        spec = MigrationSpec.from_json(params.inner("spec").values)
        name, address = params.text("name"), params.text("address")
        return await self._migrations.start(spec, name, address, params.port())

    async def outcome(self, params: Params) -> bool:
        return await self._migrations.outcome(params.text("migrationId"), params.text("name"))

    async def settle(self, params: Params) -> None:
        migration, name = params.text("migrationId"), params.text("name")
        await self._migrations.settle(migration, name, has_left=params.flag("hasLeft"))
