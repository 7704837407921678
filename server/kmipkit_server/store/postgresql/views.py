"""A view of a PostgreSQL database."""

from collections.abc import Callable, Sequence

from kmipkit_server.store.base import Located, LocateQuery, Record, Share
from kmipkit_server.store.errors import ReadingTooLong
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.postgresql.connection import DIALECT, PostgreSQLConnection
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.views import View

MAX_CHECKED = 100
"""Results of a Locate that are checked where others wait for the connection."""


class PostgreSQLReader(View):
    """A view of the committed state."""

    sql: PostgreSQLConnection

    def __init__(
        self, sql: PostgreSQLConnection, sealer: Sealer, integrity: Integrity, name: str
    ) -> None:
        super().__init__(sql, DIALECT, sealer, integrity, name)


class QuickReader(PostgreSQLReader):
    """The same for work that is usually short: a search that takes long raises ReadingTooLong."""

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
