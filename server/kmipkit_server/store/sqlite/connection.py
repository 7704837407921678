"""A connection to an SQLite database, as the rooms for all SQL databases use it."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from itertools import chain

from kmipkit_server.store import index
from kmipkit_server.store.sql.connection import INDEX, Dialect, Row, Values, index_rows
from kmipkit_server.store.sqlite.errors import as_store_error, sqlite_errors

# A value of a type without an adapter, such as bytes, is asked for a method that adapts it, which takes
# longer than to insert it.
sqlite3.register_adapter(bytes, bytearray)

STEPS_PER_TICK = 5000
"""Steps of SQLite's virtual machine between two calls of the progress handler: half a millisecond."""
TICKS_IN_PLACE = 1
"""Ticks on the event loop. SQLite counts the steps of a statement that it has cached from one use to
the next, so that the first tick may come at any time, and the second after the whole number of steps."""
STEPS_PER_OBJECT = 50
"""Steps that a search may take for each object that it may look at. A few criteria take half of them."""


def _name_pattern(pattern: str) -> tuple[str, object]:
    # GLOB reads up to a zero byte.
    glob = "t" + pattern.replace("[", "[[]")
    return "instr(i.value, x'00') OR CAST(i.value AS TEXT) GLOB {pattern}", glob


def _one_of(values: Sequence[object]) -> tuple[str, Sequence[object]]:
    # Not with json_each(), which ends a text at a zero character. Few numbers of placeholders are used,
    # so that the statements stay in the cache of the connection.
    count = 1 << (len(values) - 1).bit_length()
    return _placeholders(count), [*values, *[values[-1]] * (count - len(values))]


@cache
def _placeholders(count: int) -> str:
    return "= ?" if count == 1 else f"IN ({', '.join('?' * count)})"


_ROWS_PER_INSERT = 64
"""Rows that one statement inserts; this takes two thirds of the time of single inserts."""

DIALECT = Dialect(
    owner_in="IN (SELECT value FROM json_each(:owner))",
    owners=lambda owners: json.dumps(list(owners)),
    one_of=_one_of,
    using="{} INDEXED BY {}".format,
    member="IN ({})".format,
    pins_by_order=False,
    check=str,
    number=lambda name, _: f":{name}",
    # There is no LATERAL. A set that depends on an outer row is computed again for each.
    for_each=lambda lists, select: (
        f"({lists}) k CROSS JOIN (SELECT seq AS position FROM objects) x"  # noqa: S608 - placeholders
        f" WHERE x.position IN ({select})"
    ),
    is_date="{value} >= x'64' AND {value} < x'65'",
    name_pattern=_name_pattern,
)


@cache
def _insertion(table: str, columns: tuple[str, ...], count: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    rows = ", ".join([row] * count)
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES {rows}"  # noqa: S608 - names


@lru_cache(maxsize=32)
def _index_insertion(places: index.Places) -> str | None:
    """A statement for rows with these attributes, fields and instances; None if there is none.

    Most new objects have the same ones, so that only owner, object and values are handed over.
    """
    if not 0 < len(places) <= _ROWS_PER_INSERT:
        return None
    if not all(attribute in index.NAMES_OF_STANDARD for attribute, _, _ in places):
        return None  # a client has chosen it
    rows = ", ".join(
        [
            f"(?1, '{attribute}', {field:d}, ?{number}, ?2, {instance:d})"
            for number, (attribute, field, instance) in enumerate(places, start=3)
        ]
    )
    return f"INSERT OR IGNORE INTO attribute_index ({', '.join(INDEX)}) VALUES {rows}"  # noqa: S608 - see above


class SQLiteConnection:
    """See :class:`kmipkit_server.store.sql.connection.Connection`."""

    def __init__(self, raw: sqlite3.Connection, name: str) -> None:
        self.raw = raw
        self.name = name
        self._ticks: int | None = None
        """Ticks until the current search is interrupted; None if nothing interrupts it."""
        raw.set_progress_handler(self.on_tick, STEPS_PER_TICK)

    def on_tick(self) -> bool:
        """Whether SQLite interrupts the statement."""
        if self._ticks is None:
            return False
        self._ticks -= 1
        return self._ticks < 0

    def one(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query."""
        try:
            row: Row | None = self.raw.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise as_store_error(error, self.name) from error
        return row

    def all(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a query."""
        try:
            return self.raw.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise as_store_error(error, self.name) from error

    def each(self, sql: str, values: Values = ()) -> Iterator[Row]:
        """The rows of a query one by one."""
        with sqlite_errors(self.name):
            yield from self.raw.execute(sql, values)

    def run(self, sql: str, values: Values = ()) -> None:
        """Carry out a statement."""
        try:
            self.raw.execute(sql, values)
        except sqlite3.Error as error:
            raise as_store_error(error, self.name) from error

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows, as many as possible with one statement."""
        for start in range(0, len(rows), _ROWS_PER_INSERT):
            part = rows[start : start + _ROWS_PER_INSERT]
            self.run(_insertion(table, tuple(columns), len(part)), list(chain.from_iterable(part)))

    def insert_index(
        self, owner: int, seq: int, places: index.Places, values: Sequence[bytes]
    ) -> None:
        """Insert the rows of an object into the index."""
        statement = _index_insertion(places)
        if statement is None:
            self.insert_rows("attribute_index", INDEX, index_rows(owner, seq, places, values))
        else:
            self.run(statement, (owner, seq, *map(bytearray, values)))

    def delete_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Delete the rows with these values."""
        where = " AND ".join([f"{column} = ?" for column in columns])
        with sqlite_errors(self.name):
            self.raw.executemany(f"DELETE FROM {table} WHERE {where}", rows)  # noqa: S608 - names

    def insert(self, sql: str, key: str, values: Values) -> int:  # noqa: ARG002 - the rowid
        """Insert a row; its number."""
        try:
            return self.raw.execute(sql, values).lastrowid or 0
        except sqlite3.Error as error:
            raise as_store_error(error, self.name) from error

    @contextmanager
    def limited(self, objects: int | None, *, in_place: bool) -> Iterator[None]:
        """Limit the steps that queries take."""
        self._ticks = TICKS_IN_PLACE if in_place else _ticks(objects)
        try:
            yield
        finally:
            self._ticks = None


def _ticks(objects: int | None) -> int | None:
    """How many ticks a search away from the event loop may take."""
    return None if objects is None else 1 + objects * STEPS_PER_OBJECT // STEPS_PER_TICK
