"""Reading on the event loop: a look-up that turns out to take long is given up.

How many objects meet the criteria of a Locate is not known before SQLite has found them. So a look-up
begins on the event loop, which is fastest for the usual few, and is interrupted after a number of
steps of SQLite's virtual machine. The work then runs again in a thread, without this limit.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from kmipkit_server.store.base import Located, LocateQuery
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sqlite.views import SQLiteReader

MAX_STEPS = 5000
"""Steps of the virtual machine on the event loop: about half a millisecond."""


class EventLoopReader(SQLiteReader):
    """A view of the committed state that raises ReadingTooLong. Single look-ups never do."""

    def __init__(
        self, connection: sqlite3.Connection, sealer: Sealer, integrity: Integrity, name: str
    ) -> None:
        super().__init__(connection, sealer, integrity, name)
        self._is_limited = False
        self._calls = 0
        connection.set_progress_handler(self._on_progress, MAX_STEPS)

    def locate(self, query: LocateQuery) -> Located:
        """See :class:`Reader`."""
        with self._limit():
            return super().locate(query)

    def find_by_name(self, owner: str, name: str) -> tuple[str, ...]:
        """See :class:`Reader`."""
        with self._limit():
            return super().find_by_name(owner, name)

    @contextmanager
    def _limit(self) -> Iterator[None]:
        self._is_limited, self._calls = True, 0
        try:
            yield
        finally:
            self._is_limited = False

    def _on_progress(self) -> bool:
        """Whether SQLite interrupts the statement."""
        # SQLite counts the steps of a statement that it has cached from one use to the next, so that
        # the first call may come at any time. The second one comes after the whole number of steps.
        self._calls += 1
        return self._is_limited and self._calls > 1
