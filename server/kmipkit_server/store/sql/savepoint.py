"""A part of a transaction that is rolled back by itself."""

from typing import Any, Protocol


class Parts(Protocol):
    """A transaction, as far as a savepoint needs it."""

    def begin_part(self) -> Any:
        """Set a savepoint; what is in memory at this place, for :meth:`undo_part`."""

    def end_part(self) -> None:
        """Keep what the part has changed."""

    def undo_part(self, position: Any, error: BaseException) -> None:
        """Roll the part back after an error."""


class Savepoint:
    """A part of a transaction; a class, since one is made for each item of a message."""

    __slots__ = ("_position", "_transaction")

    def __init__(self, transaction: Parts) -> None:
        self._transaction = transaction

    def __enter__(self) -> None:
        self._position = self._transaction.begin_part()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._transaction.end_part()
        else:
            self._transaction.undo_part(self._position, error)
