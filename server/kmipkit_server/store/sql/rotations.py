"""The objects that the server is to rotate, by the time when they are due.

The rows are a kind of index: which object is really due follows from its attributes, which have a MAC.
"""

from kmipkit.spec.enums import ObjectType
from kmipkit_server.store.base import DueRotation
from kmipkit_server.store.sql.connection import Connection

_NEXT = """
    SELECT o.id, w.name, o.type, r.due, r.object
    FROM rotations r JOIN objects o ON o.seq = r.object JOIN owners w ON w.number = o.owner
    WHERE r.due <= ? AND (r.due, r.object) > (?, ?)
    ORDER BY r.due, r.object LIMIT 1"""


def next_due(connection: Connection, now: int, after: tuple[int, int]) -> DueRotation | None:
    """The object that is due first, of those after a place in their order."""
    row = connection.one(_NEXT, (now, *after))
    if row is None:
        return None
    identifier, owner, object_type, due, seq = row
    return DueRotation(identifier, owner, ObjectType(object_type), (due, seq))


def write(connection: Connection, seq: int, before: int | None, after: int | None) -> None:
    """Write when an object is due, if that has changed; None for never."""
    if before == after:
        return
    connection.run("DELETE FROM rotations WHERE object = ?", (seq,))
    if after is not None:
        connection.run("INSERT INTO rotations (object, due) VALUES (?, ?)", (seq, after))
