"""Stretches of an index: rows that begin with the same values, in the order of the result.

A page is read from the end of a stretch, however long it is. A planner that chooses by estimates may
read another index instead, in the order of the objects and to its end, because it believes that what is
asked for comes soon. SQLite is told which index to use. PostgreSQL cannot be told; but if rows are asked
for in the order of the first column of the index and then of their position, and the planner does not
see that the first column has one value only, then no index that begins with another column has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kmipkit_server.store.sql.connection import Dialect


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rows of an index with these values in its first columns."""

    dialect: Dialect
    table: str
    """With its alias and, where the database can be told, the index."""
    columns: Sequence[str]
    values: Sequence[str]
    """The placeholders of the values, or columns of a list."""
    position: str
    """The next column of the index: the position of an object."""
    condition: str = ""
    """Of an index that has only some rows."""

    def where(self, comparison: str = "") -> str:
        """The condition on a row; ``comparison`` is that of its position with ``:before``."""
        parts = [f"{c} = {v}" for c, v in zip(self.columns, self.values, strict=True)]
        if self.dialect.pins_by_order:
            parts[0] = f"{self.columns[0]} = ANY(ARRAY[{self.values[0]}])"
        if self.condition:
            parts.append(self.condition)
        if comparison:
            parts.append(f"{self.position} {comparison} :before")
        return " AND ".join(parts)

    def order(self, direction: str) -> str:
        """The order of the result, after ORDER BY."""
        columns = self.columns[:1] if self.dialect.pins_by_order else ()
        return ", ".join([f"{each} {direction}" for each in (*columns, self.position)])


@dataclass(frozen=True, slots=True)
class Members:
    """The objects that meet a condition which only few meet, for whoever could also read a stretch."""

    condition: str
    table: str = "objects"
    position: str = "objects.seq"

    def where(self, comparison: str = "") -> str:
        """See :class:`Stretch`."""
        return self.condition + (f" AND {self.position} {comparison} :before" if comparison else "")

    def order(self, direction: str) -> str:
        """See :class:`Stretch`."""
        return f"{self.position} {direction}"


def positions_in(lists: str, stretch: Stretch, most: int) -> str:
    """Selects the positions in several stretches, one for each row ``k`` of a select, in no order.

    Of each stretch so many at most, if the database needs to be told a number.
    """
    dialect, table, where = stretch.dialect, stretch.table, stretch.where()
    if not dialect.pins_by_order:
        return f"SELECT {stretch.position} FROM ({lists}) k CROSS JOIN {table} WHERE {where}"  # noqa: S608 - placeholders
    each = (
        f"SELECT {stretch.position} AS position FROM {table} WHERE {where}"  # noqa: S608 - placeholders
        f" ORDER BY {stretch.order('DESC')} LIMIT {most}"
    )
    return f"SELECT x.position FROM {dialect.for_each(lists, each)}"  # noqa: S608 - placeholders
