"""Reading on the event loop: a look-up that turns out to take long is given up.

How many objects meet the criteria of a Locate is not known before SQLite has found them. So a look-up
begins on the event loop, which is fastest for the usual few, and is interrupted after a number of
steps of SQLite's virtual machine, or if it finds many objects, each of which must be checked. The work
then runs again in a thread.
"""

from kmipkit_server.store.base import Located, LocateQuery, Reader, ReadingTooLong, Record
from kmipkit_server.store.sqlite.views import SQLiteReader

MAX_CHECKED = 32
"""Results of a Locate that are checked on the event loop."""


class EventLoopReader(Reader):
    """A view of the committed state that raises ReadingTooLong."""

    def __init__(self, reader: SQLiteReader) -> None:
        self._reader = reader

    def get(self, identifier: str) -> Record | None:
        """See :class:`Reader`; a single look-up."""
        return self._reader.get(identifier)

    def locate(self, query: LocateQuery) -> Located:
        """See :class:`Reader`."""
        located = self._reader.search(query, in_place=True)
        if len(located.ids) > MAX_CHECKED:
            raise ReadingTooLong
        return self._reader.checked(query, located)

    def find_by_name(self, owner: str, name: str) -> tuple[str, ...]:
        """See :class:`Reader`; a look-up of two objects."""
        return self._reader.find_by_name(owner, name)

    def setting(self, name: str) -> bytes | None:
        """See :class:`Reader`; a single look-up."""
        return self._reader.setting(name)
