"""What a store needs of a connection to an SQL database, and where the databases differ.

The statements in this room are written in the SQL that SQLite and PostgreSQL have in common, with the
placeholders of SQLite (``?`` and ``:name``).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from kmipkit_server.store import index

Values = Sequence[Any] | Mapping[str, Any]
"""The values of the placeholders of a statement."""
Row = tuple[Any, ...]

INDEX = ("owner", "attribute", "field", "value", "object", "instance")
"""The columns of the index, ``attribute_index``."""


def index_rows(owner: int, seq: int, places: index.Places, values: Sequence[bytes]) -> list[Row]:
    """The rows of an object with all columns."""
    # As bytearrays, since sqlite3 looks for an adapter of bytes, which takes longer than to insert them.
    return [
        (owner, attribute, field, bytearray(value), seq, instance)
        for (attribute, field, instance), value in zip(places, values, strict=True)
    ]


class Connection(Protocol):
    """A connection. All methods raise StoreError if the database fails."""

    def one(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query; None if it finds nothing."""

    def all(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a query."""

    def each(self, sql: str, values: Values = ()) -> Iterator[Row]:
        """The rows of a query one by one, of which the caller may not need all."""

    def run(self, sql: str, values: Values = ()) -> None:
        """Carry out a statement without a result."""

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows; those that are there already stay as they are."""

    def insert_index(
        self, owner: int, seq: int, places: index.Places, values: Sequence[bytes]
    ) -> None:
        """Insert the rows of an object into the index; those that are there already stay."""

    def delete_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Delete the rows with these values."""

    def insert(self, sql: str, key: str, values: Values) -> int:
        """Insert a row; the number that the database has given it in the column ``key``."""

    def limited(self, objects: int | None, *, in_place: bool) -> AbstractContextManager[None]:
        """Limit what the queries inside may cost: ReadingTooLong if they would take longer.

        Args:
            objects: How many objects they may look at, about; None for no limit.
            in_place: Whether others wait for the result, so that it must come soon or not at all.
        """


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one database expresses in another way than the others."""

    owner_in: str
    """That a column is one of the owners ``:owner``, after the column."""
    owners: Callable[[Collection[int]], object]
    """The value of ``:owner`` for these owners."""
    one_of: Callable[[Sequence[object]], tuple[str, Sequence[object]]]
    """That a column is one of these values, after the column, and what is for its placeholders."""
    using: Callable[[str, str], str]
    """A table, with its alias, to be read by an index. Without statistics, SQLite has to be told."""
    member: Callable[[str], str]
    """That a column is in the result of a select, computed once, after the column."""
    pins_by_order: bool
    """Whether the planner is told which index to use by the order of its rows: see :mod:`.stretches`."""
    check: Callable[[str], str]
    """Conditions on a row that another one has found; a planner should not expect few such rows."""
    number: Callable[[str, int], str]
    """How many rows are wanted at most, with the name of its placeholder if it has one."""
    for_each: Callable[[str, str], str]
    """For each row ``k`` of a select, the rows ``x`` of another one, which has positions of objects."""
    is_date: str
    """That ``{value}`` of the index is a date, in the words of the index ``dates_of_object``."""
    name_pattern: Callable[[str], tuple[str, object]]
    """The condition that a value ``i.value`` of the index may match the pattern of a Name, with
    ``{pattern}`` for the placeholder, and its value. The objects themselves decide."""
