"""A PostgreSQL database as one side of a copy. Its owner makes the copy, not the role of the servers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import psycopg

from kmipkit_server.store.base import StoreError
from kmipkit_server.store.copying import TABLES, Heading
from kmipkit_server.store.integrity import MAC_SIZE, Integrity
from kmipkit_server.store.postgresql import schema
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
from kmipkit_server.store.postgresql.errors import as_store_error
from kmipkit_server.store.postgresql.summary import mac_of
from kmipkit_server.store.postgresql.target import Target
from kmipkit_server.store.sql import key_tables
from kmipkit_server.store.sql.connection import Row
from kmipkit_server.store.sql.row_content import ROW_SIZE

_IDENTITIES = {"owners": "number", "data_keys": "number", "kinds": "number", "objects": "seq"}
"""The columns that the database numbers."""

_NODES = """
    SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.pid <> pg_backend_pid()"""


class PostgreSQLCopy:
    """See :class:`kmipkit_server.store.copying.Destination`."""

    def __init__(self, sql: PostgreSQLConnection, node: str) -> None:
        """Use :func:`opened`."""
        self.name = sql.name
        self._sql = sql
        self._node = node
        self.integrity: Integrity | None = None
        """Set before :meth:`finish`."""

    def heading(self) -> Heading:
        """What the database knows of itself."""
        root_keys = key_tables.root_key_rows(self._sql)
        if not root_keys:
            raise StoreError(f"{self.name} is empty: there is nothing to copy")
        counter, newest = self._sql.one(
            "SELECT coalesce(max(counter), 0), coalesce(max(newest), 0) FROM summaries"
        ) or (0, 0)
        return Heading(root_keys, counter, newest)

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

    def finish(self, heading: Heading, total: int) -> None:
        """Write what the servers will know of the database."""
        integrity = cast("Integrity", self.integrity)
        encoded = total.to_bytes(MAC_SIZE, "big")
        for row in heading.root_keys:
            key_tables.write_root_key(self._sql, row)
        self._sql.run(
            "INSERT INTO summaries (node, counter, newest, total, mac) VALUES (?, ?, ?, ?, ?)",
            (
                self._node, heading.counter, heading.newest, encoded,
                mac_of(integrity, self._node, heading.counter, heading.newest, encoded),
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
        schema.require_current(sql)
        sql.run("SET statement_timeout = 0")
        sql.run("SET idle_in_transaction_session_timeout = 0")
        (servers,) = sql.one(_NODES) or (0,)
        if servers:
            raise StoreError(f"{sql.name} is in use by {servers} servers; stop them")
        sql.script(
            "BEGIN ISOLATION LEVEL REPEATABLE READ;"
            f" LOCK TABLE {schema.SCHEMA}.turns IN EXCLUSIVE MODE"
        )
        side = PostgreSQLCopy(sql, node)
        if must_be_empty:
            side.require_empty()
        yield side
        sql.run("COMMIT")
        if must_be_empty:
            # Otherwise the first searches read the rows to see whether they are visible.
            sql.run(f"VACUUM (ANALYZE) {', '.join(TABLES)}")
    finally:
        sql.raw.close()
