"""The objects that the server is to rotate, by the time when they are due.

The rows are a kind of index: which object is really due follows from its attributes, which have a MAC.
"""

import sqlite3

from kmipkit.spec.enums import ObjectType
from kmipkit_server.store.base import DueRotation

_NEXT = """
    SELECT o.id, w.name, o.type, r.due, r.object
    FROM rotations r JOIN objects o ON o.seq = r.object JOIN owners w ON w.number = o.owner
    WHERE r.due <= ? AND (r.due, r.object) > (?, ?)
    ORDER BY r.due, r.object LIMIT 1"""


def next_due(
    connection: sqlite3.Connection, now: int, after: tuple[int, int]
) -> DueRotation | None:
    """The object that is due first, of those after a place in their order."""
    row = connection.execute(_NEXT, (now, *after)).fetchone()
    if row is None:
        return None
    identifier, owner, object_type, due, seq = row
    return DueRotation(identifier, owner, ObjectType(object_type), (due, seq))


def write(
    connection: sqlite3.Connection, seq: int | None, before: int | None, after: int | None
) -> None:
    """Write when an object is due, if that has changed; None for never."""
    if before == after:
        return
    connection.execute("DELETE FROM rotations WHERE object = ?", (seq,))
    if after is not None:
        connection.execute("INSERT INTO rotations (object, due) VALUES (?, ?)", (seq, after))
