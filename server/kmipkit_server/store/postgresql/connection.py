"""A connection to a PostgreSQL database, as the rooms for all SQL databases use it.

PostgreSQL's text has no zero bytes, which names and vendor attributes may have: they are written in a
way that keeps the order of texts.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import psycopg
from psycopg.adapt import Buffer
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg.types.string import StrDumper, TextLoader

from kmipkit_server.store import index
from kmipkit_server.store.errors import ReadingTooLong, StoreError, TransactionLost
from kmipkit_server.store.postgresql.errors import as_store_error
from kmipkit_server.store.sql.connection import INDEX, Dialect, Row, Values, index_rows

_PLACEHOLDER = re.compile(r"\?|(?<!:):([a-z]\w*)")
_MICROSECONDS_PER_OBJECT = 20
"""That a search may take for each object that it may look at. A few criteria take half of them."""
_MIN_SEARCH = 1000
"""Milliseconds that a search may take at least, since a database may be busy with others."""


@lru_cache(maxsize=2048)
def translated(sql: str) -> str:
    """A statement with the placeholders of psycopg instead of SQLite's."""
    return _PLACEHOLDER.sub(lambda found: f"%({found[1]})s" if found[1] else "%s", sql)


def _pattern(pattern: str) -> tuple[str, object]:
    # In bytes, so that a character is one byte or more: what is found too much is left out later.
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    like = "t" + escaped.replace("*", "%").replace("?", "_%")
    return "i.value LIKE {pattern}", like.encode("utf-8", "surrogatepass")


DIALECT = Dialect(
    owner_in="= ANY(:owner)",
    owners=list,
    one_of=lambda values: ("= ANY(?)", [list(values)]),
    using=lambda table, _: table,
    # As an array, so that the planner cannot turn it into a join.
    member="= ANY(ARRAY({}))".format,
    pins_by_order=True,
    # Whatever the conditions are, half of the rows are expected to meet them, so that a page seems to be
    # complete soon. With one row in all, it would be as well to read any index to its end and to sort.
    check="CASE WHEN {} THEN TRUE ELSE FALSE END".format,
    # With a placeholder, a plan for all values expects a tenth of all rows to be read.
    number=lambda _, value: str(value),
    for_each=lambda lists, select: f"({lists}) k CROSS JOIN LATERAL ({select}) x",
    is_date=r"{value} >= '\x64' AND {value} < '\x65'",
    name_pattern=_pattern,
)


class _TextDumper(StrDumper):
    def dump(self, obj: str) -> Buffer | None:
        if "\0" in obj or "\1" in obj:
            obj = obj.replace("\1", "\1\2").replace("\0", "\1\1")
        return super().dump(obj)


class _TextLoader(TextLoader):
    def load(self, data: Buffer) -> str:
        text = str(super().load(data))
        return text.replace("\1\1", "\0").replace("\1\2", "\1") if "\1" in text else text


class _BinaryTextLoader(_TextLoader):
    format = psycopg.pq.Format.BINARY


def adapt(raw: "psycopg.Connection[Any]") -> None:
    """Tell a connection how values are written and read."""
    adapters = raw.adapters
    adapters.register_dumper(str, _TextDumper)
    for dumper in (Int8Dumper, Int8BinaryDumper):  # one type, and so one prepared statement
        adapters.register_dumper(int, dumper)
    for loader in (_TextLoader, _BinaryTextLoader):
        adapters.register_loader("text", loader)


