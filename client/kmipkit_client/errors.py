"""The errors that a call of a client may raise, besides :class:`kmipkit.errors.ProtocolError`.

There are few classes on purpose: one for a response that reports a failure, with its contents, and one
for a missing response, with a subclass for time-outs.
"""

from kmipkit.errors import KMIPError
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus


class ClientError(KMIPError):
    """A call of the client has failed."""


class ConnectionFailed(ClientError):
    """The connection could not be made, or failed before the response arrived."""

    def __init__(
        self, message: str, *, request_sent: bool = False, is_permanent: bool = False
    ) -> None:
        super().__init__(message)
        self.request_sent = request_sent
        """Whether the server may have received the request."""
        self.is_permanent = is_permanent
        """Whether the same server would fail again, as with a certificate that is not trusted."""
        self.was_idle = False
        """Whether the connection had been used before, so that the server may just have closed it."""
        self.outcome_unknown = False
        """Whether the server may have changed something: the request was sent, there is no response,
        and the operation is none that can be repeated without harm."""


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
        correlation_value: bytes | None = None,
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
        self.correlation_value = correlation_value
        """For Poll, if the status is Operation Pending (KMIP 1.4 §6.7)."""
