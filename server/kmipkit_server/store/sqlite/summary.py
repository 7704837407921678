"""The summary of a database: one row, written in each transaction.

The MAC of an object (see :mod:`kmipkit_server.store.integrity`) does not show that its row was removed,
or replaced by an older one that the server had written itself. The sum of all MACs does. The summary
has a MAC, too, so that only the whole database can be replaced by an older one; the counter of
transactions shows that, if it is also stored elsewhere.
"""

import logging
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime

from kmipkit_server.store.integrity import MAC_SIZE, Integrity, is_same_mac
from kmipkit_server.store.slices import Steps, finish_in_thread

log = logging.getLogger("kmipkit.server")

EVERY_MAC = (
    "SELECT mac FROM objects UNION ALL SELECT mac FROM settings UNION ALL SELECT mac FROM entries"
)
"""The MACs whose sum the summary has."""

_MODULUS = 1 << (8 * MAC_SIZE)


_AT_ONCE = 10_000


def sum_of_macs(connection: sqlite3.Connection) -> Steps[int]:
    """The sum of the MACs of all rows; others may go first now and then."""
    total = 0
    cursor = connection.execute(EVERY_MAC)
    while macs := cursor.fetchmany(_AT_ONCE):
        total += sum([int.from_bytes(mac, "big") for (mac,) in macs])
        yield
    return total % _MODULUS


def difference(connection: sqlite3.Connection, integrity: Integrity) -> Steps[int]:
    """How much the sum of all MACs is more than the summary says, in one view of a database."""
    summary = Summary(connection, integrity)
    summary.read()
    total = yield from sum_of_macs(connection)
    return (total - summary.total) % _MODULUS


def add_summary(connection: sqlite3.Connection) -> None:
    """Add the row; :meth:`Summary.write` fills it."""
    connection.execute(
        "INSERT INTO summary (number, counter, newest, total, mac)"
        " VALUES (1, 0, 0, zeroblob(0), zeroblob(0))"
    )


class Summary:
    """The summary as the connection that writes sees it."""

    def __init__(self, connection: sqlite3.Connection, integrity: Integrity) -> None:
        self._connection = connection
        self._integrity = integrity
        self.counter = 0
        """The number of transactions so far."""
        self.newest = 0
        """The newest time seen, in seconds since 1970."""
        self._noted: datetime | None = None
        """The time that was noted last."""
        self.total = 0
        """The sum of the MACs of all objects, settings and entries."""

    def add(self, mac: bytes) -> None:
        """Note a new row."""
        self.total = (self.total + int.from_bytes(mac, "big")) % _MODULUS

    def remove(self, mac: bytes) -> None:
        """Note that a row is removed."""
        self.total = (self.total - int.from_bytes(mac, "big")) % _MODULUS

    def note_time(self, now: datetime) -> None:
        """Note the time of a request."""
        if now is not self._noted:  # many requests come in the same second
            self._noted = now
            self.newest = max(self.newest, int(now.timestamp()))

    @property
    def newest_time(self) -> datetime:
        """The newest time seen; long ago for a new database."""
        return datetime.fromtimestamp(self.newest, UTC)

    def write(self) -> None:
        """Write the row for a further transaction."""
        self.counter += 1
        total = self.total.to_bytes(MAC_SIZE, "big")
        mac = self._integrity.of_summary(self.counter, self.newest, total)
        self._connection.execute(
            "UPDATE summary SET counter = ?, newest = ?, total = ?, mac = ?",
            (self.counter, self.newest, total, mac),
        )

    def read(self) -> bool:
        """Read the row, as after a rollback; whether its MAC is right."""
        counter, newest, total, mac = self._row()
        self.counter, self.newest, self._noted = counter, newest, None
        self.total = int.from_bytes(total, "big")
        return is_same_mac(mac, self._integrity.of_summary(counter, newest, total))

    def read_again(self, name: str) -> None:
        """Read the row after the commit of another process of the server.

        No process writes a row with a lower counter: a database that another program has put back
        must not pass for what the server knows, so that the next start finds it.
        """
        counter, newest, total, mac = self._row()
        expected = self._integrity.of_summary(counter, newest, total)
        if counter < self.counter or not is_same_mac(mac, expected):
            log.error("%s was changed by another program while the server runs", name)
            return
        self.read()

    def newest_counter(self) -> int:
        """The number of transactions so far, those of other processes included."""
        with suppress(sqlite3.Error, TypeError):  # another program has removed the row
            return max(self.counter, self._row()[0])
        return self.counter

    def _row(self) -> tuple[int, int, bytes, bytes]:
        row: tuple[int, int, bytes, bytes] = self._connection.execute(
            "SELECT counter, newest, total, mac FROM summary"
        ).fetchone()
        return row

    def check(self, name: str) -> bool:
        """Compare the summary with the database, log what does not agree, and return whether all does.

        The server then starts from what there is: each single object is checked when it is read.
        """
        is_right = self.read()
        if not is_right:
            self.counter = self.newest = 0
            self._noted = None
        expected, self.total = self.total, finish_in_thread(sum_of_macs(self._connection))
        agrees = is_right and self.total == expected
        if not agrees:
            report_change(name)
        return agrees

    def correct(self, more: int) -> None:
        """Go on with the sum of all MACs, which is so much more."""
        self.total = (self.total + more) % _MODULUS


def report_change(name: str) -> None:
    """Log that another program has changed the database."""
    log.error(
        "%s was changed by another program: objects were removed, or replaced by older or"
        " altered ones; compare it with a backup",
        name,
    )
