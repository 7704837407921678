"""What one message may cost: its items, the bytes of its response, and the time that it computes.

A message that would cost more is refused, or its items are from there on, with a reason that says
which limit it has met. Each limit bounds what a client can get for one request: without them, a
request of some kilobytes may ask for gigabytes.
"""

from dataclasses import dataclass
from time import thread_time
from typing import NoReturn

from kmipkit.errors import OperationError
from kmipkit.spec.enums import ResultReason


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """The limits of each message."""

    items: int = 1000
    """Batch items of a request."""
    response: int = 4 << 20
    """Bytes of a response."""
    cpu_seconds: float = 5.0
    """Time that the server computes for a request, without what its workers compute."""


class Budget:
    """What is left to one message, for all of its runs."""

    __slots__ = ("_begun", "_cpu_left", "limits")

    def __init__(self, limits: MessageLimits) -> None:
        self.limits = limits
        self._cpu_left = limits.cpu_seconds
        self._begun: float | None = None

    def begin(self) -> None:
        """Count the time of this thread from now on."""
        self._begun = thread_time()

    def end(self) -> None:
        """Count no longer: others go first, or the run has ended."""
        if self._begun is not None:
            self._cpu_left -= thread_time() - self._begun
            self._begun = None

    def require_time(self) -> None:
        """Refuse the next item of a message that has used its time."""
        if self._cpu_left < 0:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                f"the message has taken {self.limits.cpu_seconds:g} seconds, which is the maximum;"
                " send this item in a message of its own",
                "cpu_seconds",
            )

    def require_size(self, size: int) -> None:
        """Refuse an item with which the response becomes too large."""
        if size > self.limits.response:
            refuse_size(size, self.limits.response)


def refuse_size(size: int, maximum: int) -> NoReturn:
    """Raise Response Too Large."""
    raise OperationError(
        ResultReason.RESPONSE_TOO_LARGE,
        f"the response has {size} bytes or more; the server sends {maximum} at most",
        "max_response",
    )


def require_count(count: int, limits: MessageLimits) -> None:
    """Refuse a message with too many items."""
    if count > limits.items:
        raise OperationError(
            ResultReason.SERVER_LIMIT_EXCEEDED,
            f"the message has {count} batch items; the server carries out {limits.items} at most",
            "batch_items",
        )
