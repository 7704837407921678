"""From PostgreSQL's errors to those of a store."""

import re
from typing import Any

import psycopg
import psycopg_pool
from psycopg import errors

from kmipkit_server.store.base import ReadingTooLong, StoreError, TransactionLost


class Conflict(TransactionLost):
    """Another transaction has changed what this one has read: all of it must run again."""


class ConnectionLost(TransactionLost):
    """The connection to the database is gone, and with it the transaction."""


class LockedTooLong(StoreError):
    """A lock was not given in time."""


_CONFLICTS = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
)
_LOST = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
    errors.ReadOnlySqlTransaction,
)
"""A server that ends, begins, or is no longer the primary one."""


def as_store_error(
    error: psycopg.Error,
    name: str,
    connection: "psycopg.Connection[Any] | None" = None,
    *,
    is_limited: bool = False,
    is_alone: bool = False,
) -> StoreError | ReadingTooLong:
    """An error of PostgreSQL as that of the store with this name.

    Args:
        is_limited: Whether a statement that is cancelled has taken more than its share of time.
        is_alone: Whether no other node can have anything to do with it.
    """
    text = f"{name}: {_first_line(error)}"
    if isinstance(error, _CONFLICTS):
        return Conflict(text)
    if isinstance(error, psycopg.IntegrityError) and not is_alone:
        # A row that another node has inserted or removed since this one has looked for it, or has it
        # in a cache: the next attempt sees it.
        return Conflict(text)
    if isinstance(error, errors.QueryCanceled) and is_limited:
        return ReadingTooLong(text)
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreError(f"{text}; {_mending(error)}")
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
        return StoreError(
            f"{name} has no tables of kmipkit; create them with: kmipkit admin store init"
        )
    if isinstance(error, _LOST) or (connection is not None and connection.closed):
        return ConnectionLost(text)
    if isinstance(error, errors.LockNotAvailable):
        return LockedTooLong(text)
    if isinstance(error, errors.InFailedSqlTransaction):
        return TransactionLost(text)
    if isinstance(error, psycopg_pool.PoolTimeout):
        return StoreError(f"{name}: the database does not accept connections")
    return StoreError(text)


def _first_line(error: psycopg.Error) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _mending(error: errors.InsufficientPrivilege) -> str:
    """What gives the role the privilege that it lacks."""
    found = re.search(r"permission denied for (?:table|schema) (\w+)", str(error))
    what = f" on {found[1]}" if found else ""
    return (
        f"the role of the server lacks a privilege{what}; as the owner of the tables, run kmipkit admin"
        " store init again with this role as --role, or carry out what it prints with --sql"
    )
