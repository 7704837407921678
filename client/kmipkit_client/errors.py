"""The errors that a call of a client may raise, besides :class:`kmipkit.errors.ProtocolError`.

There are few classes on purpose: one for a response that reports a failure, with its contents, and one
for a missing response, with a subclass for time-outs.
"""

from kmipkit.errors import KMIPError
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus


class ClientError(KMIPError):
    """A call of the client has failed."""


class ConnectionFailed(ClientError):
    """The connection could not be made, or failed before the response arrived.

    If the request changes something, the server may or may not have done it.
    """


class TimedOut(ConnectionFailed):
    """The server did not respond in time."""


class OperationFailed(ClientError):
    """The server reported that an operation failed (KMIP 1.4 §6.9 to §6.11)."""

    def __init__(
        self,
        operation: Operation,
        status: ResultStatus,
        reason: ResultReason | None,
        message: str | None,
    ) -> None:
        text = f": {message}" if message else ""
        name = reason.name if reason is not None else status.name
        super().__init__(f"{operation.name}: {name}{text}")
        self.operation = operation
        self.status = status
        """Operation Failed, Operation Pending or Operation Undone."""
        self.reason = reason
        self.message = message
        """The Result Message, for people; programs should not depend on it."""
