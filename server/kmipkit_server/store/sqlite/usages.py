"""How many objects and bytes each owner has: a table that changes in the transactions of the objects.

What a transaction has changed is in memory until its commit, which writes one row for each owner,
however many objects a group of jobs has made. What it has read is kept until another process writes.
"""

import sqlite3

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit_server.store.base import Usage
from kmipkit_server.store.sql.row_content import ROW_SIZE

_DESTROYED = ", ".join(str(int(state)) for state in sorted(DESTROYED_STATES))

# The plus sign keeps SQLite from reading the rows in the order of an index, one by one.
_COUNT = f"""
    SELECT owner, sum(state NOT IN ({_DESTROYED})), sum({ROW_SIZE})
    FROM objects GROUP BY +owner"""  # noqa: S608 - numbers of the standard

_NOTHING = (0, 0)


def read(connection: sqlite3.Connection) -> dict[int, Usage]:
    """The objects and bytes of each owner that has any."""
    rows = connection.execute("SELECT owner, objects, size FROM totals").fetchall()
    return {owner: Usage(objects, size) for owner, objects, size in rows}


def read_total(connection: sqlite3.Connection) -> Usage:
    """What all owners have together."""
    row = connection.execute("SELECT sum(objects), sum(size) FROM totals").fetchone()
    return Usage(*(each or 0 for each in row))


def count(connection: sqlite3.Connection) -> dict[int, Usage]:
    """The same from the rows of the objects."""
    rows = connection.execute(_COUNT).fetchall()
    return {owner: Usage(objects, size) for owner, objects, size in rows}


def count_again(connection: sqlite3.Connection) -> None:
    """Fill the table from the rows of the objects, in the transaction in progress."""
    connection.execute("DELETE FROM totals")
    connection.execute(f"INSERT INTO totals (owner, objects, size) {_COUNT}")


class Usages:
    """The counts as the connection that writes sees them; owners are numbers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counts: dict[int, tuple[int, int]] = {}
        """What is known, with the changes of the current transaction."""
        self._changes: list[tuple[int, int, int]] = []
        """These changes, so that they can be undone."""

    def of(self, owner: int) -> Usage:
        """What an owner has."""
        return Usage(*self._known(owner))

    def change(self, owner: int, objects: int, size: int) -> None:
        """Note more or, if negative, fewer objects and bytes."""
        self._add(owner, objects, size)
        self._changes.append((owner, objects, size))

    @property
    def position(self) -> int:
        """Where the transaction is, for :meth:`undo`."""
        return len(self._changes)

    def undo(self, position: int = 0) -> None:
        """Undo the changes since a position; by default, those of the whole transaction."""
        for owner, objects, size in self._changes[position:]:
            self._add(owner, -objects, -size)
        del self._changes[position:]

    def write(self) -> None:
        """Write what the transaction has changed, before its commit."""
        for owner in {owner for owner, _, _ in self._changes}:
            self._connection.execute(
                "INSERT INTO totals (owner, objects, size) VALUES (?, ?, ?) ON CONFLICT (owner)"
                " DO UPDATE SET objects = excluded.objects, size = excluded.size",
                (owner, *self._counts[owner]),
            )

    def committed(self) -> None:
        """Keep the changes of the transaction."""
        self._changes.clear()

    def forget(self) -> None:
        """Read again what is needed, since another process has written."""
        self._counts.clear()

    def count_again(self) -> None:
        """Count the rows of the objects, since another program has changed some."""
        count_again(self._connection)
        self._counts.clear()
        self._changes.clear()

    def _known(self, owner: int) -> tuple[int, int]:
        known = self._counts.get(owner)
        if known is None:
            row = self._connection.execute(
                "SELECT objects, size FROM totals WHERE owner = ?", (owner,)
            ).fetchone()
            known = self._counts[owner] = _NOTHING if row is None else (row[0], row[1])
        return known

    def _add(self, owner: int, objects: int, size: int) -> None:
        old_objects, old_size = self._known(owner)
        # Not below zero: a row may have been changed by another program since it was counted.
        self._counts[owner] = (max(0, old_objects + objects), max(0, old_size + size))
