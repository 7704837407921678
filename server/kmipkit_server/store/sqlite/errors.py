"""From SQLite's errors to those of a store."""

import sqlite3

from kmipkit_server.store.errors import ReadingTooLong, StoreError


class sqlite_errors:  # noqa: N801 - used like a function; a class costs a third of a generator
    """Raises SQLite's errors as StoreError."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise as_store_error(error, self._name) from error


def as_store_error(error: sqlite3.Error, name: str) -> StoreError | ReadingTooLong:
    """An error of SQLite as that of the store with this name."""
    if isinstance(error, sqlite3.OperationalError) and (
        error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT
    ):
        return ReadingTooLong()
    return StoreError(f"{name}: {error}")
