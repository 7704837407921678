"""The summary of a database, one row for each node, as the node writes it in each of its transactions.

Each row has the sum of the MACs that its node has added to the database, less those that it has removed;
the sum over all nodes is that of all objects and settings. So no node waits for the row of another one,
and a missing or older row of an object is detected as in the embedded store.

The counter of its own row also tells a node whether a commit took place whose answer it has not seen.
"""

import logging
from datetime import UTC, datetime
from typing import NamedTuple

from kmipkit_server.store.integrity import MAC_SIZE, Integrity, is_same_mac
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection

log = logging.getLogger("kmipkit.server")

_MODULUS = 1 << (8 * MAC_SIZE)


class State(NamedTuple):
    """The row of a node."""

    counter: int = 0
    newest: int = 0
    total: int = 0


class Summary:
    """The row of a node as its connection that writes sees it."""

    def __init__(self, sql: PostgreSQLConnection, integrity: Integrity, node: str) -> None:
        self._sql = sql
        self._integrity = integrity
        self._node = node
        self.state = State()
        """The row as it is committed."""
        self.counter = 0
        """The number of the transaction in progress, or of the last one."""
        self.newest = 0
        """The newest time seen, in seconds since 1970."""
        self.total = 0
        """The sum of the MACs, modulo 2**256."""

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

    def read(self, sql: PostgreSQLConnection | None = None) -> None:
        """Read the row, or add it for a new node."""
        if sql is not None:
            self._sql = sql
        row = self._row()
        if row is None:
            self._sql.run(
                "INSERT INTO summaries (node, counter, newest, total, mac) VALUES (?, 0, 0, ?, ?)",
                (self._node, b"", self._mac(0, 0, b"")),
            )
            row = State()
        self._take(row)

    def undo(self) -> None:
        """Forget what was noted since the last commit."""
        self._take(self.state)

    def committed(self) -> None:
        """What was written is durable."""
        self.state = State(self.counter, self.newest, self.total)

    def write(self) -> None:
        """Write the row for a further transaction."""
        self.counter += 1
        total = self.total.to_bytes(MAC_SIZE, "big")
        self._sql.run(
            "UPDATE summaries SET counter = ?, newest = ?, total = ?, mac = ? WHERE node = ?",
            (
                self.counter, self.newest, total,
                self._mac(self.counter, self.newest, total), self._node,
            ),
        )  # fmt: skip

    def read_newest(self) -> None:
        """The newest time that any node has seen."""
        row = self._sql.one("SELECT coalesce(max(newest), 0) FROM summaries")
        if row is not None:
            self.newest = max(self.newest, row[0])
            self.state = self.state._replace(newest=self.newest)

    def forget_newest(self) -> None:
        """Forget the newest time that any node has seen; no other node is running."""
        for node, *row in self._sql.all("SELECT node, counter, newest, total, mac FROM summaries"):
            state = state_of(self._integrity, node, *row)
            if state.newest:
                total = row[2]
                self._sql.run(
                    "UPDATE summaries SET newest = 0, mac = ? WHERE node = ? AND counter = ?",
                    (mac_of(self._integrity, node, state.counter, 0, total), node, state.counter),
                )
        self.newest, self.state = 0, self.state._replace(newest=0)

    def _row(self) -> State | None:
        row = self._sql.one(
            "SELECT counter, newest, total, mac FROM summaries WHERE node = ?", (self._node,)
        )
        return None if row is None else state_of(self._integrity, self._node, *row)

    def _take(self, state: State) -> None:
        self.state = state
        self.counter, self.newest, self.total = state

    def _mac(self, counter: int, newest: int, total: bytes) -> bytes:
        return mac_of(self._integrity, self._node, counter, newest, total)


def mac_of(integrity: Integrity, node: str, counter: int, newest: int, total: bytes) -> bytes:
    """The MAC of the row of a node."""
    return integrity.of_summary(counter, newest, total + node.encode())


def state_of(
    integrity: Integrity, node: str, counter: int, newest: int, total: bytes, mac: bytes
) -> State:
    """The content of a row; nothing if it was changed by another program."""
    if not is_same_mac(mac, mac_of(integrity, node, counter, newest, total)):
        return State()
    return State(counter, newest, int.from_bytes(total, "big"))


def counter_of(sql: PostgreSQLConnection, integrity: Integrity, node: str) -> int:
    """The transactions of all processes of the server to which a node belongs.

    The processes of a server have one counter beside the root key.
    """
    server = node.partition("/")[0]
    rows = sql.all(
        "SELECT node, counter, newest, total, mac FROM summaries"
        " WHERE node = ? OR (node > ? AND node < ?)",
        (server, f"{server}/", f"{server}0"),  # 0 comes after the slash
    )
    return sum(state_of(integrity, *row).counter for row in rows)


CHECKS = "(checks)"
"""The row of what checks have found: no node has this name."""


def check(sql: PostgreSQLConnection, integrity: Integrity) -> bool:
    """Whether the sum over all nodes is that of all rows.

    A difference is noted in a row of its own, so that it is found once. The connection is in a
    transaction that sees one state of the database.
    """
    states = {
        node: state_of(integrity, node, *row)
        for node, *row in sql.all("SELECT node, counter, newest, total, mac FROM summaries")
    }
    found = 0
    for (mac,) in sql.stream(
        "SELECT mac FROM objects UNION ALL SELECT mac FROM settings"
        " UNION ALL SELECT mac FROM entries"
    ):
        found += int.from_bytes(mac, "big")
    missing = (found - sum(state.total for state in states.values())) % _MODULUS
    if not missing:
        return True
    old = states.get(CHECKS, State())
    total = ((old.total + missing) % _MODULUS).to_bytes(MAC_SIZE, "big")
    mac = mac_of(integrity, CHECKS, old.counter + 1, 0, total)
    sql.run(
        "INSERT INTO summaries AS s (node, counter, newest, total, mac) VALUES (?, ?, 0, ?, ?)"
        " ON CONFLICT (node) DO UPDATE"
        " SET counter = excluded.counter, total = excluded.total, mac = excluded.mac",
        (CHECKS, old.counter + 1, total, mac),
    )
    return False
