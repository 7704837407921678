"""The transaction of an embedded store."""

import sqlite3

from kmipkit_server.store.errors import TransactionLost
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.transaction import SQLTransaction
from kmipkit_server.store.sqlite.connection import DIALECT, SQLiteConnection
from kmipkit_server.store.sqlite.errors import sqlite_errors
from kmipkit_server.store.sqlite.summary import Summary
from kmipkit_server.store.sqlite.usages import Usages


class SQLiteTransaction(SQLTransaction):
    """The one transaction of the connection that writes."""

    def __init__(
        self, connection: sqlite3.Connection, sealer: Sealer, integrity: Integrity, name: str
    ) -> None:
        super().__init__(SQLiteConnection(connection, name), DIALECT, sealer, integrity, name)
        self.connection = connection
        self.summary: Summary = Summary(connection, integrity)
        self.usages: Usages = Usages(connection)

    def committed(self) -> None:
        """After a commit."""
        self.usages.committed()
        super().committed()

    def rolled_back(self) -> None:
        """After a rollback."""
        self.usages.undo()
        super().rolled_back()
        with sqlite_errors(self.name):
            self.summary.read()

    def changed_by_others(self) -> None:
        """At the beginning of a transaction: another process has written since the last one."""
        self.usages.forget()
        self._clear_caches()
        with sqlite_errors(self.name):
            self.summary.read_again(self.name)

    def before_commit(self) -> None:
        """Write what is in memory only."""
        with sqlite_errors(self.name):
            self.usages.write()
            self.summary.write()

    def begin_part(self) -> tuple[int, int, int]:
        """Set a savepoint; what is in memory at this place, for :meth:`undo_part`."""
        self.sql.run("SAVEPOINT part")
        return self.summary.total, len(self._released), self.usages.position

    def undo_part(self, position: tuple[int, int, int], error: BaseException) -> None:
        """Roll the part back after an error; TransactionLost if nothing is left of the transaction."""
        # On some errors, such as a full disk, SQLite rolls back the whole transaction: then the
        # parts before this one are lost, too.
        if not self.connection.in_transaction:
            self.rolled_back()
            raise TransactionLost(str(error)) from error
        self.sql.run("ROLLBACK TO part")
        self.sql.run("RELEASE part")
        self.summary.total, released, usages = position
        self.usages.undo(usages)
        del self._released[released:]
        self._clear_caches()