class PostgreSQLConnection:
    """See :class:`kmipkit_server.store.sql.connection.Connection`."""

    def __init__(self, raw: "psycopg.Connection[Any]", name: str, quick: int, long: int) -> None:
        """``quick`` and ``long`` are the times in milliseconds that a statement may take."""
        self.raw = raw
        self.name = name
        self.broken: TransactionLost | None = None
        """Why the transaction in progress cannot be committed."""
        self._quick, self._long = quick, long
        self.is_alone = False
        """Whether no other node has a transaction at the same time."""
        self._is_limited = False

    def one(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query."""
        return cast("Row | None", self._execute(sql, values).fetchone())

    def all(self, sql: str, values: Values = ()) -> list[Row]:
        """All rows of a query."""
        return self._execute(sql, values).fetchall()

    def each(self, sql: str, values: Values = ()) -> Iterator[Row]:
        """The rows of a query one by one; the client library has all of them."""
        yield from self._execute(sql, values)

    def run(self, sql: str, values: Values = ()) -> None:
        """Carry out a statement."""
        self._execute(sql, values)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows with one statement."""
        if not rows:
            return
        self._execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM {_rows_of(columns)}"  # noqa: S608 - names
            " ON CONFLICT DO NOTHING",
            _columns(rows),
        )

    def insert_index(
        self, owner: int, seq: int, places: index.Places, values: Sequence[bytes]
    ) -> None:
        """Insert the rows of an object into the index."""
        self.insert_rows("attribute_index", INDEX, index_rows(owner, seq, places, values))

    def delete_rows(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Delete the rows with these values."""
        if not rows:
            return
        where = " AND ".join([f"t.{column} = gone.{column}" for column in columns])
        self._execute(
            f"DELETE FROM {table} t USING {_rows_of(columns)} AS gone ({', '.join(columns)})"  # noqa: S608 - names
            f" WHERE {where}",
            _columns(rows),
        )

    def insert(self, sql: str, key: str, values: Values) -> int:
        """Insert a row; its number."""
        row = self.one(f"{sql} RETURNING {key}", values)
        if row is None:  # no statement of the store does that
            raise StoreError(f"{self.name}: the database has inserted no row")
        return int(row[0])

    @contextmanager
    def limited(self, objects: int | None, *, in_place: bool) -> Iterator[None]:
        """Limit the time that queries take."""
        if not in_place and objects is None:
            yield
            return
        limit = (
            self._quick
            if in_place or objects is None
            else max(_MIN_SEARCH, objects * _MICROSECONDS_PER_OBJECT // 1000)
        )
        self._set_timeout(limit)
        self._is_limited = True
        try:
            yield
        finally:
            self._is_limited = False
            if not self.raw.closed and self.broken is None:
                self._set_timeout(self._long)

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction has begun."""
        return self.raw.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def _set_timeout(self, milliseconds: int) -> None:
        self._execute("SELECT set_config('statement_timeout', ?, false)", (str(milliseconds),))

    def _execute(self, sql: str, values: Values) -> "psycopg.Cursor[Any]":
        if self._is_limited and self.is_in_transaction:
            return self._guarded(sql, values)
        return self.execute(sql, values)

    def execute(
        self, sql: str, values: Values = (), *, prepare: bool | None = None
    ) -> "psycopg.Cursor[Any]":
        """Carry out a statement; its cursor. Errors are those of a store."""
        try:
            return self.raw.execute(translated(sql), values, prepare=prepare, binary=True)
        except psycopg.Error as error:
            raised = self._failure(error)
            if isinstance(raised, TransactionLost):
                self.broken = raised
            raise raised from error

    def stream(self, sql: str, size: int = 5000) -> Iterator[Row]:
        """The rows of a long query, in a transaction, without all of them in memory."""
        try:
            with self._stream_cursor() as cursor:
                cursor.itersize = size
                yield from cursor.execute(translated(sql))
        except psycopg.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def _stream_cursor(self) -> "Iterator[psycopg.ServerCursor[Any]]":
        cursor = self.raw.cursor(name="stream", binary=True)
        try:
            yield cursor
        finally:
            try:
                cursor.close()
            except psycopg.Error:
                # The database is asked to close it, and does not answer: it ends with the connection.
                self.raw.close()
                cursor.close()

    def script(self, sql: str) -> None:
        """Carry out several statements without values."""
        try:
            self.raw.execute(sql)
        except psycopg.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: psycopg.Error) -> StoreError | ReadingTooLong:
        """An error of this connection as that of a store.

        If it does not come from the database, the connection is closed: a command may have been sent to
        which nothing reads the answer, and then no other one can be sent. The client library leaves it
        so when its socket has an error.
        """
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            self.raw.close()
        return as_store_error(
            error, self.name, self.raw, is_limited=self._is_limited, is_alone=self.is_alone
        )

    def _guarded(self, sql: str, values: Values) -> "psycopg.Cursor[Any]":
        """The same in a part of the transaction, which goes on if the query takes too long."""
        self.execute("SAVEPOINT search")
        try:
            cursor = self.execute(sql, values)
        except StoreError:
            raise
        except BaseException:
            self.execute("ROLLBACK TO SAVEPOINT search")
            raise
        self.execute("RELEASE SAVEPOINT search")
        return cursor


def _rows_of(columns: Sequence[str]) -> str:
    return f"unnest({', '.join('?' * len(columns))})"


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
