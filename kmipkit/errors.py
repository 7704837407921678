"""The exceptions of the package, and the one table from cause to Result Reason.

There are two families. A :class:`ProtocolError` reports bytes or values that violate the protocol, and
where they are (path and offset). Its two subclasses tell whose they are: ours (a defect or misuse on
this side) or the peer's. An :class:`OperationError` reports that a well-formed request cannot be
fulfilled, with the Result Reason for the response.

Every protocol error has a precise :class:`Cause`; the table from cause to Result Reason is here only.
"""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType

from kmipkit.spec.enums import ResultReason


class Cause(Enum):
    """The exact defect of a message."""

    TRUNCATED = auto()
    """The length of an item exceeds the structure or message that contains it."""
    TRAILING_BYTES = auto()
    """Bytes follow the last item."""
    BAD_TAG = auto()
    """A tag outside 42xxxx and 54xxxx (KMIP 1.4 §9.1.1.1)."""
    BAD_TYPE = auto()
    """An item type that does not exist, or is not that of the field."""
    BAD_LENGTH = auto()
    """A length that the item type does not permit (KMIP 1.4 §9.1.1.3)."""
    BAD_VALUE = auto()
    """A value outside the type: a Boolean of 2, text that is not UTF-8, a date out of range."""
    BAD_SYNTAX = auto()
    """Text that is not well-formed XML or JSON, or not a message in this encoding."""
    NOT_KMIP = auto()
    """Bytes of another protocol."""
    TOO_LARGE = auto()
    TOO_DEEP = auto()
    TOO_MANY_ITEMS = auto()
    MISSING_FIELD = auto()
    REPEATED_FIELD = auto()
    UNEXPECTED_FIELD = auto()
    WRONG_VERSION = auto()
    """A field or value that does not exist in the version of the message."""
    UNKNOWN_ATTRIBUTE = auto()
    """An attribute that the version of the message does not have."""
    UNSUPPORTED_VERSION = auto()
    """A protocol version that this side does not support (KMIP 1.4 §6.1)."""
    UNEXPECTED_MESSAGE = auto()
    """A message out of place: a response without request, a wrong batch item."""
    CLOSED = auto()
    """The connection was closed within a message, or before a response."""


REASONS: Mapping[Cause, ResultReason] = MappingProxyType(
    {
        Cause.MISSING_FIELD: ResultReason.MISSING_DATA,
        Cause.UNSUPPORTED_VERSION: ResultReason.UNSUPPORTED_PROTOCOL_VERSION,
        Cause.BAD_VALUE: ResultReason.INVALID_FIELD,
        Cause.WRONG_VERSION: ResultReason.INVALID_FIELD,
        Cause.UNKNOWN_ATTRIBUTE: ResultReason.UNSUPPORTED_ATTRIBUTE,
    }
)
"""Result Reason of each cause; Invalid Message (KMIP 1.4 §9.1.3.2.29) for those not listed."""


class KMIPError(Exception):
    """Base of all exceptions that this project raises on purpose."""


class ProtocolError(KMIPError):
    """A violation of the protocol.

    ``path`` names the field, outermost first (``RequestMessage/BatchItem[0]/Operation``), and
    ``offset`` is the position of its first byte in the message, if they are known.
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
        """The Result Reason with which a server reports this error."""
        return REASONS.get(self.cause, ResultReason.INVALID_MESSAGE)

    def __str__(self) -> str:
        place = [self.path] if self.path else []
        if self.offset is not None:
            place.append(f"offset {self.offset}")
        return f"{self.message} (at {', '.join(place)})" if place else self.message


class LocalProtocolError(ProtocolError):
    """This side was about to violate the protocol: a defect, or a misuse of the library."""


class RemoteProtocolError(ProtocolError):
    """The peer violated the protocol."""


class OperationError(KMIPError):
    """An operation fails with this Result Reason and message (KMIP 1.4 §6.10, §6.11).

    ``limit`` is the name of the server's limit that it has reached, if there is one.
    """

    def __init__(self, reason: ResultReason, message: str, limit: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.limit = limit
