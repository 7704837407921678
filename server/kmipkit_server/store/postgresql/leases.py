"""Leases as advisory locks: a server that ends or loses its connection has none of them any longer."""

import logging
from contextlib import suppress

import psycopg

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.postgresql.connection import PostgreSQLConnection
from kmipkit_server.store.postgresql.target import Target

log = logging.getLogger("kmipkit.server")


class AdvisoryLease:
    """The lease of a job, on a connection of its own."""

    def __init__(self, target: Target, job: str) -> None:
        self._target = target
        self._job = job
        self._sql: PostgreSQLConnection | None = None

    def take(self) -> bool:
        """Whether this process has the lease now."""
        try:
            if self._sql is None:
                self._sql = self._target.connect()
            row = self._sql.one(
                "SELECT pg_try_advisory_lock(hashtextextended('kmipkit job ' || ?, 0))",
                (self._job,),
            )
        except StoreError as error:
            log.debug("no lease for %s: %s", self._job, error)
            self.release()
            return False
        return row is not None and bool(row[0])

    def is_held(self) -> bool:
        """Whether the session is still there."""
        try:
            return self._sql is not None and self._sql.one("SELECT 1") is not None
        except StoreError:
            return False

    def release(self) -> None:
        """End the session."""
        if self._sql is not None:
            with suppress(psycopg.Error):
                self._sql.raw.close()
            self._sql = None
