"""How many objects and bytes each owner has, counted in the transactions that write them.

Each node has rows of its own, so that two nodes that create objects of one owner wait for each other
only if a quota makes them read the sum.
"""

from kmipkit_server.store.base import Usage
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection

_ALL = """
    SELECT w.name, CAST(sum(u.objects) AS BIGINT), CAST(sum(u.size) AS BIGINT)
    FROM usages u JOIN owners w ON w.number = u.owner GROUP BY w.name"""


class Usages:
    """The counts of a node's transaction; owners are numbers."""

    def __init__(self, sql: PostgreSQLConnection, node: str) -> None:
        self.sql = sql
        self._node = node
        self._changes: list[tuple[int, int, int]] = []
        """The changes of the current transaction, so that they can be undone."""

    def of(self, owner: int) -> Usage:
        """What an owner has, with the changes of this transaction."""
        row = self.sql.one(
            "SELECT CAST(coalesce(sum(objects), 0) AS BIGINT), CAST(coalesce(sum(size), 0) AS BIGINT)"
            " FROM usages WHERE owner = ?",
            (owner,),
        ) or (0, 0)
        mine = [change for change in self._changes if change[0] == owner]
        return Usage(
            max(0, row[0] + sum(objects for _, objects, _ in mine)),
            max(0, row[1] + sum(size for _, _, size in mine)),
        )

    def change(self, owner: int, objects: int, size: int) -> None:
        """Note more or, if negative, fewer objects and bytes."""
        self._changes.append((owner, objects, size))

    @property
    def position(self) -> int:
        """Where the transaction is, for :meth:`undo`."""
        return len(self._changes)

    def undo(self, position: int = 0) -> None:
        """Undo the changes since a position; by default, those of the whole transaction."""
        del self._changes[position:]

    def write(self) -> None:
        """Write the changes, before the commit."""
        sums: dict[int, tuple[int, int]] = {}
        for owner, objects, size in self._changes:
            before = sums.get(owner, (0, 0))
            sums[owner] = before[0] + objects, before[1] + size
        rows = [(owner, *each) for owner, each in sorted(sums.items()) if any(each)]
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self.sql.run(
                "INSERT INTO usages AS u (owner, node, objects, size)"
                " SELECT o, ?, n, s FROM unnest(?, ?, ?) AS changes (o, n, s)"
                " ON CONFLICT (owner, node)"
                " DO UPDATE SET objects = u.objects + excluded.objects, size = u.size + excluded.size",
                (self._node, *columns),
            )
        self._changes.clear()


def all_usages(sql: PostgreSQLConnection) -> dict[str, Usage]:
    """What each owner has that has anything."""
    usages = {name: Usage(max(0, objects), max(0, size)) for name, objects, size in sql.all(_ALL)}
    return {name: usage for name, usage in usages.items() if any(usage)}
