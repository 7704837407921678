"""The summary of a database: one row, written in each transaction.

The MAC of an object (see :mod:`kmipkit_server.store.integrity`) does not show that its row was removed,
or replaced by an older one that the server had written itself. The sum of all MACs does. The summary
has a MAC, too, so that only the whole database can be replaced by an older one; the counter of
transactions shows that, if it is also stored elsewhere.
"""

import logging
import sqlite3
from datetime import UTC, datetime

from kmipkit_server.store.base import StoreError
from kmipkit_server.store.integrity import MAC_SIZE, Integrity, is_same_mac

log = logging.getLogger("kmipkit.server")

_MODULUS = 1 << (8 * MAC_SIZE)


def read_integrity_key(connection: sqlite3.Connection, name: str) -> bytes:
    """The wrapped integrity key. StoreError if the database has none."""
    row = connection.execute("SELECT integrity_key FROM summary").fetchone()
    if row is None:
        raise StoreError(
            f"{name}: the summary of the database is missing; restore it from a backup"
        )
    return bytes(row[0])


def add_summary(connection: sqlite3.Connection, integrity_key: bytes) -> None:
    """Add the row, with a wrapped integrity key; :meth:`Summary.write` fills it."""
    connection.execute(
        "INSERT INTO summary (number, integrity_key, counter, newest, total, mac)"
        " VALUES (1, ?, 0, 0, zeroblob(0), zeroblob(0))",
        (integrity_key,),
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
        self.total = 0
        """The sum of the MACs of all objects and settings."""

    def add(self, mac: bytes) -> None:
        """Note a new row."""
        self.total = (self.total + int.from_bytes(mac, "big")) % _MODULUS

    def remove(self, mac: bytes) -> None:
        """Note that a row is removed."""
        self.total = (self.total - int.from_bytes(mac, "big")) % _MODULUS

    def note_time(self, now: datetime) -> None:
        """Note the time of a request."""
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
        counter, newest, total, mac = self._connection.execute(
            "SELECT counter, newest, total, mac FROM summary"
        ).fetchone()
        self.counter, self.newest = counter, newest
        self.total = int.from_bytes(total, "big")
        return is_same_mac(mac, self._integrity.of_summary(counter, newest, total))

    def check(self, name: str) -> None:
        """Compare the summary with the database, and log what does not agree.

        The server then starts from what there is: each single object is checked when it is read.
        """
        is_right = self.read()
        if not is_right:
            self.counter = self.newest = 0
        expected, self.total = self.total, 0
        for (mac,) in self._connection.execute(
            "SELECT mac FROM objects UNION ALL SELECT mac FROM settings"
        ):
            self.add(mac)
        if not is_right or self.total != expected:
            log.error(
                "%s was changed by another program: objects were removed, or replaced by older or"
                " altered ones; compare it with a backup",
                name,
            )
