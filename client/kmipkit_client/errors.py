"""What a client's call may raise, besides :class:`kmipkit.errors.ProtocolError`.

The tree is small on purpose: one class for "the server said no", which carries all that it said,
and one for "there is no answer", whose subclass tells a time-out apart.
"""

from kmipkit.errors import KMIPError
from kmipkit.spec.enums import Operation, ResultReason, ResultStatus


class ClientError(KMIPError):
    """A call of the client has failed."""


class ConnectionFailed(ClientError):
    """No connection, or it broke before the answer was there.

    After a request that changes something it is not known whether the server has done it.
    """


class TimedOut(ConnectionFailed):
    """The server did not answer in time."""


class OperationFailed(ClientError):
    """The server answered that it did not do what was asked (KMIP 1.4 §6.9 to §6.11)."""

    def __init__(
        self,
        operation: Operation,
        status: ResultStatus,
        reason: ResultReason | None,
        message: str | None,
    ) -> None:
        said = f": {message}" if message else ""
        name = reason.name if reason is not None else status.name
        super().__init__(f"{operation.name}: {name}{said}")
        self.operation = operation
        self.status = status
        """Operation Failed, Operation Pending or Operation Undone."""
        self.reason = reason
        self.message = message
        """What the server says in words, for people; never decide on it."""
