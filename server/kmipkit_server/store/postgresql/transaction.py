"""The transaction of a node in a PostgreSQL database."""

from typing import Any

from kmipkit_server.store.errors import TransactionLost
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.postgresql.connection import DIALECT, PostgreSQLConnection
from kmipkit_server.store.postgresql.summary import Summary
from kmipkit_server.store.postgresql.usages import Usages
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.transaction import SQLTransaction


class PostgreSQLTransaction(SQLTransaction):
    """The one transaction of the connection that writes."""

    sql: PostgreSQLConnection

    def __init__(
        self,
        sql: PostgreSQLConnection,
        sealer: Sealer,
        integrity: Integrity,
        name: str,
        node: str,
    ) -> None:
        super().__init__(sql, DIALECT, sealer, integrity, name)
        self.summary: Summary = Summary(sql, integrity, node)
        self.usages: Usages = Usages(sql, node)
        self._deferred: dict[str, bytes | None] | None = None

    def connect(self, sql: PostgreSQLConnection) -> None:
        """Go on with another connection, outside of a transaction."""
        self.sql = self.usages.sql = sql
        self._sets.connect(sql)
        self.summary.read(sql)
        self.rolled_back()

    def begun(self) -> None:
        """At its beginning: other nodes have written since the last one."""
        self._knows_revision = False

    def defer_settings(self) -> None:
        """From now on, settings are written just before the commit, so that nobody waits for them."""
        self._deferred = {}

    def set_setting(self, name: str, value: bytes | None) -> None:
        """Store something for the server itself."""
        if self._deferred is None:
            super().set_setting(name, value)
        else:
            self._knows_revision = False
            self._deferred[name] = value

    def flush(self) -> None:
        """Write what belongs to the transaction and is still in memory."""
        deferred, self._deferred = self._deferred or {}, None
        for name, value in deferred.items():
            self.set_setting(name, value)
        self.usages.write()
        self.summary.write()

    def committed(self) -> None:
        """After a commit."""
        self.summary.committed()
        super().committed()

    def rolled_back(self) -> None:
        """After a rollback."""
        self._deferred = None
        self.usages.undo()
        self.summary.undo()
        self._released.clear()
        self._owners.clear()
        self._sets.clear_cache()
        # The current data key may not be in the database; the next object gets another one.
        self.sealer.forget(self.sealer.current_key)
        self.sealer.retire_current_key()

    def begin_part(self) -> tuple[int, int, int]:
        """Set a savepoint; what is in memory at this place, for :meth:`undo_part`."""
        self.sql.run("SAVEPOINT part")
        return self.summary.total, len(self._released), self.usages.position

    def undo_part(self, position: Any, error: BaseException) -> None:
        """Roll the part back after an error; TransactionLost if nothing is left of the transaction."""
        if self.sql.broken is not None:
            raise self.sql.broken from error
        self.sql.run("ROLLBACK TO SAVEPOINT part")
        self.sql.run("RELEASE SAVEPOINT part")
        self.summary.total, released, usages = position
        self.usages.undo(usages)
        del self._released[released:]
        self._clear_caches()

    def require_whole(self) -> None:
        """TransactionLost if a part of it has failed in a way that all of it must run again."""
        if self.sql.broken is not None:
            raise self.sql.broken
        if not self.sql.is_in_transaction:
            raise TransactionLost(f"{self.name}: the transaction has ended")
