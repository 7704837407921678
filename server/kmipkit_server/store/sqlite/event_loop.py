"""Reading on the event loop: a look-up that turns out to take long is given up.

How many objects meet the criteria of a Locate is not known before SQLite has found them. So a look-up
begins on the event loop, which is fastest for the usual few, and is interrupted after a number of
steps of SQLite's virtual machine, or if it finds many objects, each of which must be checked. The work
then runs again in a thread.

Rows of objects are kept as long as nobody has committed anything. ``PRAGMA data_version`` says so: two
values of one connection differ "if changes were committed to the database by any other connection in the
interim" (SQLite's documentation), of whatever process. Each look-up asks for it, which takes far less
time than reading a row. What is kept is as the database has it: material is sealed.
"""

import sqlite3
from collections.abc import Callable, Sequence

from kmipkit_server.store.base import Located, LocateQuery, Record, Share
from kmipkit_server.store.errors import ReadingTooLong
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.connection import Row
from kmipkit_server.store.sqlite.views import SQLiteReader

MAX_CHECKED = 32
"""Results of a Locate that are checked on the event loop."""

MAX_KEPT = 4096
"""Rows that are kept, at most: as many as prepared answers."""

MAX_ROW = 4096
"""Bytes of a row that is kept, at most."""


class EventLoopReader(SQLiteReader):
    """A view of the committed state that raises ReadingTooLong. Single look-ups never do."""

    def __init__(
        self, connection: sqlite3.Connection, sealer: Sealer, integrity: Integrity, name: str
    ) -> None:
        super().__init__(connection, sealer, integrity, name)
        self._kept: dict[str, Row] = {}
        """Rows by the identifiers of their objects."""
        self._data_version: Row | None = None
        """That of the database when they were read, or an earlier one."""

    def object_row(self, identifier: str) -> Row | None:
        """See :class:`.View`."""
        data_version = self.sql.one("PRAGMA data_version")
        if data_version != self._data_version:
            self._data_version = data_version
            self._kept.clear()
        row = self._kept.get(identifier)
        if row is None:
            # What is committed between these two queries changes the next data version.
            row = super().object_row(identifier)
            if row is not None and _size(row) <= MAX_ROW:
                if len(self._kept) >= MAX_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[identifier] = row
        return row

    def locate(self, query: LocateQuery) -> Located:
        """See :class:`Reader`."""
        located = self.search(query, in_place=True)
        if len(located.ids) > MAX_CHECKED:
            raise ReadingTooLong
        return self.checked(query, located)

    def locate_permitted(
        self, query: LocateQuery, shares: Sequence[Share], permits: Callable[[Record], bool]
    ) -> Located:
        """See :class:`Reader`."""
        return self.search_permitted(query, shares, permits, MAX_CHECKED, in_place=True)


def _size(row: Row) -> int:
    return sum(len(value) for value in row if isinstance(value, bytes))
