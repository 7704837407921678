"""The exceptions of the package, and the one table from cause to Result Reason.

Two families. A :class:`ProtocolError` says that bytes or values break the rules of the protocol;
it knows where (path and offset). Its two subclasses say on which side: ours (a defect or misuse
here) or the peer's. An :class:`OperationError` says that a well-formed request cannot be fulfilled;
it carries the Result Reason that the peer is told.

A precise :class:`Cause` is named where an error is found; which Result Reason the wire shows for
it is decided here and nowhere else.
"""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType

from kmipkit.spec.enums import ResultReason


class Cause(Enum):
    """What exactly is wrong with a message."""

    TRUNCATED = auto()
    """An item's length reaches past the end of what holds it."""
    TRAILING_BYTES = auto()
    """Bytes are left over after the last item."""
    BAD_TAG = auto()
    """A tag outside 42xxxx and 54xxxx (KMIP 1.4 §9.1.1.1)."""
    BAD_TYPE = auto()
    """An item type that does not exist, or not the one this field has."""
    BAD_LENGTH = auto()
    """A length that the item type does not allow (KMIP 1.4 §9.1.1.3)."""
    BAD_PADDING = auto()
    BAD_VALUE = auto()
    """A value that the type cannot have: a Boolean of 2, text that is not UTF-8, a date out of range."""
    BAD_SYNTAX = auto()
    """Text that is not well-formed XML or JSON, or not the form of a message in it."""
    NOT_KMIP = auto()
    """The bytes belong to another protocol."""
    TOO_LARGE = auto()
    TOO_DEEP = auto()
    TOO_MANY_ITEMS = auto()
    MISSING_FIELD = auto()
    REPEATED_FIELD = auto()
    UNEXPECTED_FIELD = auto()
    WRONG_VERSION = auto()
    """A field or value that the version of the message does not have."""
    UNSUPPORTED_VERSION = auto()
    """A protocol version that this side does not speak (KMIP 1.4 §6.1)."""
    UNEXPECTED_MESSAGE = auto()
    """A message that does not belong here: an answer without a question, a wrong batch item."""
    CLOSED = auto()
    """The connection ended in the middle of a message, or was closed before."""


REASONS: Mapping[Cause, ResultReason] = MappingProxyType(
    {
        Cause.MISSING_FIELD: ResultReason.MISSING_DATA,
        Cause.UNSUPPORTED_VERSION: ResultReason.UNSUPPORTED_PROTOCOL_VERSION,
        Cause.BAD_VALUE: ResultReason.INVALID_FIELD,
        Cause.WRONG_VERSION: ResultReason.INVALID_FIELD,
    }
)
"""Result Reason of each cause; Invalid Message (KMIP 1.4 §9.1.3.2.29) for those not listed."""


class KMIPError(Exception):
    """Root of all exceptions that this project raises on purpose."""


class ProtocolError(KMIPError):
    """The rules of the protocol are broken.

    ``path`` names the field, outermost first (``RequestMessage/BatchItem[0]/Operation``), and
    ``offset`` is the position of its first byte in the message, where they are known.
    """

    def __init__(
        self, message: str, *, cause: Cause, path: str = "", offset: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.path = path
        self.offset = offset

    @property
    def reason(self) -> ResultReason:
        """The Result Reason by which a server answers this error."""
        return REASONS.get(self.cause, ResultReason.INVALID_MESSAGE)

    def __str__(self) -> str:
        place = [self.path] if self.path else []
        if self.offset is not None:
            place.append(f"offset {self.offset}")
        return f"{self.message} (at {', '.join(place)})" if place else self.message


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol: a defect, or a misuse of the library."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol."""


class OperationError(KMIPError):
    """An operation fails with this Result Reason and message (KMIP 1.4 §6.10, §6.11)."""

    def __init__(self, reason: ResultReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
