"""Reading on the event loop: a look-up that turns out to take long is given up.

How many objects meet the criteria of a Locate is not known before SQLite has found them. So a look-up
begins on the event loop, which is fastest for the usual few, and is interrupted after a number of
steps of SQLite's virtual machine, or if it finds many objects, each of which must be checked. The work
then runs again in a thread.
"""

from collections.abc import Callable, Sequence

from kmipkit_server.store.base import Located, LocateQuery, Record, Share
from kmipkit_server.store.errors import ReadingTooLong
from kmipkit_server.store.sqlite.views import SQLiteReader

MAX_CHECKED = 32
"""Results of a Locate that are checked on the event loop."""


class EventLoopReader(SQLiteReader):
    """A view of the committed state that raises ReadingTooLong. Single look-ups never do."""

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
