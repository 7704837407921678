"""The calls by which vCenter directs a migration on both hosts."""

from kmipkit_vsphere.calls.machines import (
    MigrationAddress,
    MigrationEnd,
    MigrationOutcome,
    PrepareMigration,
    SettleMigration,
    StartMigration,
)
from kmipkit_vsphere.host.service import MANAGEMENT
from kmipkit_vsphere.rpc.call import Rows, table
from kmipkit_vsphere.vmotion.migrations import Migrations


class MigrationCalls:
    """The calls of one host's migrations, served beside the host's own."""

    def __init__(self, migrations: Migrations) -> None:
        self._migrations = migrations

    def rows(self) -> Rows:
        """Method, role and handler."""
        return table(
            PrepareMigration.row(MANAGEMENT, self.prepare),
            StartMigration.row(MANAGEMENT, self.start),
            MigrationOutcome.row(MANAGEMENT, self.outcome),
            SettleMigration.row(MANAGEMENT, self.settle),
        )

    async def prepare(self, request: PrepareMigration) -> MigrationAddress:
        return await self._migrations.prepare(request.spec)

    async def start(self, request: StartMigration) -> MigrationEnd:
        target = MigrationAddress(request.address, request.port)
        return await self._migrations.start(request.spec, request.name, target)

    async def outcome(self, request: MigrationOutcome) -> bool:
        return await self._migrations.outcome(request.migration_id, request.name)

    async def settle(self, request: SettleMigration) -> None:
        migration_id, name = request.migration_id, request.name
        await self._migrations.settle(migration_id, name, has_left=request.has_left)
