"""How many objects and bytes each owner has, counted as rows are written.

The counts are in memory: a start computes them from the rows, which it reads for their MACs anyway. So
they need no table that could disagree with the rows, after a crash or in an older database.
"""

import sqlite3

from kmipkit.lifecycle import DESTROYED_STATES
from kmipkit_server.store.base import Usage

_DESTROYED = ", ".join(str(int(state)) for state in sorted(DESTROYED_STATES))

ROW_SIZE = (
    "length(attributes) + ifnull(length(material), 0)"
    " + ifnull((SELECT length(k.attributes) FROM kinds k WHERE k.number = kind), 0)"
)
"""SQL for the bytes of an object: its material, its attributes and those of its attribute set."""

# The plus sign keeps SQLite from reading the rows in the order of an index, one by one.
_ALL = f"""
    SELECT owner, sum(state NOT IN ({_DESTROYED})), sum({ROW_SIZE})
    FROM objects GROUP BY +owner"""  # noqa: S608 - numbers of the standard

_NOTHING = (0, 0)


class Usages:
    """The counts as the connection that writes sees them; owners are numbers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counts: dict[int, tuple[int, int]] = {}
        self._changes: list[tuple[int, int, int]] = []
        """The changes of the current transaction, so that they can be undone."""

    def read(self) -> None:
        """Compute the counts from the rows."""
        self._counts = {
            owner: (objects, size)
            for owner, objects, size in self._connection.execute(_ALL).fetchall()
        }
        self._changes.clear()

    def of(self, owner: int | None) -> Usage:
        """What an owner has."""
        return Usage(*self._counts.get(owner, _NOTHING)) if owner is not None else Usage()

    @property
    def total(self) -> Usage:
        """What all owners have together."""
        counts = list(self._counts.values())  # at once: slow jobs change it in their thread
        return Usage(sum(objects for objects, _ in counts), sum(size for _, size in counts))

    def change(self, owner: int, objects: int, size: int) -> None:
        """Note more or, if negative, fewer objects and bytes."""
        self._changes.append((owner, objects, size))
        self._add(owner, objects, size)

    @property
    def position(self) -> int:
        """Where the transaction is, for :meth:`undo`."""
        return len(self._changes)

    def undo(self, position: int = 0) -> None:
        """Undo the changes since a position; by default, those of the whole transaction."""
        for owner, objects, size in self._changes[position:]:
            self._add(owner, -objects, -size)
        del self._changes[position:]

    def committed(self) -> None:
        """Keep the changes of the transaction."""
        self._changes.clear()

    def _add(self, owner: int, objects: int, size: int) -> None:
        old_objects, old_size = self._counts.get(owner, _NOTHING)
        # Not below zero: a row may have been changed by another program since it was counted.
        new = (max(0, old_objects + objects), max(0, old_size + size))
        if new == _NOTHING:
            self._counts.pop(owner, None)
        else:
            self._counts[owner] = new
