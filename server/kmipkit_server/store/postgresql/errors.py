"""From PostgreSQL's errors to those of a store."""

import re
from collections.abc import Sequence
from typing import Any

import psycopg
import psycopg_pool
from psycopg import errors

from kmipkit_server.store.errors import ReadingTooLong, StoreError, TransactionLost


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
    text = f"{name}: {_said(error)}"
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
        return LockedTooLong(
            f"{text}; another session of the database has it: find out which with pg_blocking_pids()"
        )
    if isinstance(error, errors.InFailedSqlTransaction):
        return TransactionLost(text)
    if isinstance(error, psycopg_pool.PoolTimeout):
        return StoreError(f"{name}: the database does not accept connections")
    return StoreError("; ".join([text, *_advice(text)]))


_ADVICE: Sequence[tuple[str, str]] = (
    (
        "no password supplied",
        "name a file with it: store.password_file, --password-file of a command, or PGPASSFILE",
    ),
    (
        "requires a valid client certificate",
        "name a certificate of the role and its key with sslcert and sslkey in the URL",
    ),
    (
        "certificate authentication failed",
        "the Common Name of the certificate must be the role of the URL, or pg_ident.conf map it",
    ),
    ("authentication failed", "correct the name of the role in the URL, or its password"),
    ("no pg_hba.conf entry", "permit it in pg_hba.conf of the database"),
    ('database ".*" does not exist', "create it with CREATE DATABASE, or correct the URL"),
    ('role ".*" does not exist', "create it with CREATE ROLE, or correct its name"),
    (
        "does not support SSL",
        "switch TLS on in the database (ssl = on), or change sslmode in the URL",
    ),
    (
        "root certificate file|certificate verify failed",
        "name the authority of the database with sslrootcert in the URL",
    ),
    (
        "does not match host name",
        "use a name in the URL that the certificate of the database has",
    ),
    (
        "session is read-only|hot standby mode",
        "this is a replica, and a server needs the primary: name all hosts in the URL",
    ),
    (
        "too many clients|connection slots are reserved|too many connections",
        "raise max_connections of the database, or lower store.connections",
    ),
    (
        "Connection refused|No such file|failed to resolve|timeout expired|No route to host",
        "start the database, or correct the host and port in the URL",
    ),
    (
        "due to statement timeout",
        "the database is slow, or another session has a lock; store.statement_timeout is the limit",
    ),
    ("No space left|could not extend file", "make room on the disk of the database"),
)
"""What mends an error, by what PostgreSQL says in it: its own sentences say only what it was."""


def _advice(text: str) -> list[str]:
    return [advice for pattern, advice in _ADVICE if re.search(pattern, text)][:1]


_ATTEMPT = re.compile(r"- host: .*?hostaddr: (?:'[^']*'|None): ")
_PREFIX = re.compile(r"^connection (?:failed|is bad): |fe_sendauth: ")


def _said(error: psycopg.Error) -> str:
    """What PostgreSQL says, in one line; of several hosts, what each of them says."""
    lines = str(error).splitlines() or [type(error).__name__]
    attempts = [_ATTEMPT.sub("", line) for line in lines if _ATTEMPT.match(line)]
    return "; ".join(_PREFIX.sub("", line) for line in dict.fromkeys(attempts or lines[:1]))


def _mending(error: errors.InsufficientPrivilege) -> str:
    """What gives the role the privilege that it lacks."""
    found = re.search(r"permission denied for (?:table|schema) (\w+)", str(error))
    what = f" on {found[1]}" if found else ""
    return (
        f"the role of the server lacks a privilege{what}; as the owner of the tables, run kmipkit admin"
        " store init again with this role as --role, or carry out what it prints with --sql"
    )
