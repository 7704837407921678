"""A PostgreSQL database as one side of a copy. Its owner makes the copy, not the role of the servers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from kmipkit_server.store.copying import TABLES, Summary
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.integrity import MAC_SIZE, Integrity
from kmipkit_server.store.postgresql import schema
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
from kmipkit_server.store.postgresql.errors import as_store_error
from kmipkit_server.store.postgresql.summary import counter_of, mac_of, state_of
from kmipkit_server.store.postgresql.target import Target
from kmipkit_server.store.root_keys import Row as RootKeyRow
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.connection import Row
from kmipkit_server.store.sql.row_content import ROW_SIZE

_IDENTITIES = {"owners": "number", "data_keys": "number", "kinds": "number", "objects": "seq"}
"""The columns that the database numbers."""


class PostgreSQLCopy:
    """See :class:`kmipkit_server.store.copying.Destination`."""

    def __init__(self, sql: PostgreSQLConnection, node: str) -> None:
        """Use :func:`opened`."""
        self.name = sql.name
        self._sql = sql
        self._node = node

    def root_keys(self) -> list[RootKeyRow]:
        """The entries of the root keys. StoreError if there is none."""
        rows = key_tables.root_key_rows(self._sql)
        if not rows:
            raise StoreError(f"{self.name} is empty: there is nothing to copy")
        return rows

    def summary(self, integrity: Integrity) -> Summary:
        """What the nodes know of the database; the counter is that of the server that has this name."""
        rows = self._sql.all("SELECT node, counter, newest, total, mac FROM summaries")
        states = [state_of(integrity, *row) for row in rows]
        return Summary(
            counter_of(self._sql, integrity, self._node),
            max((state.newest for state in states), default=0),
            sum(state.total for state in states) % (1 << (8 * MAC_SIZE)),
        )

    def require_alone(self) -> None:
        """StoreError if there are servers."""
        schema.require_unused(self._sql)

    def stream(self, sql: str) -> Iterator[Row]:
        """The rows of a long query."""
        return self._sql.stream(sql)

    def require_empty(self) -> None:
        """StoreError if there is anything in the database."""
        for table in (*TABLES, "root_keys"):
            if self._sql.one(f"SELECT 1 FROM {table} LIMIT 1") is not None:  # noqa: S608 - a name
                raise StoreError(
                    f"{self.name} is not empty; copy to a database without objects, or drop the"
                    f" schema {schema.SCHEMA} in it"
                )

    def write(self, table: str, columns: tuple[str, ...], rows: Iterator[Row]) -> None:
        """Write all rows of a table."""
        try:
            with self._sql.raw.cursor().copy(
                f"COPY {table} ({', '.join(columns)}) FROM STDIN"
            ) as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise as_store_error(error, self.name, self._sql.raw) from error
        if table in _IDENTITIES:
            column = _IDENTITIES[table]
            self._sql.run(
                f"SELECT setval(pg_get_serial_sequence('{schema.SCHEMA}.{table}', '{column}'),"  # noqa: S608 - names
                f" max({column})) FROM {table}"
            )

    def delete_setting(self, name: str) -> None:
        """Remove a setting."""
        self._sql.run("DELETE FROM settings WHERE name = ?", (name,))

    def finish(self, rows: Sequence[RootKeyRow], summary: Summary, integrity: Integrity) -> None:
        """Write what the servers will know of the database."""
        encoded = summary.total.to_bytes(MAC_SIZE, "big")
        for row in rows:
            key_tables.write_root_key(self._sql, row)
        self._sql.run(
            "INSERT INTO summaries (node, counter, newest, total, mac) VALUES (?, ?, ?, ?, ?)",
            (
                self._node, summary.counter, summary.newest, encoded,
                mac_of(integrity, self._node, summary.counter, summary.newest, encoded),
            ),
        )  # fmt: skip
        self._sql.run(
            "INSERT INTO usages (owner, node, objects, size)"  # noqa: S608 - columns
            f" SELECT owner, ?, count(*) FILTER (WHERE state NOT IN (5, 6)), sum({ROW_SIZE})"
            " FROM objects GROUP BY owner",
            (self._node,),
        )


@contextmanager
def opened(target: Target, node: str, *, must_be_empty: bool) -> Iterator[PostgreSQLCopy]:
    """A side of a copy, in one transaction, while no server uses the database. StoreError otherwise."""
    sql = target.connect()
    try:
        schema.require_owner(sql)
        schema.require_current(sql)
        sql.run("SET statement_timeout = 0")
        sql.run("SET idle_in_transaction_session_timeout = 0")
        side = PostgreSQLCopy(sql, node)
        side.require_alone()
        sql.script(
            "BEGIN ISOLATION LEVEL REPEATABLE READ;"
            f" LOCK TABLE {schema.SCHEMA}.turns IN EXCLUSIVE MODE"
        )
        if must_be_empty:
            side.require_empty()
        yield side
        sql.run("COMMIT")
        if must_be_empty:
            # Otherwise the first searches read the rows to see whether they are visible.
            sql.run(f"VACUUM (ANALYZE) {', '.join(TABLES)}")
    finally:
        sql.raw.close()
