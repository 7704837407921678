"""Reading a database without serving it, also while servers do: for commands."""

from typing import Self

from kmipkit_server.store.base import Usage
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.offline import no_key, no_new_key, no_random
from kmipkit_server.store.postgresql import schema
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
from kmipkit_server.store.postgresql.target import Target
from kmipkit_server.store.postgresql.usages import all_usages
from kmipkit_server.store.postgresql.views import PostgreSQLReader
from kmipkit_server.store.root_keys import KeyWrapper, open_keys
from kmipkit_server.store.sealing import Sealer
from kmipkit_server.store.sql.key_tables import root_key_rows


class OfflinePostgreSQL:
    """See :class:`kmipkit_server.store.offline.OfflineStore`. It changes nothing."""

    def __init__(self, sql: PostgreSQLConnection, key_wrapper: KeyWrapper) -> None:
        """Use :meth:`open`."""
        self._sql = sql
        self._integrity = integrity_of(sql, key_wrapper)
        sealer = Sealer(no_random, no_key, no_new_key)
        self.reader = PostgreSQLReader(sql, sealer, self._integrity, sql.name)
        """A view of the committed state, without key material."""

    @classmethod
    def open(cls, target: Target, key_wrapper: KeyWrapper) -> Self:
        """Open the database of servers. StoreError if there is none, or the root key is another."""
        sql = target.connect()
        try:
            schema.require_current(sql)
            sql.run("SET default_transaction_read_only = on")
            return cls(sql, key_wrapper)
        except BaseException:  # of any kind: it is raised again
            sql.raw.close()
            raise

    def usages(self) -> dict[str, Usage]:
        """How much each owner has that has anything."""
        return all_usages(self._sql)

    def derive_key(self, purpose: str) -> bytes:
        """The key that the servers derive for a purpose."""
        return self._integrity.derive_key(purpose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._sql.raw.close()


def integrity_of(sql: PostgreSQLConnection, key_wrapper: KeyWrapper) -> Integrity:
    """The MACs. StoreError if no server has used the database, or the root key is another."""
    rows = root_key_rows(sql)
    if not rows:
        raise StoreError(f"{sql.name} is empty: no server has used it yet")
    return open_keys(rows, key_wrapper, sql.name).integrity
