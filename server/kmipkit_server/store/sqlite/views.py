"""A view of an embedded store."""

import sqlite3

from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.views import View
from kmipkit_server.store.sqlite.connection import DIALECT, SQLiteConnection


class SQLiteReader(View):
    """A view of the committed state."""

    def __init__(
        self, connection: sqlite3.Connection, sealer: Sealer, integrity: Integrity, name: str
    ) -> None:
        super().__init__(SQLiteConnection(connection, name), DIALECT, sealer, integrity, name)
        self.connection = connection
