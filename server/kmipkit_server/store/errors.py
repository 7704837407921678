"""What can go wrong with a store of any kind."""

from typing import ClassVar

from kmipkit.errors import KMIPError


class StoreError(KMIPError):
    """The store cannot read or write; the text says what is wrong, and what to do."""

    explanation: ClassVar[str] = "the server cannot read or write its store at the moment"
    """What clients learn about it."""
    is_reported: ClassVar[bool] = False
    """Whether the log has a line about it already."""


class OutcomeUnknown(StoreError):
    """Nobody can tell whether a transaction was committed: neither success nor failure would be true."""

    explanation: ClassVar[str] = (
        "the server has lost its database while it stored the changes, and does not know whether they"
        " took place; look before you repeat the request"
    )


class ReadingTooLong(Exception):
    """Reading on the event loop would take long: the work runs again elsewhere."""


class SearchTooLong(Exception):
    """A search would look at more objects than its query permits; the text says what to do."""


class TransactionLost(StoreError):
    """The store has rolled back the whole transaction, with the changes of other jobs in it."""


class NotDurable(StoreError):
    """Changes are committed, and others see them, but they may not be on the disk."""

    explanation: ClassVar[str] = (
        "the server has made the changes, but cannot make sure that they last: its disk has failed"
    )


class Vanished(StoreError):
    """What a view was to open was removed by another process a moment ago: the work reads again.

    Only a database that was damaged has it a second time."""


class Damaged(StoreError):
    """One object or setting was changed in the database by another program; all others are usable."""
